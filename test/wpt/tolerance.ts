// How far the web-platform-tests let a result be off: their webnn/resources/utils.js, which gives every operator a number of units in the
// last place (ULP) of its output's type, or an absolute difference (ATOL).

import type { StorageType } from '../../engine/dtype.ts';
import { floatToHalf } from '../../engine/dtype.ts';

export type Tolerance =
  | { readonly metric: 'ULP'; readonly value: number }
  | { readonly metric: 'ATOL'; readonly value: Readonly<Record<StorageType, number>> };

const ulp = (value: number): Tolerance => ({ metric: 'ULP', value });

/** `terms` is the length of the sums: K of a matmul, height x width x channels / groups of a filter, the axis of a softmax. */
export const tolerances = {
  add: ulp(1),
  relu: ulp(0),
  sigmoid: ulp(34),
  matmul: (terms: number) => ulp(2 * terms),
  conv2d: (terms: number) => ulp(2 * terms),
  softmax: (terms: number) => ulp(3 * terms + 3),
  layerNormalization: { metric: 'ATOL', value: { f32: 1 / 1024, f16: 1 / 512 } },
} as const satisfies Record<string, Tolerance | ((terms: number) => Tolerance)>;

const scratch = new DataView(new ArrayBuffer(4));

/** Patterns of numbers of one sign count up with their magnitude. */
function pattern(magnitude: number, storage: StorageType): number {
  if (storage === 'f16') return floatToHalf(magnitude);
  scratch.setFloat32(0, magnitude);
  return scratch.getUint32(0);
}

/** Units in the last place between two numbers; infinite between different signs, as in the web-platform-tests, but not between zeros. */
export function ulpDistance(got: number, want: number, storage: StorageType): number {
  if (got === want) return 0;
  if (!Number.isFinite(got) || got < 0 !== want < 0) return Number.POSITIVE_INFINITY;
  return Math.abs(pattern(Math.abs(got), storage) - pattern(Math.abs(want), storage));
}

export interface Deviation {
  readonly index: number;
  readonly got: number;
  readonly want: number;
  readonly error: number;
}

/** The elements that are further off than allowed. */
export function deviations(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  { storage, tolerance }: { readonly storage: StorageType; readonly tolerance: Tolerance },
): Deviation[] {
  const limit = tolerance.metric === 'ULP' ? tolerance.value : tolerance.value[storage];
  return Array.from(want, (value, index) => {
    const error = tolerance.metric === 'ULP' ? ulpDistance(got[index], value, storage) : Math.abs(got[index] - value);
    return { index, got: got[index], want: value, error };
  }).filter(({ error }) => !(error <= limit));
}
