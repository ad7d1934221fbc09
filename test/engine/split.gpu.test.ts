// Kernels whose work is cut into parts that another kernel puts together: how they are planned, tried and run.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import { Graph } from '../../engine/graph.ts';
import type { Kernel } from '../../engine/kernel.ts';
import { partOf } from '../../engine/kernel.ts';
import { createPlan } from '../../engine/plan.ts';
import { Program } from '../../engine/program.ts';
import { Weights } from '../../engine/weights.ts';
import { defaultCapabilities } from '../capabilities.ts';
import { openTestDevice } from '../device.ts';
import { doubling, rows } from './doubling.ts';
import { tensorSource } from './small-program.ts';
import { tuneDevice } from './tune-device.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

const common = { imports: {}, constants: {}, features: [] } as const;

/** output = 2 input, [rows, 4]: each of two parts leaves the input, the reduction adds them up. */
function splitDoubling(bytes = 2 * rows * 16): Kernel {
  return {
    ...common,
    name: 'double',
    tile: 'split',
    variant: 'split',
    source: `
@group(0) @binding(0) var<storage, read> input: array<vec4f>;           // [R, 4]
@group(0) @binding(7) var<storage, read_write> partial: array<vec4f>;   // [2, R, 4]
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) { partial[id.z * ${rows} + id.y * 64 + id.x] = input[id.y * 64 + id.x]; }
`,
    params: {},
    workgroups: [1, rows / 64, 2],
    split: {
      scratch: 'partial',
      bytes,
      reduction: {
        ...common,
        name: 'double-reduction',
        variant: '',
        source: `
struct Params { parts: u32 }
@group(0) @binding(1) var<storage, read_write> output: array<vec4f>;    // [R, 4]
@group(0) @binding(6) var<uniform> params: Params;
@group(0) @binding(7) var<storage, read> partial: array<vec4f>;         // [2, R, 4]
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  var sum = vec4f(0);
  for (var part = 0u; part < params.parts; part++) { sum += partial[part * ${rows} + id.x]; }
  output[id.x] = sum;
}
`,
        params: { parts: 2 },
        workgroups: [rows / 64, 1, 1],
      },
    },
  };
}

function graphOf(candidates: readonly Kernel[], count = 2): Graph {
  const graph = new Graph();
  let value = graph.input('input', [rows, 4], 'f32');
  for (let i = 0; i < count; i++) {
    const output = graph.activation(`double ${i}`, [rows, 4], 'f32');
    graph.add({
      name: `double ${i}`,
      operator: 'double',
      inputs: { input: value },
      outputs: { output },
      flops: rows,
      candidates: () => candidates,
    });
    value = output;
  }
  graph.keep('result', value);
  return graph;
}

test('a node becomes two dispatches that share one scratch buffer with all other nodes; its work is counted once', () => {
  const plan = createPlan(graphOf([splitDoubling()]), defaultCapabilities);
  const dispatches = plan.commands.flatMap((command) => (command.kind === 'dispatch' ? [command] : []));
  expect(dispatches.map(({ kernel, flops, reduces }) => [kernel.name, flops, reduces])).toEqual([
    ['double', rows, false],
    ['double-reduction', 0, true],
    ['double', rows, false],
    ['double-reduction', 0, true],
  ]);
  expect(dispatches.map(({ bindings }) => Object.keys(bindings).sort())).toEqual([
    ['input', 'partial'],
    ['output', 'partial'],
    ['input', 'partial'],
    ['output', 'partial'],
  ]);
  expect(new Set(dispatches.map(({ bindings }) => JSON.stringify(bindings['partial'])))).toHaveProperty('size', 1);
  expect(plan.slots).toHaveLength(3);
  expect(plan.slots[2]).toBe(2 * rows * 16);
});

test('a scratch buffer that the device cannot have makes the plan take another kernel', () => {
  const tooLarge = splitDoubling(defaultCapabilities.limits.storageBufferBindingBytes + 16);
  const plan = createPlan(graphOf([tooLarge, doubling('whole')]), defaultCapabilities);
  expect(plan.commands.flatMap((command) => (command.kind === 'dispatch' ? [command.kernel.tile] : []))).toEqual([
    'whole',
    'whole',
  ]);
  expect(() => createPlan(graphOf([tooLarge]), defaultCapabilities)).toThrow(/maxStorageBufferBindingSize/);
});

test('a kernel of more workgroups than a dispatch may have is left to smaller problems, by the plan and by the tuner', async () => {
  const tooMany: Kernel = { ...doubling('too many'), workgroups: [1, 65536, 1] };
  const graph = graphOf([tooMany, doubling('whole')], 1);
  const plan = createPlan(graph, defaultCapabilities);
  expect(plan.commands.flatMap((command) => (command.kind === 'dispatch' ? [command.kernel.tile] : []))).toEqual([
    'whole',
  ]);
  expect(() => createPlan(graphOf([tooMany]), defaultCapabilities)).toThrow(/maxComputeWorkgroupsPerDimension/);
  const { problems } = await tuneDevice(device, graph);
  expect(problems[0]).toMatchObject({ way: 'double whole', refused: [{ way: 'double too many' }] });
});

test('the two halves have to bind all tensors of the node', () => {
  const { split, ...half } = splitDoubling();
  expect(() => createPlan(graphOf([half]), defaultCapabilities)).toThrow(/name different tensors/);
  expect(split?.reduction.name).toBe('double-reduction');
});

test('it runs, and the tuner tries it beside the others', async () => {
  const input = Float32Array.from({ length: rows * 4 }, (_, i) => i / 8);
  const graph = graphOf([splitDoubling(), doubling('whole')]);
  const weights = await Weights.upload(device, tensorSource({}), new Map());
  const program = await Program.create(device, createPlan(graph, device.capabilities), weights);
  program.poison();
  expect((await program.run({ input })).get('result')).toEqual(input.map((x) => 4 * x));
  program.dispose();
  weights.dispose();
  const { problems } = await tuneDevice(device, graph);
  expect(problems[0].wrong).toEqual([]);
  expect(problems[0].tried.map(({ way }) => way).sort()).toEqual(['double split', 'double whole']);
});

test('a part of a kernel is some of its workgroups along the outermost dimension, which are not the parts of a split', () => {
  const kernel = (...workgroups: [number, number, number]) => ({ ...doubling('a'), workgroups });
  expect(partOf(kernel(6, 5, 4), 0.5)).toEqual({ workgroups: [6, 5, 2], fraction: 0.5 });
  expect(partOf(kernel(6, 5, 1), 0.5)).toEqual({ workgroups: [6, 3, 1], fraction: 0.6 });
  expect(partOf({ ...splitDoubling(), workgroups: [6, 5, 2] }, 0.5)).toEqual({ workgroups: [6, 3, 2], fraction: 0.6 });
  expect(partOf(kernel(6, 1, 1), 0.01)).toEqual({ workgroups: [1, 1, 1], fraction: 1 / 6 });
});
