// The order of a node's candidates on a device: the operator's own, except where a lane has few registers. What tells that comes with the
// first such device.
import type { Capabilities } from './device.ts';
import type { Kernel } from './kernel.ts';
import { importForDevices } from './kernel-modules.ts';

let registers: typeof import('./registers.ts') | undefined;

/** Loads it, for capabilities that are not those of a device. */
export async function loadRanking(): Promise<void> {
  registers ??= await import('./registers.ts');
}

importForDevices(({ laneRegisters }) => (Number.isFinite(laneRegisters) ? loadRanking() : undefined));

/** The candidates, those first that a lane has the registers for. */
export function ranked(candidates: readonly Kernel[], capabilities: Capabilities): readonly Kernel[] {
  if (!Number.isFinite(capabilities.laneRegisters)) return candidates;
  return registers?.byRegisters(candidates, capabilities) ?? candidates;
}
