// Many calls and many loads leave nothing behind: no GPU buffer, and no more heap than noise.
import v8 from 'node:v8';
import vm from 'node:vm';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Device } from '../../engine/device.ts';
import { unit } from '../../loaders/synthetic.ts';
import { loadStam } from '../../model/load.ts';
import type { DecodedFrames } from '../../model/preprocess.ts';
import { openTestDevice } from '../device.ts';
import { longTests } from '../sample.ts';
import { smallestConfig, smallestWeights } from './fixtures.ts';

const test = longTests('many calls and loads leave nothing behind');

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

/** Bytes in use on the heap and in array buffers, once all garbage is gone. */
async function bytesInUse(): Promise<number> {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc') as () => void;
  for (let i = 0; i < 3; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20)); // finalizers run in between
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function video(seed: number): DecodedFrames {
  const [width, height] = [20 + (seed % 3), 18];
  const { frames } = smallestConfig;
  const data = Uint8Array.from(unit(seed, 'pixels', frames * width * height * 3), (value) => value * 256);
  return { width, height, data };
}

/** More than a call may keep: a result alone, of whatever size, takes hundreds of bytes with what leads to it. */
const bytesPerCall = 300;
const calls = 3000;

test('three thousand calls of classify()', async () => {
  const stam = await loadStam(smallestWeights(), { device: device.gpu, dtype: 'f32' });
  const videos = [0, 1, 2].map(video);
  const round = async (count: number) => {
    const answers = await Promise.all(
      Array.from({ length: count }, (_, i) => stam.classify([videos[i % 3]], { topk: 1 })),
    );
    return answers.map(([[best]]) => best.index);
  };
  const first = await round(60);
  for (let i = 0; i < 10; i++) await round(50); // until all is compiled that will be
  const [buffers, bytes] = [stam.memory().buffers, await bytesInUse()];
  for (let done = 0; done < calls; done += 50) expect(await round(50)).toEqual(first.slice(0, 50));
  expect(stam.memory().buffers).toBe(buffers);
  expect((await bytesInUse()) - bytes).toBeLessThan(calls * bytesPerCall);
  stam.dispose();
  expect(stam.memory()).toMatchObject({ weights: 0, activations: 0, staging: 0, buffers: 0 });
});

test('three thousand calls of a stream', async () => {
  const stam = await loadStam(smallestWeights(), { device: device.gpu, dtype: 'f32' });
  const { frames: count, imageSize } = smallestConfig;
  const frames = unit(1, 'frames', count * 3 * imageSize ** 2);
  const frame = frames.slice(0, frames.length / count);
  const stream = await stam.stream();
  for (let i = 0; i < count; i++) await stream.push(frame);
  const first = await stream.logits();
  const round = async (times: number) => {
    for (let i = 0; i < times; i++)
      expect((await Promise.all([stream.push(frame), stream.logits()]))[1]).toEqual(first);
  };
  await round(250);
  const [buffers, bytes] = [stam.memory().buffers, await bytesInUse()];
  await round(calls / 2);
  expect(stam.memory().buffers).toBe(buffers);
  expect((await bytesInUse()) - bytes).toBeLessThan(calls * bytesPerCall);
  stream.dispose();
  stam.dispose();
});

test('calls for twenty numbers of videos', async () => {
  const numbers = Array.from({ length: 20 }, (_, i) => 1 + i);
  const floats = unit(1, 'frames', smallestConfig.frames * 3 * smallestConfig.imageSize ** 2);
  const videosOf = (count: number) =>
    Float32Array.from({ length: count * floats.length }, (_, i) => floats[i % floats.length]);
  const largest = await loadStam(smallestWeights(), { device: device.gpu, dtype: 'f32', videos: numbers.length });
  const stam = await loadStam(smallestWeights(), { device: device.gpu, dtype: 'f32' });
  const logits = await stam.logits(floats);
  for (const count of [...numbers, ...numbers]) {
    const got = await stam.logits(videosOf(count));
    for (let at = 0; at < got.length; at += logits.length) expect(got.slice(at, at + logits.length)).toEqual(logits);
  }
  // the one that was made while loading, and the four that were used last
  expect(stam.memory().activations).toBeLessThan(5 * largest.memory().activations);
  largest.dispose();
  stam.dispose();
});

test('fifty loads', async () => {
  const cycle = async () => {
    const stam = await loadStam(smallestWeights(), { device: device.gpu, dtype: 'f32' });
    const [[best]] = await stam.classify([video(1)], { topk: 1 });
    stam.dispose();
    expect(stam.memory().buffers).toBe(0);
    return best.index;
  };
  const answer = await cycle();
  for (let i = 0; i < 20; i++) await cycle(); // until all is compiled that will be
  const bytes = await bytesInUse();
  for (let i = 0; i < 50; i++) expect(await cycle()).toBe(answer);
  // a load that stays keeps the texts of its kernels at least, 100 kB
  expect((await bytesInUse()) - bytes).toBeLessThan(1e6);
});
