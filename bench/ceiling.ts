// The adapter's own ceilings, measured: arithmetic and memory. Every kernel is reported as a fraction of them. A ceiling that is too
// low flatters the kernels, so each is the best of several forms: no single one is the best on every adapter.
import type { Device } from '../engine/device.ts';
import { Graph } from '../engine/graph.ts';
import type { Kernel } from '../engine/kernel.ts';
import { linearGrid } from '../engine/kernel.ts';
import { createPlan } from '../engine/plan.ts';
import { Program } from '../engine/program.ts';
import { elementCount } from '../engine/shape.ts';
import { Weights } from '../engine/weights.ts';
import copySource from './ceiling-copy.wgsl';
import scalarSource from './ceiling-scalars.wgsl';
import vectorSource from './ceiling-vector.wgsl';

export interface Ceiling {
  /** Billions of floating-point operations a second, f32 multiply-adds counted as two. */
  readonly gflops: number;
  /** Billions of bytes a second, read and written. */
  readonly gbps: number;
}

/** One way to keep the adapter busy. */
export interface Form {
  readonly name: string;
  /** What the kernel takes beside its params; nothing when left out. */
  readonly parts?: Partial<Pick<Kernel, 'imports' | 'constants' | 'features'>>;
  readonly source: string;
  readonly params: Readonly<Record<string, number>>;
  readonly workgroups: number;
  /** Shape of the result, in f32. */
  readonly output: readonly number[];
  readonly input?: readonly number[];
  /** Floating-point operations or bytes of one dispatch. */
  readonly work: number;
}

/** Measures both, in about three seconds. */
export async function measureCeiling(device: Device): Promise<Ceiling> {
  const { software } = device.capabilities.adapter;
  const lanes = software ? 2 ** 14 : 2 ** 20;
  const turns = software ? 10 : 50;
  const arithmetic = (name: string, source: string): Form => ({
    name,
    source,
    params: { turns },
    workgroups: lanes / 64,
    output: [lanes],
    work: lanes * turns * 320 * 2, // both forms write out 320 multiply-adds a turn
  });
  const quads = software ? 2 ** 21 : 2 ** 23;
  const copy: Form = {
    name: 'ceiling-copy',
    source: copySource,
    params: {},
    workgroups: quads / 1024,
    output: [quads, 4],
    input: [quads, 4],
    work: 2 * quads * 16,
  };
  const forms = [arithmetic('ceiling-scalars', scalarSource), arithmetic('ceiling-vector', vectorSource)];
  const [scalars, vector] = await rates(device, forms);
  const [copied] = await rates(device, [copy]);
  return { gflops: Math.max(scalars, vector) / 1e6, gbps: copied / 1e6 };
}

/**
 * The most work a millisecond that each of the forms does. They take turns, so that what disturbs the machine meets all of them. Throws
 * shader, limit or unsupported for a form that the device cannot run.
 */
export async function rates(device: Device, forms: readonly Form[], budgetMs = defaultBudgetMs): Promise<number[]> {
  const programs: { program: Program; weights: Weights }[] = [];
  try {
    for (const form of forms) programs.push(await prepare(device, form));
    const time = async (index: number, repeats: number) => {
      const begin = performance.now();
      const encoder = device.gpu.createCommandEncoder();
      for (let i = 0; i < repeats; i++) programs[index].program.encode(encoder, {});
      device.gpu.queue.submit([encoder.finish()]);
      await device.gpu.queue.onSubmittedWorkDone();
      return performance.now() - begin;
    };
    const most = forms.map(() => 0);
    const repeats: number[] = [];
    const begin = performance.now();
    for (let round = 0; round < leastRounds || performance.now() < begin + budgetMs; round++) {
      for (const [index, { work }] of forms.entries()) {
        // the first compiles, on some adapters; the second tells how often to repeat until the launch no longer counts
        const ms = await time(index, repeats[index] ?? 1);
        if (round === 1) repeats[index] = Math.min(maxRepeats, Math.ceil(wantedMs / ms));
        if (round > 1) most[index] = Math.max(most[index], (work * repeats[index]) / ms);
      }
    }
    return most;
  } finally {
    for (const { program, weights } of programs) {
      program.dispose();
      weights.dispose();
    }
  }
}

/** The kernel that a form dispatches. */
export function kernelOf({ name, parts, source, params, workgroups }: Form): Kernel {
  return {
    name,
    variant: 'ceiling',
    source,
    imports: {},
    constants: {},
    features: [],
    ...parts,
    params,
    workgroups: linearGrid(workgroups),
  };
}

/** Short and many: on a busy machine some of them run undisturbed. */
const leastRounds = 7;
const defaultBudgetMs = 1500;
/** What a timed submission should take, so that its launch does not count, and the most dispatches that it may take for that. */
const wantedMs = 10;
const maxRepeats = 200;

async function prepare(device: Device, form: Form): Promise<{ program: Program; weights: Weights }> {
  const graph = new Graph();
  const output = graph.activation('output', form.output, 'f32');
  const inputs = form.input ? { input: graph.weight('input', form.input, 'f32') } : {};
  const kernel = kernelOf(form);
  const { name } = form;
  graph.add({ name, operator: name, inputs, outputs: { output }, flops: 0, candidates: () => [kernel] });
  const zeros = {
    name: 'zeros',
    tensors: new Map([...graph.weights].map(([weight, { shape }]) => [weight, { dtype: 'F32', shape }])),
    order: () => [...graph.weights.keys()],
    read: async (weight: string) => new Float32Array(elementCount(graph.weights.get(weight)?.shape ?? [])),
  };
  const weights = await Weights.upload(device, zeros, graph.weights);
  return { program: await Program.create(device, createPlan(graph, device.capabilities), weights), weights };
}
