// What a kernel needs that counts on the lanes of its subgroups.
import type { Capabilities } from '../engine/device.ts';
import type { Kernel } from '../engine/kernel.ts';
import nothing from './shared/nothing.wgsl';
import rowCount from './shared/row-count.wgsl';
import sizeAsked from './shared/subgroup-size-asked.wgsl';

export interface Subgroups {
  readonly lanes: number;
  /** The import `subgroup`, which stands between a kernel's attributes and its function. It uses the constant LANES. */
  readonly text: string;
  readonly features: Kernel['features'];
}

/** Undefined where a kernel can count on no size. */
export function subgroupsOf({ subgroupSize, subgroupSizeVaries }: Capabilities): Subgroups | undefined {
  if (subgroupSize === undefined) return undefined;
  return subgroupSizeVaries
    ? { lanes: subgroupSize, text: sizeAsked, features: ['subgroups', 'subgroup-size-control' as GPUFeatureName] }
    : { lanes: subgroupSize, text: nothing, features: ['subgroups'] };
}

/** Whether the driver is llvmpipe, where larger tiles pay. */
export function isLlvmpipe({ adapter }: Capabilities): boolean {
  return /llvmpipe/i.test(adapter.description);
}

/**
 * For kernels whose lanes hold `rows` rows: the constant ROW_COUNT, which unrolls the loops that load and store rows, or the import
 * `row-count`, which keeps software drivers from it: each load is hundreds of instructions there, which take them long to compile.
 */
export function rowLoops(
  rows: number,
  capabilities: Capabilities,
): { readonly constants: Readonly<Record<string, number>>; readonly text: string } {
  return capabilities.adapter.software
    ? { constants: { ROWS: rows }, text: rowCount }
    : { constants: { ROWS: rows, ROW_COUNT: rows }, text: nothing };
}
