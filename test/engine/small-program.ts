// A network small enough to compile in no time, for tests of what surrounds the kernels.
import type { Device } from '../../engine/device.ts';
import type { Value } from '../../engine/graph.ts';
import { Graph } from '../../engine/graph.ts';
import type { Kernel } from '../../engine/kernel.ts';
import type { Plan } from '../../engine/plan.ts';
import { createPlan } from '../../engine/plan.ts';
import type { TensorSource } from '../../engine/weights.ts';
import { add } from '../../shaders/index.ts';

/** `times` additions of the weight `w` to the input `x`, both [5, 6]; keeps `first` and `last`. */
export function sumGraph(times: number): Graph {
  const graph = new Graph();
  const weight = graph.weight('w', [5, 6], 'f32');
  let value: Value = graph.input('x', [5, 6], 'f32');
  for (let i = 0; i < times; i++) {
    value = add(graph, value, weight, { name: `sum ${i}` });
    if (i === 0) graph.keep('first', value);
  }
  graph.keep('last', value);
  return graph;
}

export const sumPlan = (device: Device, times: number): Plan => createPlan(sumGraph(times), device.capabilities);

/** The weight of sumGraph: element i is i / 8. */
export const sumWeights = Float32Array.from({ length: 30 }, (_, i) => i / 8);

/** Tensors in memory as a source of weights. `onRead` is told of every read before it answers. */
export function tensorSource(
  tensors: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly data: () => Float32Array<ArrayBuffer> }>
  >,
  onRead: (name: string) => void = () => undefined,
): TensorSource {
  return {
    name: 'test',
    tensors: new Map(Object.entries(tensors).map(([name, { shape }]) => [name, { dtype: 'F32', shape }])),
    order: () => Object.keys(tensors),
    async read(name) {
      onRead(name);
      return tensors[name].data();
    },
  };
}

export const sumSource = (): TensorSource => tensorSource({ w: { shape: [5, 6], data: () => sumWeights.slice() } });

/** x of sumGraph in rowLayout, element i of x being `scale` * i. */
export function sumInput(scale: number): Float32Array<ArrayBuffer> {
  const padded = new Float32Array(5 * 8);
  for (let i = 0; i < 30; i++) padded[Math.floor(i / 6) * 8 + (i % 6)] = scale * i;
  return padded;
}

/** What sumGraph makes of sumInput(scale) after `times` additions. */
export const sumExpected = (scale: number, times: number): Float32Array =>
  Float32Array.from(sumWeights, (w, i) => scale * i + times * w);

/** A kernel of this text and nothing else, but for what `parts` says. */
export function kernelOfText(source: string, parts: Partial<Kernel> = {}): Kernel {
  return {
    name: 'one',
    variant: 'kernel',
    source,
    imports: {},
    constants: {},
    params: {},
    workgroups: [1, 1, 1],
    features: [],
    ...parts,
  };
}

/** A graph of one kernel with this body of `main`, which writes `output`, [8] in f32, kept under that name. */
export function oneKernelGraph(body: string): Graph {
  const graph = new Graph();
  const output = graph.activation('output', [8], 'f32');
  const kernel = kernelOfText(
    [
      '@group(0) @binding(0) var<storage, read_write> output: array<vec4f>; // [8]',
      '@compute @workgroup_size(1)',
      'fn main() {',
      `  ${body}`,
      '}',
    ].join('\n'),
  );
  graph.add({ name: 'one', operator: 'one', inputs: {}, outputs: { output }, flops: 0, candidates: () => [kernel] });
  graph.keep('output', output);
  return graph;
}

/** The bytes of a buffer as float32. */
export async function readBuffer(gpu: GPUDevice, buffer: GPUBuffer): Promise<Float32Array<ArrayBuffer>> {
  const staging = gpu.createBuffer({ size: buffer.size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  gpu.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const floats = new Float32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  return floats;
}
