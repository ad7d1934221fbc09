// What the kernel laboratory reports: the JSON of `stam bench --kernels --json`.
import type { AdapterDescription } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import type { Ceiling } from './ceiling.ts';
import type { MatrixCeiling } from './ceiling-matrix.ts';
import type { OtherCeilings } from './ceiling-units.ts';
import type { Unit } from './kernel-units.ts';

/** One candidate of one problem. What was not measured is null. */
export interface KernelResult {
  readonly operator: string;
  /** Shapes and storage of the operands. */
  readonly problem: string;
  /** Models that have it, and how many of their nodes. */
  readonly models: readonly string[];
  readonly calls: number;
  /** Of the whole problem. */
  readonly flops: number;
  /** Each bound tensor counted once. */
  readonly bytes: number;
  /** Name and variant. */
  readonly kernel: string;
  readonly tile: string | null;
  /** Of the whole problem, the median of the rounds; extrapolated where `part` is less than 1. */
  readonly ms: number | null;
  readonly msRange: {
    readonly min: number;
    readonly max: number;
    readonly rounds: number;
    readonly repeats: number;
  } | null;
  /** How much of the problem's work each dispatch did. */
  readonly part: number | null;
  readonly gflops: number | null;
  readonly gbps: number | null;
  /** The unit that the kernel keeps busy, how much it makes of its ceiling, and that: in GFLOP/s, of the memory in GB/s. */
  readonly unit: Unit;
  readonly share: number | null;
  readonly ceiling: number | null;
  /** The largest difference to plain loops in double precision, as a fraction of the largest element. */
  readonly error: number | null;
  /** `ok`, or `wrong: ...`, `refused: ...`, `unchecked: ...`, `not timed: ...`, `not reached: ...`, `lost: ...`. */
  readonly status: string;
  /** Whether the rules choose it. */
  readonly chosen: boolean;
}

export interface KernelReport {
  readonly version: string;
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly adapter: AdapterDescription;
  readonly features: readonly string[];
  /** Whether shaders ran without checks of indices, and with workgroup memory as it was found. */
  readonly unchecked: boolean;
  readonly dtype: StorageType;
  readonly batch: number;
  readonly ceilings: Ceiling & OtherCeilings & { readonly matrices: readonly MatrixCeiling[] };
  /** By problem, those first on which most arithmetic is spent; of each problem the fastest first. */
  readonly rows: readonly KernelResult[];
}
