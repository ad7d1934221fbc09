// Programs on a device: what they compute, hold, refuse and leave behind.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Device } from '../../engine/device.ts';
import { StamError } from '../../engine/errors.ts';
import { Graph } from '../../engine/graph.ts';
import { unpadRows } from '../../engine/layout.ts';
import { createPlan } from '../../engine/plan.ts';
import { Program } from '../../engine/program.ts';
import { Weights } from '../../engine/weights.ts';
import { add } from '../../shaders/index.ts';
import { openOwnTestDevice } from '../device.ts';
import {
  oneKernelGraph,
  readBuffer,
  sumExpected,
  sumGraph,
  sumInput,
  sumPlan,
  sumSource,
  sumWeights,
} from './small-program.ts';

let device: Device;
/** What WebGPU reported to nobody: always a bug of the engine's. */
const uncaptured: string[] = [];

beforeAll(async () => {
  device = await openOwnTestDevice();
  device.gpu.addEventListener('uncapturederror', (event) => {
    event.preventDefault(); // Dawn would print it
    uncaptured.push(event.error.message);
  });
});
afterAll(() => device.dispose());

async function load(times = 3): Promise<{ program: Program; weights: Weights }> {
  const plan = sumPlan(device, times);
  const weights = await Weights.upload(device, sumSource(), plan.weights);
  return { program: await Program.create(device, plan, weights), weights };
}

const inputBuffer = (size: number): GPUBuffer =>
  device.gpu.createBuffer({ size, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });

const loadKernel = async (body: string): Promise<Program> => {
  const plan = createPlan(oneKernelGraph(body), device.capabilities);
  return await Program.create(device, plan, await Weights.upload(device, sumSource(), plan.weights));
};

describe('run', () => {
  test('gives what was kept, without the padding of rows', async () => {
    const { program, weights } = await load();
    program.poison();
    const outputs = await program.run({ x: sumInput(2) });
    expect([...outputs.keys()]).toEqual(['first', 'last']);
    expect(outputs.get('first')).toEqual(sumExpected(2, 1));
    expect(outputs.get('last')).toEqual(sumExpected(2, 3));
    program.dispose();
    weights.dispose();
  });

  test('again gives the new result, and needs the input again: its memory has served others', async () => {
    const { program, weights } = await load();
    await program.run({ x: sumInput(2) });
    expect((await program.run({ x: sumInput(5) })).get('last')).toEqual(sumExpected(5, 3));
    await expect(program.run({})).rejects.toMatchObject({
      code: 'bad-input',
      message: 'x: the input is missing; expected 160 bytes',
    });
    program.dispose();
    weights.dispose();
  });

  test('many times at once gives each its own result', async () => {
    const { program, weights } = await load();
    const scales = [1, 2, 3, 4, 5];
    const controller = new AbortController();
    const aborted = program.run({ x: sumInput(9) }, { signal: controller.signal });
    const runs = scales.map((scale) => program.run({ x: sumInput(scale) }));
    controller.abort();
    await expect(aborted).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    for (const [i, outputs] of (await Promise.all(runs)).entries()) {
      expect(outputs.get('first')).toEqual(sumExpected(scales[i], 1));
      expect(outputs.get('last')).toEqual(sumExpected(scales[i], 3));
    }
    program.dispose();
    weights.dispose();
  });

  test('reports all operations as done in the end', async () => {
    const { program, weights } = await load();
    const reports: [number, number][] = [];
    await program.run({ x: sumInput(1) }, { onProgress: (done, total) => reports.push([done, total]) });
    expect(reports.at(-1)).toEqual([3 * 30, 3 * 30]);
    program.dispose();
    weights.dispose();
  });

  test('submits one window while the one before computes, and no more', async () => {
    const graph = new Graph();
    const w = graph.weight('w', [5, 6], 'f32');
    for (const start of [0, 5, 10]) {
      // each part of the input begins a window of its own
      const sum = add(graph, graph.input('x', [5, 6], 'f32', { start, of: 15 }), w, { name: `sum ${start}` });
      graph.keep('sums', sum, { start, of: 15 });
    }
    const plan = createPlan(graph, device.capabilities);
    const weights = await Weights.upload(device, sumSource(), plan.weights);
    const program = await Program.create(device, plan, weights);
    let finish = () => {};
    const computing = new Promise<undefined>((resolve) => {
      finish = () => resolve(undefined);
    });
    vi.spyOn(device.gpu.queue, 'onSubmittedWorkDone').mockReturnValue(computing);
    const submit = vi.spyOn(device.gpu.queue, 'submit');
    const running = program.run({ x: new Float32Array(15 * 8) });
    await new Promise((resolve) => setTimeout(resolve));
    expect(submit).toHaveBeenCalledTimes(2);
    finish();
    expect((await running).get('sums')?.slice(60)).toEqual(sumWeights);
    expect(submit).toHaveBeenCalledTimes(3); // what is read back is copied at the end of the last
    vi.restoreAllMocks();
    for (const made of [program, weights]) made.dispose();
  });

  test('records in its last submission what is to run afterwards', async () => {
    const { program, weights } = await load();
    const copy = inputBuffer(program.output('last').size);
    const submit = vi.spyOn(device.gpu.queue, 'submit');
    const afterwards = (encoder: GPUCommandEncoder) =>
      encoder.copyBufferToBuffer(program.output('last'), 0, copy, 0, copy.size);
    const { computed } = await program.execute({ x: sumInput(2) }, { afterwards });
    await computed;
    expect(submit).toHaveBeenCalledTimes(1);
    vi.restoreAllMocks();
    expect(unpadRows(await readBuffer(device.gpu, copy), [5, 6])).toEqual(sumExpected(2, 3));
    copy.destroy();
    program.dispose();
    weights.dispose();
  });

  test('refuses an input of another name or size', async () => {
    const { program, weights } = await load();
    await expect(program.run({ y: sumInput(1) })).rejects.toMatchObject({
      code: 'bad-input',
      message: 'y: no such input; expected x',
    });
    await expect(program.run({ x: new Float32Array(30) })).rejects.toMatchObject({
      code: 'bad-input',
      message: expect.stringContaining('got 120 bytes, expected 160 bytes'),
    });
    expect(() => program.output('middle')).toThrow(expect.objectContaining({ code: 'bad-input' }));
    program.dispose();
    weights.dispose();
  });
});

describe('poison', () => {
  test('shows what a kernel leaves unwritten', async () => {
    const program = await loadKernel('output[1] = vec4f(7);');
    program.poison();
    const output = (await program.run({})).get('output') ?? new Float32Array();
    expect([...output.slice(0, 4)].every(Number.isNaN)).toBe(true);
    expect([...output.slice(4)]).toEqual([7, 7, 7, 7]);
    program.dispose();
  });

  test('fills outputs and spares weights', async () => {
    const { program, weights } = await load();
    await program.run({ x: sumInput(2) });
    program.poison();
    expect((await readBuffer(device.gpu, program.output('last'))).every(Number.isNaN)).toBe(true);
    expect((await program.run({ x: sumInput(2) })).get('last')).toEqual(sumExpected(2, 3));
    program.dispose();
    weights.dispose();
  });
});

describe('encode', () => {
  test("into the caller's own encoder gives what run() gives", async () => {
    const { program, weights } = await load();
    program.poison();
    const own = inputBuffer(256); // larger than need be
    device.gpu.queue.writeBuffer(own, 0, sumInput(3));
    const encoder = device.gpu.createCommandEncoder();
    program.encode(encoder, { x: own });
    expect((await readBuffer(device.gpu, program.output('last'))).every(Number.isNaN)).toBe(true); // nothing was submitted
    device.gpu.queue.submit([encoder.finish()]);
    const encoded = unpadRows(await readBuffer(device.gpu, program.output('last')), [5, 6]);
    expect(encoded).toEqual((await program.run({ x: sumInput(3) })).get('last'));
    own.destroy();
    program.dispose();
    weights.dispose();
  });

  test('refuses an input that is missing, too small, mapped or of doubles', async () => {
    const { program, weights } = await load();
    const encoder = device.gpu.createCommandEncoder();
    const small = inputBuffer(144);
    expect(() => program.encode(encoder, {})).toThrow(expect.objectContaining({ code: 'bad-input' }));
    expect(() => program.encode(encoder, { x: small })).toThrow(/^x: .*got 144 bytes, expected 160 bytes$/);
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.MAP_WRITE;
    const mapped = device.gpu.createBuffer({ size: 160, usage, mappedAtCreation: true });
    expect(() => program.encode(encoder, { x: mapped })).toThrow(/^x: the buffer is mapped$/);
    const doubles = new Float64Array(20) as unknown as Float32Array<ArrayBuffer>;
    await expect(program.run({ x: doubles })).rejects.toThrow(/^x: its elements do not take four bytes$/);
    for (const made of [program, weights]) made.dispose();
    for (const buffer of [small, mapped]) buffer.destroy();
  });

  test('makes no GPU object', async () => {
    const { program, weights } = await load();
    const makers = [
      'createBuffer',
      'createBindGroup',
      'createBindGroupLayout',
      'createPipelineLayout',
      'createComputePipeline',
      'createComputePipelineAsync',
      'createShaderModule',
      'createQuerySet',
      'createTexture',
      'createCommandEncoder',
    ] as const;
    const x = inputBuffer(160);
    const encoder = device.gpu.createCommandEncoder();
    const spies = makers.map((maker) => vi.spyOn(device.gpu, maker));
    program.encode(encoder, { x });
    program.encode(encoder, { x });
    expect(spies.map((spy) => spy.mock.calls.length)).toEqual(makers.map(() => 0));
    // the spies do see what the engine makes
    const other = await load();
    expect(spies[makers.indexOf('createBuffer')]).toHaveBeenCalled();
    expect(spies[makers.indexOf('createBindGroup')]).toHaveBeenCalled();
    vi.restoreAllMocks();
    device.gpu.queue.submit([encoder.finish()]);
    for (const made of [program, weights, other.program, other.weights]) made.dispose();
  });
});

describe('pipelines', () => {
  test('of equal text are compiled once', async () => {
    const { size } = device.pipelines;
    const { program, weights } = await load(7);
    expect(device.pipelines.size).toBe(Math.max(size, 1));
    program.dispose();
    weights.dispose();
  });

  test('that do not compile say why, with numbered lines of the text', async () => {
    const failing = loadKernel('output[0] = vec4f(nonsense);');
    await expect(failing).rejects.toMatchObject({ name: 'StamError', code: 'shader' });
    const message = await failing.then(String, ({ message }: Error) => message);
    expect(message).toMatch(/^one kernel: the kernel does not compile on this device; got/);
    expect(message).toContain("unresolved value 'nonsense'");
    const line = /^ +(\d+) \| {3}output\[0\] = vec4f\(nonsense\);$/m.exec(message);
    expect(line?.[1]).toBe('6'); // after the label, an empty line and three lines of the source
    expect(message).toMatch(/^ +5 \| fn main\(\) \{$/m);
  });

  test('that failed are forgotten: the next attempt is a new one', async () => {
    const { size } = device.pipelines;
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(loadKernel('output[0] = vec4f(missing);')).rejects.toMatchObject({ code: 'shader' });
    }
    expect(device.pipelines.size).toBe(size);
  });
});

describe('weights of a program', () => {
  test('that were not uploaded are missing', async () => {
    const weights = await Weights.upload(device, sumSource(), new Map());
    await expect(Program.create(device, sumPlan(device, 1), weights)).rejects.toMatchObject({
      code: 'missing-tensor',
      message: expect.stringMatching(/^w: the weight was not uploaded/),
    });
  });

  test('that were uploaded in another storage are refused', async () => {
    const weights = await Weights.upload(device, sumSource(), sumGraph(1).weights);
    const half = new Map(
      [...sumGraph(1).weights].map(([name, value]) => [name, { ...value, storage: 'f16' as const }]),
    );
    const halves = await Weights.upload(device, sumSource(), half);
    expect(halves.bytes).toBe(weights.bytes / 2);
    await expect(Program.create(device, sumPlan(device, 1), halves)).rejects.toMatchObject({
      code: 'missing-tensor',
      message: expect.stringContaining('got f16 in rows, expected f32 in rows'),
    });
    for (const uploaded of [weights, halves]) uploaded.dispose();
  });
});

describe('an abort signal', () => {
  test('that has been aborted stops a run before it begins', async () => {
    const { program, weights } = await load();
    const submit = vi.spyOn(device.gpu.queue, 'submit');
    await expect(program.run({ x: sumInput(1) }, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: 'AbortError',
    });
    expect(submit).not.toHaveBeenCalled();
    vi.restoreAllMocks();
    program.dispose();
    weights.dispose();
  });

  test('stops a run that has begun, and the program stays usable', async () => {
    const { program, weights } = await load();
    const controller = new AbortController();
    const running = program.run({ x: sumInput(1) }, { signal: controller.signal });
    controller.abort();
    await expect(running).rejects.toMatchObject({ name: 'AbortError' });
    expect((await program.run({ x: sumInput(4) })).get('last')).toEqual(sumExpected(4, 3));
    program.dispose();
    weights.dispose();
  });
});

describe('dispose', () => {
  test('of a program, weights and a failed program gives all memory back', async () => {
    const before = device.memory.statistics();
    const { program, weights } = await load();
    await program.run({ x: sumInput(1) });
    const during = device.memory.statistics();
    expect(during.weights - before.weights).toBe(5 * 8 * 4);
    expect(during.activations - before.activations).toBeGreaterThanOrEqual(3 * 5 * 8 * 4); // x or a sum, first, last
    program.dispose();
    weights.dispose();
    await expect(Program.create(device, sumPlan(device, 1), weights)).rejects.toMatchObject({ code: 'missing-tensor' });
    expect({ ...device.memory.statistics(), peak: 0 }).toEqual({ ...before, peak: 0 });
    expect(before).toMatchObject({ weights: 0, activations: 0, staging: 0, buffers: 0 });
    expect(device.memory.statistics().peak).toBeGreaterThanOrEqual(during.weights + during.activations);
  });

  test('makes a program unusable, and may be called twice', async () => {
    const { program, weights } = await load();
    program.dispose();
    program.dispose();
    const gone = { code: 'disposed' };
    await expect(program.run({ x: sumInput(1) })).rejects.toMatchObject(gone);
    expect(() => program.encode(device.gpu.createCommandEncoder(), {})).toThrow(expect.objectContaining(gone));
    expect(() => program.poison()).toThrow(expect.objectContaining(gone));
    weights.dispose();
  });

  test('makes a device unusable, with all that was made on it, and frees it', async () => {
    const other = await openOwnTestDevice();
    const plan = sumPlan(other, 1);
    const weights = await Weights.upload(other, sumSource(), plan.weights);
    const program = await Program.create(other, plan, weights);
    other.dispose();
    other.dispose();
    expect(other.memory.statistics()).toMatchObject({ weights: 0, activations: 0, staging: 0, buffers: 0 });
    await expect(program.run({ x: sumInput(1) })).rejects.toMatchObject({ code: 'disposed' });
    await expect(Weights.upload(other, sumSource(), plan.weights)).rejects.toMatchObject({ code: 'disposed' });
  });

  test("leaves a caller's device alive", async () => {
    const borrowed = await Device.adopt(device.gpu);
    const buffer = borrowed.memory.create('own', 'staging', 100, GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST);
    expect(borrowed.memory.statistics()).toMatchObject({ staging: 112, buffers: 1 });
    borrowed.dispose();
    expect(borrowed.memory.statistics()).toMatchObject({ staging: 0, peak: 112, buffers: 0 });
    expect(buffer.size).toBe(112);
    const { program, weights } = await load();
    expect((await program.run({ x: sumInput(1) })).get('last')).toEqual(sumExpected(1, 3));
    program.dispose();
    weights.dispose();
  });
});

describe('errors that WebGPU reports late', () => {
  test('reject the call they belong to', async () => {
    const tooLarge = () => device.gpu.createBuffer({ size: 2 ** 50, usage: GPUBufferUsage.STORAGE });
    await expect(device.checked('a buffer', tooLarge)).rejects.toMatchObject({
      code: expect.stringMatching(/^(limit|out-of-memory)$/),
      message: expect.stringMatching(/^a buffer: /),
    });
  });

  test('take what the call itself throws for what WebGPU refuses, and keep it as the cause', async () => {
    const failing = (error: Error) =>
      device.checked('x', () => {
        throw error;
      });
    const cause = new RangeError('own');
    await expect(failing(cause)).rejects.toMatchObject({ code: 'out-of-memory', cause });
    await expect(failing(new DOMException('own'))).rejects.toMatchObject({ code: 'limit' });
    const own = new StamError('bad-input', { where: 'y', problem: 'own' });
    await expect(failing(own)).rejects.toBe(own);
  });

  test('never reach the app through all of the above, though they would be heard', async () => {
    await device.gpu.queue.onSubmittedWorkDone();
    expect(uncaptured).toEqual([]);
    device.gpu.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE });
    await vi.waitFor(() => expect(uncaptured.length).toBe(1));
  });
});
