// Kernels that only some devices run are no part of what everybody loads: their modules are imported when there is such a device, before
// anything is planned for it.
import type { Capabilities } from './device.ts';

type ImportKernels = (capabilities: Capabilities) => Promise<void> | undefined;

const imports: ImportKernels[] = [];

/** Has `load` called for every device that is opened; it imports what that device can use, or does nothing. */
export function importForDevices(load: ImportKernels): void {
  imports.push(load);
}

/** Settles when the modules of all kernels that a device can use are there. */
export async function importKernels(capabilities: Capabilities): Promise<void> {
  await Promise.all(imports.map((load) => load(capabilities)));
}
