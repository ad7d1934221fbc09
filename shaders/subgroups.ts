// What a kernel needs that counts on the lanes of its subgroups.
import type { Capabilities } from '../engine/device.ts';
import type { Kernel } from '../engine/kernel.ts';
import sizeAny from './shared/subgroup-size-any.wgsl';
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
    : { lanes: subgroupSize, text: sizeAny, features: ['subgroups'] };
}
