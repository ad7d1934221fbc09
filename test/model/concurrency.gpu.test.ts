// Calls that overlap, are aborted, outlive their model, or find it being replaced: each gets its own answer or the reason why it has none.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Device } from '../../engine/device.ts';
import { openSynthetic, unit } from '../../loaders/synthetic.ts';
import type { LoadCheckpointOptions, Stam, StamStream } from '../../model/load.ts';
import { loadStam } from '../../model/load.ts';
import type { DecodedFrames } from '../../model/preprocess.ts';
import { StamModel } from '../../model/stam-model.ts';
import { weightShapes } from '../../model/weights.ts';
import type { FaultyGpu } from '../faults/faulty-gpu.ts';
import { openFaultyGpu } from '../faults/faulty-gpu.ts';
import { longTest, sampleOf } from '../sample.ts';
import { smallestConfig, smallestWeights } from './fixtures.ts';

const { frames: count, imageSize, classes } = smallestConfig;
const frameLength = 3 * imageSize ** 2;
const disposed = { name: 'StamError', code: 'disposed' };
const lost = { name: 'StamError', code: 'device-lost' };
const aborted = { name: 'AbortError' };
const moments = sampleOf('moments at which dispose() and abort() come', [0, 1, 2, 4, 8, 16, 32], 3);

/** Video number `seed`, and pictures. */
const video = (seed: number) => unit(seed, 'frames', count * 3 * imageSize ** 2);
const pictures = (seed: number): DecodedFrames => ({
  width: 20 + seed,
  height: 18,
  data: Uint8Array.from(unit(seed, 'pixels', count * (20 + seed) * 18 * 3), (value) => value * 256),
});

let device: FaultyGpu;
/** A model that stays on the first device: the others find its pipelines there. */
let keeper: Stam;
let kept: { readonly on: FaultyGpu; readonly objects: number };
/** Logits of videos 0 to 5 and of pictures 0 to 2, each of a call of its own. */
const ofVideos: Float32Array[] = [];
const ofPictures: Float32Array[] = [];

const load = (options: LoadCheckpointOptions = {}) =>
  loadStam(smallestWeights(), { device: device.gpu, dtype: 'f32', tune: 'off', ...options });

async function frameStream(stam: Stam): Promise<StamStream> {
  const stream = await stam.stream();
  for (const frame of halves(0)) await stream.push(frame);
  return stream;
}

/** The frames of a video: there are two. */
const halves = (seed: number) => [0, 1].map((i) => video(seed).slice(i * frameLength, (i + 1) * frameLength));

/** Nothing is left in GPU memory but what the keeper has, and nothing has gone wrong unheard. */
async function expectClean(gpu = device): Promise<void> {
  await expect.poll(() => gpu.live, { timeout: 5000 }).toBe(gpu === kept.on ? kept.objects : 0);
  expect(gpu.uncaptured).toEqual([]);
}

beforeAll(async () => {
  device = await openFaultyGpu();
  keeper = await load();
  for (let seed = 0; seed < 6; seed++) ofVideos.push(await keeper.logits(video(seed)));
  for (let seed = 0; seed < 3; seed++) ofPictures.push(await keeper.logits([pictures(seed)]));
  kept = { on: device, objects: device.live };
});
afterAll(() => {
  keeper.dispose();
  device.gpu.destroy();
});

describe('calls that overlap', () => {
  test('settle in their order, each with its own result', async () => {
    const stam = await load();
    const settled: number[] = [];
    const calls = Array.from({ length: 40 }, (_, i) => {
      const seed = i % 6;
      const isPicture = i % 5 === 4;
      const call = isPicture ? stam.logits([pictures(seed % 3)]) : stam.logits(video(seed));
      const expected = isPicture ? ofPictures[seed % 3] : ofVideos[seed];
      return call.then((got) => {
        settled.push(i);
        expect(got, `call ${i}`).toEqual(expected);
      });
    });
    await Promise.all(calls);
    expect(settled).toEqual(calls.map((_, i) => i));
    stam.dispose();
    await expectClean();
  });

  test('of one, two and three videos do not mix', async () => {
    const stam = await load();
    const batch = (...seeds: number[]) => Float32Array.of(...seeds.flatMap((seed) => [...video(seed)]));
    const [one, three, two, again] = await Promise.all(
      [[3], [0, 1, 2], [4, 5], [3]].map((seeds) => stam.logits(batch(...seeds))),
    );
    expect([one, again]).toEqual([ofVideos[3], ofVideos[3]]);
    for (const [i, got] of [...split(three), ...split(two)].entries())
      expect(got).toEqual(ofVideos[[0, 1, 2, 4, 5][i]]);
    stam.dispose();
    await expectClean();
  });

  test('go on when one between them is refused', async () => {
    const stam = await load();
    const calls = await Promise.allSettled([
      stam.logits(video(0)),
      stam.logits(new Float32Array(7)),
      stam.logits([{ ...pictures(0), width: 1 }]),
      stam.logits(video(1)),
    ]);
    expect(calls[0]).toMatchObject({ value: ofVideos[0] });
    for (const call of calls.slice(1, 3)) expect(call).toMatchObject({ reason: { code: 'bad-input' } });
    expect(calls[3]).toMatchObject({ value: ofVideos[1] });
    stam.dispose();
    await expectClean();
  });

  test('read their own pictures, also where one gives activations in many passes', async () => {
    const config = { ...smallestConfig, frames: 6 };
    const weights = openSynthetic(2, weightShapes(config));
    const options = { dtype: 'f32', tune: 'off', framesPerPass: 1 } as const;
    const model = await StamModel.load(await Device.adopt(device.gpu), config, weights, options);
    const shot = (seed: number): DecodedFrames => {
      const data = Uint8Array.from(unit(seed, 'pixels', 6 * 20 * 18 * 3), (value) => value * 256);
      return { width: 20, height: 18, data };
    };
    const alone = [(await model.run([shot(0)])).get('logits'), (await model.run([shot(1)])).get('logits')];
    expect(alone[0]).not.toEqual(alone[1]);
    const keep = (name: string) => name === 'norm';
    const together = await Promise.all([model.run([shot(0)], { keep }), model.run([shot(1)]), model.run([shot(0)])]);
    expect(together.map((outputs) => outputs.get('logits'))).toEqual([alone[0], alone[1], alone[0]]);
    model.dispose();
    await expectClean();
  });

  test('of two models on one device, and of two devices', async () => {
    const other = await openFaultyGpu();
    const models = [await load(), await load(), await load({ device: other.gpu })];
    const calls = Array.from({ length: 18 }, (_, i) => models[i % 3].logits(video(i % 6)));
    // the device stays for the second model when the first is gone
    for (const [i, call] of calls.entries()) expect(await call).toEqual(ofVideos[i % 6]);
    models[0].dispose();
    expect(await models[1].logits(video(2))).toEqual(ofVideos[2]);
    other.gpu.destroy();
    await expect(models[2].logits(video(1))).rejects.toMatchObject(lost);
    expect(await models[1].logits(video(1))).toEqual(ofVideos[1]);
    for (const model of models) model.dispose();
    await expectClean();
    await expectClean(other);
  });
});

function split(logits: Float32Array): Float32Array[] {
  return Array.from({ length: logits.length / classes }, (_, i) => logits.slice(i * classes, (i + 1) * classes));
}

/** Every call there is, on a stream that has its frames. */
const calls: readonly (readonly [
  string,
  (stam: Stam, stream: StamStream, signal?: AbortSignal) => Promise<unknown>,
])[] = [
  ['logits', (stam, _, signal) => stam.logits(video(0), { signal })],
  ['logits of pictures', (stam, _, signal) => stam.logits([pictures(1)], { signal })],
  ['logits of a new batch', (stam, _, signal) => stam.logits(Float32Array.of(...video(0), ...video(1)), { signal })],
  ['classify', (stam, _, signal) => stam.classify(video(0), { signal })],
  ['stream.push', (_, stream, signal) => stream.push(halves(1)[0], { signal })],
  ['stream.predict', (_, stream, signal) => stream.predict({ signal })],
  ['stream.logits', (_, stream, signal) => stream.logits({ signal })],
];
const withoutSignal: typeof calls = [
  ['stream', (stam) => stam.stream()],
  ['prepare', (stam) => stam.prepare({ videos: 3 })],
  ['stream.reset', (_, stream) => stream.reset()],
];

describe('a model that is disposed of', () => {
  test('refuses all calls', async () => {
    const stam = await load();
    const stream = await frameStream(stam);
    stam.dispose();
    stam.dispose();
    for (const [name, call] of [...calls, ...withoutSignal.slice(0, 2)]) {
      await expect(call(stam, stream), name).rejects.toMatchObject(disposed);
    }
    expect(() => stam.encode({} as GPUCommandEncoder, { mapState: 'unmapped' } as GPUBuffer)).toThrow(
      expect.objectContaining(disposed),
    );
    await expect(stam.recover(device.gpu)).rejects.toMatchObject(disposed);
    expect(stam.memory().buffers).toBe(0);
    await expectClean();
  });

  /** Turns of the event loop by which a call is on its way, from not begun to computing. */
  test.each(moments)('ends what is on its way for %i turns', async (turns) => {
    for (const [name, call] of [...calls, ...withoutSignal]) {
      const stam = await load();
      const stream = await frameStream(stam);
      const pending = Promise.allSettled([call(stam, stream), call(stam, stream), call(stam, stream)]);
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      stam.dispose();
      stream.dispose();
      for (const outcome of await pending) {
        if (outcome.status === 'rejected') expect(outcome.reason, name).toMatchObject(disposed);
        else if (turns === 0 && name !== 'stream.reset') expect.fail(`${name} went on after dispose()`);
      }
      await expectClean();
    }
  });
});

describe('a signal', () => {
  test.each(moments)('ends what is on its way for %i turns, and no more than that', async (turns) => {
    const stam = await load();
    for (const [name, call] of calls) {
      const controller = new AbortController();
      const stream = await frameStream(stam);
      const pending = Promise.allSettled([
        call(stam, stream, controller.signal),
        stam.logits(video(2)),
        call(stam, stream, controller.signal),
      ]);
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      controller.abort();
      const [first, other, second] = await pending;
      for (const outcome of [first, second]) {
        if (outcome.status === 'rejected') expect(outcome.reason, name).toMatchObject(aborted);
        else if (turns === 0) expect.fail(`${name} went on after abort()`);
      }
      expect(other, name).toMatchObject({ value: ofVideos[2] });
      await expect(call(stam, stream, controller.signal), name).rejects.toMatchObject(aborted);
      expect(await stam.logits([pictures(1)])).toEqual(ofPictures[1]);
      stream.dispose();
    }
    stam.dispose();
    await expectClean();
  });

  test('ends a run that gives activations, too, and leaves nothing of it', async () => {
    const model = await StamModel.load(await Device.adopt(device.gpu), smallestConfig, smallestWeights(), {
      dtype: 'f32',
      tune: 'off',
    });
    const keep = (name: string) => name === 'norm';
    expect([...(await model.run(video(0), { keep })).keys()]).toContain('norm');
    const held = device.live;
    for (let turns = 0; turns < 24; turns++) {
      const controller = new AbortController();
      const running = model.run(video(1), { keep, signal: controller.signal }).catch((error: unknown) => error);
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      controller.abort();
      const outcome = await running;
      if (outcome instanceof Map) expect(outcome.get('logits')).toEqual(ofVideos[1]);
      else expect(outcome).toMatchObject(aborted);
      await expect.poll(() => device.live, { message: `after ${turns} turns`, timeout: 5000 }).toBe(held);
    }
    model.dispose();
    await expectClean();
  });

  longTest('ends a call for more pictures than there were, and leaves no buffer of it', async () => {
    const calls = [1, 2, 3].map((videos) => Array.from({ length: videos }, () => pictures(0)));
    /** GPU memory after the three calls, the second of which is aborted after some turns of the microtasks, and then made once more. */
    const memoryAfter = async (turns?: number) => {
      const stam = await load({ selfCheck: false });
      await stam.logits(calls[0]);
      const controller = new AbortController();
      const second = stam.logits(calls[1], { signal: controller.signal }).catch((error: unknown) => error);
      const third = stam.logits(calls[2]);
      for (let i = 0; i < (turns ?? 0); i++) await Promise.resolve();
      if (turns !== undefined) controller.abort();
      await Promise.all([second, third]);
      await stam.logits(calls[1]);
      const { activations, staging } = stam.memory();
      stam.dispose();
      return { activations, staging };
    };
    const whole = await memoryAfter();
    for (let turns = 0; turns < 200; turns += 8)
      expect({ turns, ...(await memoryAfter(turns)) }).toEqual({ turns, ...whole });
  });

  test.each(['upload', 'compile', 'ready'] as const)('ends loadStam() at %s', async (stage) => {
    const controller = new AbortController();
    const onProgress: LoadCheckpointOptions['onProgress'] = (progress) =>
      progress.stage === stage && controller.abort();
    const loading = load({ signal: controller.signal, onProgress });
    if (stage !== 'ready') await expect(loading).rejects.toMatchObject(aborted);
    else (await loading).dispose(); // it was loaded by then
    await expectClean();
  });

  test('ends loadStam() while it tunes, and before it begins', async () => {
    const store = { read: async () => undefined, write: async () => undefined };
    const controller = new AbortController();
    const onProgress: LoadCheckpointOptions['onProgress'] = ({ stage, loaded }) =>
      stage === 'tune' && loaded > 0 && controller.abort();
    const loading = load({ tune: 'full', tuningStore: store, signal: controller.signal, onProgress });
    await expect(loading).rejects.toMatchObject(aborted);
    await expect(load({ signal: controller.signal })).rejects.toMatchObject(aborted);
    await expectClean();
  });

  test('of forty calls at a time is listened to without a warning', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on('warning', note);
    const stam = await load();
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 40 }, () => stam.logits(video(0), { signal })));
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', note);
    expect(warnings).toEqual([]);
    stam.dispose();
  });
});

describe('recover()', () => {
  test('while calls are pending: those of before are told, those of after are answered', async () => {
    const stam = await load();
    const before = Array.from({ length: 4 }, () => stam.logits(video(0)));
    const pending = Promise.allSettled(before);
    const old = device;
    device = await openFaultyGpu();
    old.gpu.destroy();
    await stam.recover(device.gpu);
    for (const outcome of await pending) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject(lost);
      else expect(outcome.value).toEqual(ofVideos[0]);
    }
    expect(await stam.logits(video(1))).toEqual(ofVideos[1]);
    stam.dispose();
    await expectClean(old);
    await expectClean();
  });

  longTest('moves a model off a device that is well, calls that are not over being told to call again', async () => {
    const stam = await load();
    const other = await openFaultyGpu();
    const recovering = stam.recover(other.gpu);
    const pending: Promise<Float32Array>[] = [];
    const asking = setInterval(() => {
      const call = stam.logits(video(3));
      call.catch(() => undefined);
      pending.push(call);
    }, 1);
    await recovering;
    clearInterval(asking);
    for (const outcome of await Promise.allSettled(pending)) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject(lost);
      else expect(outcome.value).toEqual(ofVideos[3]);
    }
    expect(await stam.logits(video(3))).toEqual(ofVideos[3]);
    await expectClean(); // it has left
    stam.dispose();
    await expectClean(other);
    other.gpu.destroy();
  });

  longTest('called twice at once, on one device is one recovery, on two the later one counts', async () => {
    let opened = 0;
    const source = async () => {
      opened++;
      return { source: smallestWeights(), close: async () => {} };
    };
    const stam = await loadStam(source, { device: device.gpu, dtype: 'f32', tune: 'off' });
    const [second, third] = [await openFaultyGpu(), await openFaultyGpu()];
    await Promise.all([stam.recover(second.gpu), stam.recover(second.gpu)]);
    expect(opened).toBe(2);
    await Promise.all([stam.recover(device.gpu), stam.recover(third.gpu)]);
    expect(opened).toBe(4);
    await expectClean();
    await expectClean(second);
    expect(third.live).toBeGreaterThan(0);
    expect(await stam.logits(video(4))).toEqual(ofVideos[4]);
    stam.dispose();
    await expectClean(third);
    for (const { gpu } of [second, third]) gpu.destroy();
  });

  test('that is overtaken by dispose() leaves nothing', async () => {
    for (const turns of [0, 2, 8, 32]) {
      const stam = await load();
      const recovering = stam.recover(device.gpu);
      recovering.catch(() => undefined);
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      stam.dispose();
      await recovering.catch((error: unknown) => expect(error).toMatchObject(disposed));
      await expectClean();
    }
  });

  test('outlives the signal of the first load', async () => {
    const controller = new AbortController();
    const stam = await load({ signal: controller.signal });
    controller.abort();
    await stam.recover(device.gpu);
    expect(await stam.logits(video(5))).toEqual(ofVideos[5]);
    stam.dispose();
    await expectClean();
  });
});
