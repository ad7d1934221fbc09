// The order of a node's candidates on a device: the operator's own, except where a lane has few registers. What tells that comes with the
// first such device.
import type { Capabilities } from './device.ts';
import type { Kernel } from './kernel.ts';
import { forDevices } from './kernel-modules.ts';

const registers = forDevices(
  () => import('./registers.ts'),
  ({ laneRegisters }) => Number.isFinite(laneRegisters),
);
export const { load: loadRanking } = registers;

/** The candidates, those first that a lane has the registers for. */
export function ranked(candidates: readonly Kernel[], capabilities: Capabilities): readonly Kernel[] {
  if (!Number.isFinite(capabilities.laneRegisters)) return candidates;
  return registers.loaded?.byRegisters(candidates, capabilities) ?? candidates;
}
