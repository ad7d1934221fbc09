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

/**
 * What is lost where every `short` of n products are added in f16: a short sum's roundings, one for each product, are off by at most
 * gamma sum|a b| of its products, gamma being s u / (1 - s u) (ibid., lemma 3.1), and so all of them by gamma of the sum over all
 * products, the `magnitude`. Halves below the normal range may be flushed: of each product, whose factors are at most 1 where the other
 * is so small, and of the sum that it comes to.
 */
export function shortSumTolerance(short: number, { terms, magnitude }: Products): number {
  const roundings = short * unit.f16;
  return (roundings / (1 - roundings)) * magnitude + 2 * terms * 2 ** -14;
}

/** Of the products that an element is the sum of: how many there are, and the largest sum|a b|. */
export interface Products {
  readonly terms: number;
  readonly magnitude: number;
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
