// The adapter's own ceilings, measured: arithmetic and memory. Every kernel is reported as a fraction of them.
import type { Device } from '../engine/device.ts';
import { Graph } from '../engine/graph.ts';
import type { Kernel } from '../engine/kernel.ts';
import { linearGrid } from '../engine/kernel.ts';
import { createPlan } from '../engine/plan.ts';
import { Program } from '../engine/program.ts';
import { Weights } from '../engine/weights.ts';
import copySource from './ceiling-copy.wgsl';
import fmaSource from './ceiling-fma.wgsl';

export interface Ceiling {
  /** Billions of floating-point operations a second, f32 multiply-adds counted as two. */
  readonly gflops: number;
  /** Billions of bytes a second, read and written. */
  readonly gbps: number;
}

/** Measures both, in about a second. */
export async function measureCeiling(device: Device): Promise<Ceiling> {
  const { software } = device.capabilities.adapter;
  const lanes = software ? 16384 : 2 ** 20;
  const turns = software ? 4000 : 1000;
  const flops = lanes * turns * 8 * 4 * 2;
  const fma = await fastest(device, 'fma', lanes, {
    name: 'ceiling-fma',
    source: fmaSource,
    params: { turns },
    workgroups: linearGrid(lanes / 64),
  });
  const quads = software ? 2 ** 21 : 2 ** 23;
  const copy = await fastest(device, 'copy', quads, {
    name: 'ceiling-copy',
    source: copySource,
    params: {},
    workgroups: linearGrid(quads / 64),
  });
  return { gflops: flops / fma / 1e6, gbps: (2 * quads * 16) / copy / 1e6 };
}

/** The least of five wall-clock times of one kernel, in milliseconds. */
async function fastest(
  device: Device,
  operator: string,
  quads: number,
  variant: Pick<Kernel, 'name' | 'source' | 'params' | 'workgroups'>,
): Promise<number> {
  const graph = new Graph();
  const output = graph.activation('output', [quads, 4], 'f32');
  const input = operator === 'copy' ? { input: graph.input('input', [quads, 4], 'f32') } : {};
  const kernel: Kernel = { ...variant, variant: 'f32', imports: {}, constants: {}, features: [] };
  graph.add({ name: operator, operator, inputs: input, outputs: { output }, flops: 0, candidates: () => [kernel] });
  const none = {
    name: 'none',
    tensors: new Map(),
    order: () => [],
    read: () => Promise.reject(new Error('no weights')),
  };
  const weights = await Weights.upload(device, none, new Map());
  const program = await Program.create(device, createPlan(graph, device.capabilities), weights);
  const times: number[] = [];
  for (let run = 0; run < 6; run++) {
    const begin = performance.now();
    const encoder = device.gpu.createCommandEncoder();
    program.encode(encoder);
    device.gpu.queue.submit([encoder.finish()]);
    await device.gpu.queue.onSubmittedWorkDone();
    times.push(performance.now() - begin);
  }
  program.dispose();
  return Math.min(...times.slice(1)); // the first compiles, on some adapters
}
