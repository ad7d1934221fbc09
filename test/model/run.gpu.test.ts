// What a loaded model promises beyond its numbers: passes, batches, overlapping calls, the caller's own device and encoder.
// All of it on the smallest model, whose every program here shares one set of pipelines.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import { rowLayout, unpadRows } from '../../engine/layout.ts';
import type { TensorSource } from '../../engine/weights.ts';
import { unit } from '../../loaders/synthetic.ts';
import { loadStam } from '../../model/load.ts';
import { cropAxes } from '../../model/preprocess.ts';
import type { StamModelOptions } from '../../model/stam-model.ts';
import { StamModel } from '../../model/stam-model.ts';
import { largestDifference } from '../close.ts';
import { openTestDevice } from '../device.ts';
import { readBuffer } from '../engine/small-program.ts';
import * as reference from '../reference.ts';
import { longTest } from '../sample.ts';
import type { Fixture } from './fixtures.ts';
import { modelTolerance, openFixture } from './fixtures.ts';

let device: Device;
let fixture: Fixture;
/** Three videos that differ, and the logits of each alone. */
let videos: readonly Float32Array<ArrayBuffer>[];
let alone: readonly Float32Array<ArrayBuffer>[];

const load = (options: StamModelOptions = {}) =>
  StamModel.load(device, fixture.config, fixture.weights, { dtype: 'f32', ...options });

const logitsOf = async (model: StamModel, frames: Float32Array<ArrayBuffer>) =>
  (await model.run(frames)).get('logits') ?? new Float32Array();

function concatenated(parts: readonly Float32Array<ArrayBuffer>[]): Float32Array<ArrayBuffer> {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const empty = { weights: 0, activations: 0, staging: 0, buffers: 0 };

beforeAll(async () => {
  device = await openTestDevice();
  fixture = await openFixture('tiny-a');
  const own = await fixture.truth.read('frames');
  videos = [own, unit(2, 'frames', own.length), unit(3, 'frames', own.length)];
  const model = await load();
  const results: Float32Array<ArrayBuffer>[] = [];
  for (const video of videos) results.push(await logitsOf(model, video));
  alone = results;
  model.dispose();
});
afterAll(async () => {
  await fixture.truth.close();
  device.dispose();
});

test('other frames give other logits', () => {
  expect(alone[0]).not.toEqual(alone[1]);
  expect(alone[1]).not.toEqual(alone[2]);
});

longTest(
  'a tuned model gives the same logits, says what it chose, and the next load finds that and tunes nothing',
  async () => {
    const texts = new Map<string, string>();
    const tuningStore = {
      read: async (name: string) => texts.get(name),
      write: async (name: string, text: string) => void texts.set(name, text),
    };
    const stages: string[] = [];
    const tuned = await load({ tune: 'full', tuningStore, onProgress: ({ stage }) => stages.push(stage) });
    expect(tuned.tuning.tuning?.problems.length).toBeGreaterThan(0);
    expect(tuned.tuning.origin).toMatch(/^tuned now, in/);
    expect(tuned.loadTimes.tuneMs).toBeGreaterThan(0);
    expect(stages).toContain('tune');
    expect(largestDifference(await logitsOf(tuned, videos[0]), alone[0]).error).toBeLessThan(modelTolerance.f32);
    const { size } = device.pipelines;
    const again = await load({ tune: 'cached', tuningStore });
    expect(again.tuning).toEqual({ ...tuned.tuning, origin: expect.stringMatching(/^tuned 2/), ms: 0 });
    expect(device.pipelines.size).toBe(size);
    expect(await logitsOf(again, videos[0])).toEqual(await logitsOf(tuned, videos[0]));
    for (const model of [tuned, again]) model.dispose();
    await device.gpu.queue.onSubmittedWorkDone(); // programs are disposed of when their promises have settled
    expect(device.memory.statistics()).toMatchObject(empty);
  },
);

test.each([1, 2, 3])('%i frames at a time give what all frames in one pass give', async (framesPerPass) => {
  const model = await load({ framesPerPass });
  const passes = (await model.program(1)).plan.commands.filter(({ kind }) => kind === 'dispatch');
  const embeds = passes.filter((command) => command.kind === 'dispatch' && command.operator === 'patchEmbed');
  expect(embeds.length).toBe(Math.ceil(fixture.config.frames / framesPerPass));
  expect(await logitsOf(model, videos[0])).toEqual(alone[0]);
  const kept = await model.run(videos[0], { keep: (name) => name === 'blocks.0' || name === 'patch_embed' });
  expect([...kept.keys()].sort()).toEqual(['blocks.0', 'logits', 'patch_embed']);
  expect(kept.get('blocks.0')?.length).toBe((await fixture.truth.read('blocks.0')).length);
  model.dispose();
});

test('a batch of videos gives what each gives alone, even where a pass reaches across two', async () => {
  for (const framesPerPass of [16, 3]) {
    const model = await load({ framesPerPass, videos: 3 });
    expect(await logitsOf(model, concatenated(videos))).toEqual(concatenated(alone));
    model.dispose();
  }
});

test('calls that overlap, of different sizes, return their own results', async () => {
  const model = await load();
  const [first, batch, second, kept] = await Promise.all([
    logitsOf(model, videos[0]),
    logitsOf(model, concatenated([videos[1], videos[2]])),
    logitsOf(model, videos[2]),
    model.run(videos[1], { keep: (name) => name === 'video_features' }),
  ]);
  expect(first).toEqual(alone[0]);
  expect(batch).toEqual(concatenated([alone[1], alone[2]]));
  expect(second).toEqual(alone[2]);
  expect(kept.get('logits')).toEqual(alone[1]);
  model.dispose();
});

test('of calls that overlap two are on their way at a time: one begins while the one before computes', async () => {
  const model = await load();
  const order: string[] = [];
  const runs = [0, 1, 2].map(async (number) => {
    const feed = async () => {
      order.push(`begins ${number}`);
      const { frames, imageSize } = fixture.config;
      return { videos: 1, inputs: { frames: rowLayout.pack(videos[number], [frames, 3, imageSize, imageSize]) } };
    };
    const outputs = await model['network'].run(feed);
    order.push(`is over ${number}`);
    expect(outputs.get('logits')).toEqual(alone[number]);
  });
  await Promise.all(runs);
  expect(order.slice(0, 3)).toEqual(['begins 0', 'begins 1', 'is over 0']);
  expect([...order.slice(3)].sort()).toEqual(['begins 2', 'is over 1', 'is over 2']);
  model.dispose();
});

test('warmUp() beside a run that is submitted piece by piece does not touch it', async () => {
  const model = await load({ framesPerPass: 1 });
  const program = await model.program(1);
  for (let round = 0; round < 3; round++) {
    let isOver = false;
    const run = logitsOf(model, videos[0]).finally(() => {
      isOver = true;
    });
    const warmUps: Promise<void>[] = [];
    while (!isOver && warmUps.length < 20) {
      warmUps.push(program.warmUp());
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(warmUps);
    expect(await run).toEqual(alone[0]);
  }
  model.dispose();
});

test('decoded pictures of several sizes are resized and cropped on the way, in calls that overlap too', async () => {
  const { imageSize, frames } = fixture.config;
  const sizes = [
    [40, 30],
    [33, 57],
    [36, 36],
  ] as const;
  const decoded = sizes.map(([width, height], seed) => ({
    width,
    height,
    data: Uint8Array.from(unit(seed, 'pixels', frames * width * height * 3), (value) => value * 256),
  }));
  const tensors = decoded.map(({ width, height, data }) => {
    const { across, down } = cropAxes(width, height, { size: imageSize, zoom: 0.875 });
    const to = [across.to, down.to] as const;
    const bytes = width * height * 3;
    return concatenated(
      Array.from({ length: frames }, (_, i) => {
        const picture = data.subarray(i * bytes, (i + 1) * bytes);
        const resized = reference.resizeBilinear(picture, [width, height], to);
        const place = { left: across.first, top: down.first, size: imageSize };
        return new Float32Array(reference.toTensor(reference.crop(resized, to, place)));
      }),
    );
  });
  const model = await load();
  const expected = [await logitsOf(model, concatenated(tensors)), await logitsOf(model, tensors[2])];
  const got = await Promise.all(
    [decoded, decoded.slice(2)].map(async (batch) => (await model.run(batch)).get('logits')),
  );
  expect(got).toEqual(expected);
  await expect(model.run([])).rejects.toMatchObject({ code: 'bad-input' });
  await expect(model.run([{ ...decoded[0], width: 41 }])).rejects.toMatchObject({ code: 'bad-input' });
  model.dispose();
  await device.gpu.queue.onSubmittedWorkDone();
  expect(device.memory.statistics()).toMatchObject(empty);
});

test("a checkpoint of STAM's first version runs with qkv biases of zero, and says so; what is not STAM's is ignored, and said", async () => {
  const { weights, config } = fixture;
  const isBias = (name: string) => name.endsWith('.attn.qkv.bias');
  const withoutBias = {
    ...weights,
    tensors: new Map([
      ...[...weights.tensors].filter(([name]) => !isBias(name)),
      ['ema.decay', { name: 'ema.decay', dtype: 'F32', shape: [1], bytes: 4 }] as const,
    ]),
    order: () => weights.order().filter((name) => !isBias(name)),
  };
  const withZeros = {
    ...weights,
    async read(name: string) {
      const values = await weights.read(name);
      return isBias(name) ? values.fill(0) : values;
    },
  };
  const heard: string[] = [];
  const options = { device: device.gpu, dtype: 'f32', onNotice: (text: string) => heard.push(text) } as const;
  const [first, zeros] = [
    await loadStam(withoutBias, options),
    await StamModel.load(device, config, withZeros, options),
  ];
  expect(heard).toEqual([expect.stringMatching(/biases/), expect.stringMatching(/ema\.decay/)]);
  expect(first.info().notices).toEqual(heard);
  expect(zeros.notices).toEqual([]);
  const logits = await first.logits(videos[0]);
  expect(logits).toEqual(await logitsOf(zeros, videos[0]));
  expect(logits).not.toEqual(alone[0]);
  first.dispose();
  zeros.dispose();
});

test.each(['f16', 'f32'] as const)(
  'weights that are a hundred times too large are told of in %s, or computed',
  async (dtype) => {
    const { weights } = fixture;
    const large: TensorSource = {
      ...weights,
      async read(name) {
        const values = await weights.read(name);
        return /\.(mlp|attn)\./.test(name) ? values.map((value) => 100 * value) : values;
      },
    };
    const model = await StamModel.load(device, fixture.config, large, { dtype });
    if (dtype === 'f32') expect((await logitsOf(model, videos[0])).every(Number.isFinite)).toBe(true);
    else {
      await expect(model.run(videos[0])).rejects.toThrow(
        /logits: they are not finite numbers; got NaN at 0; .*the option `dtype` f32/,
      );
      expect((await model.run(videos[0], { keep: () => true })).get('logits')?.some(Number.isNaN)).toBe(true);
    }
    model.dispose();
  },
);

test('frames that hold what is no number are told of, and do not spoil the next call', async () => {
  const model = await load();
  const broken = videos[0].slice();
  broken[5] = Number.NaN;
  await expect(model.run(broken)).rejects.toMatchObject({ code: 'unsupported' });
  expect(await logitsOf(model, videos[0])).toEqual(alone[0]);
  model.dispose();
});

test('a call that fails or is aborted does not stop the next', async () => {
  const model = await load();
  const [tooShort, aborted, good] = await Promise.allSettled([
    logitsOf(model, new Float32Array(17)),
    model.run(videos[0], { signal: AbortSignal.abort() }),
    logitsOf(model, videos[1]),
  ]);
  expect(tooShort).toMatchObject({
    reason: {
      code: 'bad-input',
      message: expect.stringMatching(/^frames: .*got 17 elements, expected a multiple of 12288 /),
    },
  });
  expect(aborted).toMatchObject({ reason: { name: 'AbortError' } });
  expect(good).toMatchObject({ value: alone[1] });
  model.dispose();
});

test('dispose frees everything, also what a load that failed or was aborted took', async () => {
  await device.gpu.queue.onSubmittedWorkDone();
  expect(device.memory.statistics()).toMatchObject(empty);
  const model = await load();
  expect(device.memory.statistics().weights).toBe(model.weightBytes);
  model.dispose();
  model.dispose();
  await device.gpu.queue.onSubmittedWorkDone();
  expect(device.memory.statistics()).toMatchObject(empty);
  await expect(model.run(videos[0])).rejects.toMatchObject({ code: 'disposed' });
  expect(() => model.program(1)).toThrow(expect.objectContaining({ code: 'disposed' }));

  const controller = new AbortController();
  const onProgress = () => controller.abort();
  await expect(load({ signal: controller.signal, onProgress })).rejects.toMatchObject({ name: 'AbortError' });
  const { weights } = fixture;
  const lacking = { ...weights, tensors: new Map([...weights.tensors].filter(([name]) => name !== 'head.bias')) };
  await expect(StamModel.load(device, fixture.config, lacking)).rejects.toMatchObject({
    code: 'missing-tensor',
    message: expect.stringContaining('head.bias'),
  });
  expect(device.memory.statistics()).toMatchObject(empty);
});

describe("loadStam on the caller's own device", () => {
  test('gives logits, encodes into the caller’s encoder, and leaves the device usable', async () => {
    const stages = new Set<string>();
    const stam = await loadStam(fixture.weights, {
      device: device.gpu,
      dtype: 'f32',
      onProgress: ({ stage }) => stages.add(stage),
    });
    expect([...stages].sort()).toEqual(['compile', 'ready', 'upload']);
    expect(stam.config).toEqual(fixture.config);
    expect(await stam.logits(videos[1])).toEqual(alone[1]);
    expect(stam.info()).toMatchObject({ model: 'custom', dtype: 'f32', config: fixture.config });

    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const frames = device.gpu.createBuffer({ size: videos[2].byteLength, usage });
    device.gpu.queue.writeBuffer(frames, 0, videos[2]);
    const encoder = device.gpu.createCommandEncoder();
    const buffer = stam.encode(encoder, frames);
    device.gpu.queue.submit([encoder.finish()]);
    expect(unpadRows(await readBuffer(device.gpu, buffer), [1, fixture.config.classes])).toEqual(alone[2]);

    stam.dispose();
    stam.dispose();
    await expect(stam.logits(videos[0])).rejects.toMatchObject({ code: 'disposed' });
    expect(stam.memory()).toMatchObject(empty);
    expect(await readBuffer(device.gpu, frames)).toEqual(videos[2]);
    frames.destroy();
    const model = await load();
    expect(await logitsOf(model, videos[0])).toEqual(alone[0]);
    model.dispose();
  });

  test('refuses a checkpoint that is another model, and leaves the device usable', async () => {
    await expect(loadStam(fixture.weights, { device: device.gpu, model: 'stam_16' })).rejects.toMatchObject({
      code: 'missing-tensor',
      message: expect.stringMatching(/ not fit stam_16: .*; by its tensors the file is STAM of 4 frames, .*, or auto$/),
    });
    await expect(loadStam(fixture.weights, { device: device.gpu, model: 'resnet' })).rejects.toMatchObject({
      code: 'bad-input',
    });
    await expect(loadStam(fixture.weights, { device: device.gpu, signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: 'AbortError',
    });
    const buffer = device.gpu.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_SRC });
    expect(await readBuffer(device.gpu, buffer)).toEqual(new Float32Array(4));
    buffer.destroy();
  });
});
