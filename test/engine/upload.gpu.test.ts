// Inputs in the host's memory on their way to the GPU: two buffers serve all runs, whatever becomes of those, and none is left.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { Device } from '../../engine/device.ts';
import { Graph } from '../../engine/graph.ts';
import { createPlan } from '../../engine/plan.ts';
import { Program } from '../../engine/program.ts';
import type { Outputs } from '../../engine/read-back.ts';
import { Weights } from '../../engine/weights.ts';
import { add } from '../../shaders/index.ts';
import { requestTestAdapter } from '../device.ts';
import { FaultyGpu } from '../faults/faulty-gpu.ts';
import { sumExpected, sumInput, sumPlan, sumSource } from './small-program.ts';

const empty = { weights: 0, activations: 0, staging: 0, buffers: 0 };
/** Of sumGraph's x. */
const inputBytes = 160;

let faulty: FaultyGpu;
let device: Device;
let program: Program;
let weights: Weights;

beforeAll(async () => {
  const adapter = await requestTestAdapter();
  faulty = new FaultyGpu(await adapter.requestDevice());
  device = await Device.adopt(faulty.gpu);
});
afterAll(() => faulty.gpu.destroy());
beforeEach(async () => {
  const plan = sumPlan(device, 3);
  weights = await Weights.upload(device, sumSource(), plan.weights);
  program = await Program.create(device, plan, weights);
});
afterEach(() => {
  vi.restoreAllMocks();
  for (const made of [program, weights]) made.dispose();
  expect(device.memory.statistics()).toMatchObject(empty);
  expect(faulty.live).toBe(0);
  expect(faulty.uncaptured).toEqual([]);
});

const staging = () => device.memory.statistics().staging;
const inTime = () => new Promise((resolve) => setTimeout(resolve, 20));

/** Keeps the buffers of inputs from being mapped again until it is told to go on. */
function holdMappings(): () => void {
  let goOn = () => {};
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const create = device.gpu.createBuffer.bind(device.gpu);
  vi.spyOn(device.gpu, 'createBuffer').mockImplementation((descriptor) => {
    const buffer = create(descriptor);
    const map = buffer.mapAsync.bind(buffer);
    const later: GPUBuffer['mapAsync'] = async (mode) => {
      await held;
      return await map(mode);
    };
    if (descriptor.label === 'stam: inputs') Object.defineProperty(buffer, 'mapAsync', { value: later });
    return buffer;
  });
  return goOn;
}

describe('inputs', () => {
  test('of many runs at once do not mix, and share two buffers', async () => {
    const create = vi.spyOn(device.gpu, 'createBuffer');
    const scales = Array.from({ length: 20 }, (_, i) => i + 1);
    const runs = await Promise.all(scales.map((scale) => program.run({ x: sumInput(scale) })));
    for (const [i, outputs] of runs.entries()) expect(outputs.get('last')).toEqual(sumExpected(scales[i], 3));
    const made = create.mock.calls.filter(([{ label }]) => label === 'stam: inputs');
    expect(made.length).toBeGreaterThan(0);
    expect(made.length).toBeLessThanOrEqual(2);
  });

  test('may change when their run is submitted', async () => {
    const x = sumInput(0);
    const runs: Promise<Outputs>[] = [];
    for (let scale = 1; scale <= 8; scale++) {
      x.set(sumInput(scale));
      runs.push((await program.submit({ x })).outputs);
    }
    for (const [i, outputs] of (await Promise.all(runs)).entries()) {
      expect(outputs.get('last')).toEqual(sumExpected(i + 1, 3));
    }
  });

  test('begin where their array begins in its buffer', async () => {
    const x = new Float32Array([...sumInput(7), ...sumInput(3), ...sumInput(5)]).subarray(40, 80);
    expect((await program.run({ x })).get('last')).toEqual(sumExpected(3, 3));
  });
});

describe('a third run', () => {
  test('waits until a buffer is mapped again', async () => {
    const goOn = holdMappings();
    const submit = vi.spyOn(device.gpu.queue, 'submit');
    const runs = [1, 2, 3].map((scale) => program.execute({ x: sumInput(scale) }));
    await vi.waitFor(() => expect(submit).toHaveBeenCalledTimes(2));
    await inTime();
    expect(submit).toHaveBeenCalledTimes(2);
    expect(staging()).toBe(2 * inputBytes);
    goOn();
    for (const { computed } of await Promise.all(runs)) await computed;
    expect((await program.run({ x: sumInput(4) })).get('last')).toEqual(sumExpected(4, 3));
    expect(submit).toHaveBeenCalledTimes(4); // what is read back is copied in the same submission
  });

  test('stops waiting when it is aborted, and the next one has its buffer', async () => {
    const goOn = holdMappings();
    const controller = new AbortController();
    const execute = (scale: number, signal?: AbortSignal) => program.execute({ x: sumInput(scale) }, { signal });
    for (const scale of [1, 2]) await execute(scale);
    const third = execute(3, controller.signal);
    const fourth = program.run({ x: sumInput(4) });
    await inTime();
    controller.abort();
    await expect(third).rejects.toMatchObject({ name: 'AbortError' });
    goOn();
    expect((await fourth).get('last')).toEqual(sumExpected(4, 3));
  });

  test('stops waiting when the program is disposed of', async () => {
    holdMappings();
    for (const scale of [1, 2]) await program.execute({ x: sumInput(scale) });
    const third = program.execute({ x: sumInput(3) });
    await inTime();
    program.dispose();
    await expect(third).rejects.toMatchObject({ code: 'disposed' });
    expect(staging()).toBe(0);
  });
});

describe.each([0, 1])('after %i runs, the buffer of a run', (before) => {
  const runBefore = async () => {
    const create = vi.spyOn(device.gpu, 'createBuffer');
    for (let scale = 1; scale <= before; scale++) await (await program.execute({ x: sumInput(scale) })).computed;
    const made = create.mock.results.map(({ value }) => value as GPUBuffer);
    await vi.waitFor(() => expect(made.map(({ mapState }) => mapState)).toEqual(made.map(() => 'mapped')));
    await inTime();
    expect(staging()).toBe(before * inputBytes);
  };
  const expectRight = async () => {
    await vi.waitFor(() => expect(staging()).toBe(0));
    faulty.count();
    expect((await program.run({ x: sumInput(9) })).get('last')).toEqual(sumExpected(9, 3));
  };

  test.each([['finish', 'invalid'] as const, ['submit', 'invalid'] as const, ['mapAsync', 'rejects'] as const])(
    'that WebGPU refuses is freed: %s %s',
    async (call, kind) => {
      await runBefore();
      faulty.arm(call, 0, kind);
      const { accepted } = await program.execute({ x: sumInput(5) });
      await expect(accepted).rejects.toMatchObject({ code: 'limit' });
      await expectRight();
    },
  );

  test('that cannot be recorded is freed', async () => {
    await runBefore();
    vi.spyOn(device.gpu, 'createCommandEncoder').mockImplementationOnce(() => {
      throw new TypeError('injected');
    });
    await expect(program.execute({ x: sumInput(5) })).rejects.toMatchObject({ code: 'limit' });
    await expectRight();
  });
});

test('inputs that fit no buffer together are submitted one after another', async () => {
  const graph = new Graph();
  const [a, b] = [graph.input('a', [5, 6], 'f32'), graph.input('b', [5, 6], 'f32')];
  graph.keep('sum', add(graph, a, b, { name: 'sum' }));
  const plan = createPlan(graph, device.capabilities);
  const submit = vi.spyOn(device.gpu.queue, 'submit');
  const run = async () => {
    const other = await Program.create(device, plan, Weights.none(device));
    submit.mockClear();
    const sum = (await other.run({ a: sumInput(1), b: sumInput(2) })).get('sum');
    other.dispose();
    return { submissions: submit.mock.calls.length, sum };
  };
  const sum = sumExpected(3, 0);
  expect(await run()).toEqual({ submissions: 1, sum });
  const limits = device.capabilities.limits as { bufferBytes: number };
  const { bufferBytes } = limits;
  limits.bufferBytes = 1.5 * inputBytes;
  try {
    expect(await run()).toEqual({ submissions: 2, sum });
  } finally {
    limits.bufferBytes = bufferBytes;
  }
});

test('an input that one run has in memory and the next on the GPU is read where it is', async () => {
  const x = device.gpu.createBuffer({ size: inputBytes, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
  device.gpu.queue.writeBuffer(x, 0, sumInput(6));
  for (const scale of [5, 6, 7]) {
    const outputs = await program.run({ x: scale === 6 ? x : sumInput(scale) });
    expect(outputs.get('last')).toEqual(sumExpected(scale, 3));
  }
  x.destroy();
});
