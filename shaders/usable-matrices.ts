// Whether a device multiplies subgroup matrices: weights are laid out by it, whichever kernel is chosen.
import type { Capabilities } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import type { MatrixShape } from '../engine/matrices.ts';
import { subgroupsOf } from './subgroups.ts';

/**
 * The shapes in which kernels multiply tensors of this storage type on such a device, the likeliest first. None where no subgroup size
 * can be counted on, and on software adapters, which would only imitate it.
 */
export function usableMatrices(storage: StorageType, capabilities: Capabilities): readonly MatrixShape[] {
  if (!subgroupsOf(capabilities) || capabilities.adapter.software) return [];
  return capabilities.matrices.filter(({ component }) => component === storage);
}
