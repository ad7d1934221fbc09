// What a bench run reports: the JSON of `stam bench --json` and of results/.
import type { AdapterDescription } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import type { TunedProblem } from '../engine/tuned.ts';
import type { Ceiling } from './ceiling.ts';
import type { MatrixCeiling } from './ceiling-matrix.ts';
import type { Unit } from './kernel-units.ts';

export interface KernelRow {
  readonly name: string;
  readonly variant: string;
  readonly calls: number;
  /** All calls of one run together. */
  readonly ms: number;
  readonly gflops: number;
  /** On which unit it computes, and how much of that unit's ceiling it reaches. */
  readonly unit: Exclude<Unit, 'memory'>;
  readonly fraction: number;
  /** Billions of bytes a second, each binding counted once: what the kernel cannot avoid to move. */
  readonly gbps: number;
  /** Of the adapter's measured bandwidth. Above 1 where caches answer. */
  readonly fractionOfBandwidth: number;
}

export interface BenchRow {
  readonly model: string;
  readonly frames: number;
  readonly batch: number;
  readonly dtype: StorageType;
  readonly videosPerSecond: number;
  readonly msPerVideo: { readonly median: number; readonly min: number; readonly max: number; readonly runs: number };
  readonly gflopPerVideo: number;
  readonly gflopPerSecond: number;
  /** Of the arithmetic ceiling: that of matrices of this dtype where the device has them, else of f32 multiply-adds. */
  readonly fractionOfCeiling: number;
  readonly weightBytes: number;
  readonly peakBytes: number;
  /** From the first weight read to the last byte on the GPU; compileMs overlaps it. */
  readonly uploadMs: number;
  /** From the first weight read to the model being ready; compileMs overlaps it. */
  readonly loadMs: number;
  readonly compileMs: number;
  /** Distinct pipelines compiled for this row: what earlier rows compiled is not counted again. */
  readonly pipelines: number;
  readonly tuneMs: number;
  /** Where the choice of kernels comes from, and what was tried for each problem. */
  readonly tuning: { readonly origin: string; readonly problems: readonly TunedProblem[] };
  /** The first logits after loading, with whatever the driver compiles only now. */
  readonly firstVideoMs: number;
  /** Recording and submitting one run on the host. */
  readonly encodeMs: number;
  /** Largest |logit difference| to the official code; null when there is no reference for these weights. */
  readonly maxAbsError: number | null;
  /** Empty without the feature timestamp-query. */
  readonly kernels: readonly KernelRow[];
}

export interface BenchReport {
  readonly version: string;
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly adapter: AdapterDescription;
  readonly features: readonly string[];
  readonly ceiling: Ceiling;
  /** Of matrix units, each shape that the device has; with them f16 runs are compared. */
  readonly matrixCeilings: readonly MatrixCeiling[];
  /** Whether shaders ran without checks of indices; reports of earlier versions do not say. */
  readonly unchecked?: boolean;
  readonly rows: readonly BenchRow[];
}
