// Kernels that only some devices run are no part of what everybody loads: their modules are imported when there is such a device, before
// anything is planned for it.
import type { MatrixShape } from './matrices.ts';

/** What is known of a device when its kernels' modules are imported. */
interface OpenedDevice {
  readonly matrices: readonly MatrixShape[];
  readonly subgroupSize: number | undefined;
  readonly laneRegisters: number;
  readonly adapter: { readonly software: boolean };
}

type ImportKernels = (device: OpenedDevice) => Promise<void> | undefined;

const imports: ImportKernels[] = [];

/** Has `load` called for every device that is opened; it imports what that device can use, or does nothing. */
export function importForDevices(load: ImportKernels): void {
  imports.push(load);
}

/** Settles when the modules of all kernels that a device can use are there. */
export async function importKernels(device: OpenedDevice): Promise<void> {
  await Promise.all(imports.map((load) => load(device)));
}
