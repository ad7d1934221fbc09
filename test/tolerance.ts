// The one table of tolerances. Each is derived from the arithmetic, not from what a kernel happens to give.
import type { StorageType } from '../engine/dtype.ts';

/** Unit roundoff: half the distance from 1 to the next number. */
const unit: Readonly<Record<StorageType, number>> = { f32: 2 ** -24, f16: 2 ** -11 };

/**
 * A sum of n products in f32, in any order, is off by at most n u sum|a b| (Higham, Accuracy and Stability of Numerical Algorithms,
 * 2nd ed., eq. 3.5). Roundings are as good as independent, so the sum grows with sqrt n (ibid., section 2.8): 4 sqrt n u is four
 * standard deviations. `magnitude` is the largest sum|a b|.
 */
export function sumTolerance(terms: number, magnitude: number): number {
  return (4 * Math.sqrt(terms) + 4) * unit.f32 * magnitude;
}

/** A result rounded to its storage type, of this magnitude; half storage may flush what is below its normal range. */
export function storageTolerance(storage: StorageType, magnitude: number): number {
  return unit[storage] * magnitude + (storage === 'f16' ? 2 ** -14 : 2 ** -126);
}

/** exp in WGSL is right to 3 + 2|x| units in the last place (WGSL, section 15.7.4.1, table of accuracies). */
export function expTolerance(largestArgument: number): number {
  return (3 + 2 * largestArgument) * 2 * unit.f32;
}

/**
 * Swish(x) = x s of an x that is right: an error of exp moves it by |x| s (1 - s) (3 + 2|x|) units, which is at most 4 u; a sum, a
 * division (2.5 units) and a product move it by 8 u of its magnitude.
 */
export function swishTolerance(magnitude: number): number {
  return (4 + 8 * magnitude) * unit.f32;
}
