// Modules that only some devices need are no part of what everybody loads: they are imported when there is such a device, before anything is
// planned for it.
import type { MatrixShape } from './matrices.ts';

/** What is known of a device when its modules are imported. */
interface OpenedDevice {
  readonly matrices: readonly MatrixShape[];
  readonly subgroupSize: number | undefined;
  readonly laneRegisters: number;
  readonly adapter: { readonly software: boolean };
}

/** A module that is imported on demand, with the first device that needs it. */
export interface ModuleForDevices<Module> {
  /** Undefined before there was such a device. */
  readonly loaded: Module | undefined;
  /** Imports it, for capabilities that are not those of a device. */
  readonly load: () => Promise<void>;
}

const all: { readonly load: () => Promise<void>; readonly isNeeded: (device: OpenedDevice) => boolean }[] = [];

/** Has a module imported on demand, before a device that needs it is used. */
export function forDevices<Module>(
  importIt: () => Promise<Module>,
  isNeeded: (device: OpenedDevice) => boolean,
): ModuleForDevices<Module> {
  const module: { loaded: Module | undefined; load: () => Promise<void> } = {
    loaded: undefined,
    load: async () => {
      module.loaded ??= await importIt();
    },
  };
  all.push({ load: module.load, isNeeded });
  return module;
}

/** Settles when all modules that a device needs are there. */
export async function importModules(device: OpenedDevice): Promise<void> {
  await Promise.all(all.filter(({ isNeeded }) => isNeeded(device)).map(({ load }) => load()));
}
