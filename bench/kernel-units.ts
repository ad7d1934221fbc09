// Which unit of an adapter a kernel keeps busy: the one place that knows.
import type { StorageType } from '../engine/dtype.ts';
import type { Kernel } from '../engine/kernel.ts';
import { matrixFeature } from '../engine/matrices.ts';
import type { Ceiling } from './ceiling.ts';
import type { MatrixCeiling } from './ceiling-matrix.ts';
import { matrixGflops } from './ceiling-matrix.ts';

/** Subgroup matrices of f16 or f32, f32 multiply-adds, or the memory. */
export type Unit = 'matrix f16' | 'matrix f32' | 'f32' | 'memory';

/** What the kernels of one problem do. */
export interface Work {
  readonly flops: number;
  readonly bytes: number;
}

/**
 * Operations to a byte below which a kernel does nothing but move data: no adapter's arithmetic is that slow beside its memory. A matmul
 * of a single row is among them.
 */
const fewOperations = 4;

export function unitOf(kernel: Pick<Kernel, 'features'>, { flops, bytes }: Work): Unit {
  return flops < fewOperations * bytes ? 'memory' : arithmeticUnitOf(kernel);
}

/** The unit on which a kernel computes, however much that is. */
export function arithmeticUnitOf({ features }: Pick<Kernel, 'features'>): Exclude<Unit, 'memory'> {
  if (!matrixFeature(new Set(features))) return 'f32';
  return features.includes('shader-f16') ? 'matrix f16' : 'matrix f32';
}

/** What was measured of a device's units. */
export interface UnitCeilings {
  readonly basic: Ceiling;
  readonly matrices: readonly MatrixCeiling[];
}

/** The ceiling of a unit, in GFLOP/s, of the memory in GB/s; undefined where it was not measured. */
export function ceilingOf(unit: Unit, { basic, matrices }: UnitCeilings): number | undefined {
  switch (unit) {
    case 'memory':
      return basic.gbps;
    case 'f32':
      return basic.gflops;
    case 'matrix f16':
      return matrixGflops(matrices, 'f16');
    case 'matrix f32':
      return matrixGflops(matrices, 'f32');
  }
}

/** What arithmetic on tensors of a storage type can reach, in GFLOP/s: by matrices of that type where the device has them. */
export function arithmeticCeiling(storage: StorageType, { basic, matrices }: UnitCeilings): number {
  return Math.max(basic.gflops, matrixGflops(matrices, storage) ?? 0);
}
