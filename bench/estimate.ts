// About how long a bench takes, told before it begins: whoever starts one is to know whether to wait for it.
import os from 'node:os';
import type { AdapterDescription, Capabilities } from '../engine/device.ts';
import type { Graph } from '../engine/graph.ts';

/** What is to be measured of one model. */
export interface Task {
  /** `stam_16, 1 video in f32` */
  readonly name: string;
  /** Floating-point operations of all runs together. */
  readonly flops: number;
  readonly family: Family;
  /** Whether kernels are tried first. */
  readonly isTuned: boolean;
}

type Family = 'stam' | 'x3d';

/** What is known of an adapter by the runs in results/. */
interface Experience {
  /** Of the measured ceiling, what a whole network reaches. */
  readonly share: Readonly<Record<Family, number>>;
  /** Milliseconds before a model's first run: weights made by rule and uploaded, kernels compiled and checked. */
  readonly loadMs: number;
  readonly tuneMs: number;
  /** GFLOP/s of the ceiling for each of its units, a processor's or a GPU's, where no ceiling is measured. */
  readonly gflopsPerUnit: number;
}

const experiences: Readonly<Record<'swiftshader' | 'software' | 'gpu', Experience>> = {
  swiftshader: { share: { stam: 0.23, x3d: 0.2 }, loadMs: 8000, tuneMs: 30_000, gflopsPerUnit: 9 },
  software: { share: { stam: 0.3, x3d: 0.15 }, loadMs: 25_000, tuneMs: 30_000, gflopsPerUnit: 38 },
  gpu: { share: { stam: 0.25, x3d: 0.05 }, loadMs: 8000, tuneMs: 6500, gflopsPerUnit: 250 },
};

function experienceOf({ software, description }: AdapterDescription): Experience {
  if (!software) return experiences.gpu;
  return /swiftshader/i.test(description) ? experiences.swiftshader : experiences.software;
}

/** Floating-point operations of one run of a graph. */
export function flopsOf({ nodes }: Graph): number {
  return nodes.reduce((sum, { flops }) => sum + flops, 0);
}

/** GFLOP/s that an adapter's ceiling should come to, where none is measured. */
export function expectedCeiling({ adapter, units }: Pick<Capabilities, 'adapter' | 'units'>): number {
  return experienceOf(adapter).gflopsPerUnit * (adapter.software ? os.availableParallelism() : units);
}

/** Milliseconds that a task takes on an adapter of this ceiling in GFLOP/s, and of these what comes before its first run. */
export function estimateMs(
  { flops, family, isTuned }: Omit<Task, 'name'>,
  adapter: AdapterDescription,
  ceiling: number,
): { readonly ms: number; readonly beforeMs: number } {
  const { share, loadMs, tuneMs } = experienceOf(adapter);
  const beforeMs = loadMs + (isTuned ? tuneMs : 0);
  return { ms: beforeMs + flops / (ceiling * share[family] * 1e6), beforeMs };
}

/** A line for each task, and one for all where there are several. */
export function estimateLines(tasks: readonly Task[], adapter: AdapterDescription, ceiling: number): string[] {
  const estimates = tasks.map((task) => estimateMs(task, adapter, ceiling));
  const lines = tasks.map(({ name, isTuned }, i) => {
    const { ms, beforeMs } = estimates[i];
    return `${name}: about ${about(ms)}, of which ${about(beforeMs)} to load${isTuned ? ', tune' : ''} and compile`;
  });
  const total = estimates.reduce((sum, { ms }) => sum + ms, 0);
  return tasks.length > 1 ? [...lines, `in all about ${about(total)}`] : lines;
}

/** A guess in words, no finer than it can be. */
export function about(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 90) return `${Math.max(1, seconds < 15 ? Math.round(seconds) : 5 * Math.round(seconds / 5))} s`;
  const minutes = seconds / 60;
  return minutes < 90 ? `${Math.round(minutes)} minutes` : `${(minutes / 60).toPrecision(2)} hours`;
}

/** Milliseconds that measureCeiling() and measureMatrices() take. */
export function ceilingsMs({ matrices }: Pick<Capabilities, 'matrices'>): number {
  return 4000 + 2000 * matrices.length;
}
