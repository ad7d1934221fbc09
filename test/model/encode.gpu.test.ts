// What an app records with encode() it submits whenever it likes: calls that are on their way do not notice, and the other way round.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import { unpadRows } from '../../engine/layout.ts';
import { openSynthetic, unit } from '../../loaders/synthetic.ts';
import type { Stam } from '../../model/load.ts';
import { loadStam } from '../../model/load.ts';
import { weightShapes } from '../../model/weights.ts';
import { openTestDevice } from '../device.ts';
import { readBuffer } from '../engine/small-program.ts';
import { smallestConfig } from './fixtures.ts';

const config = { ...smallestConfig, frames: 8 };
const { classes } = config;
const videos = [0, 1].map((seed) => unit(seed, 'frames', config.frames * 3 * config.imageSize ** 2));

let device: Device;
let stam: Stam;
let buffers: GPUBuffer[];
/** Of the two videos, each of a call of its own. */
let expected: Float32Array[];

beforeAll(async () => {
  device = await openTestDevice();
  buffers = videos.map((video) => {
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffer = device.gpu.createBuffer({ size: video.byteLength, usage });
    device.gpu.queue.writeBuffer(buffer, 0, video);
    return buffer;
  });
  const own = await load();
  expected = [await own.logits(videos[0]), await own.logits(videos[1])];
  own.dispose();
  expect(expected[0]).not.toEqual(expected[1]);
});
beforeEach(async () => {
  stam = await load();
  return () => stam.dispose();
});
afterAll(() => {
  for (const buffer of buffers) buffer.destroy();
  device.dispose();
});

/** Eight passes of a frame each, which are as many submissions: between them the app's own come in. */
async function load(): Promise<Stam> {
  const weights = openSynthetic(1, weightShapes(config), new Map([['heads', `${config.heads}`]]));
  return await loadStam(weights, { device: device.gpu, dtype: 'f32', tune: 'off', selfCheck: false, framesPerPass: 1 });
}

function submit(video: number): GPUBuffer {
  const encoder = device.gpu.createCommandEncoder();
  const logits = stam.encode(encoder, buffers[video]);
  device.gpu.queue.submit([encoder.finish()]);
  return logits;
}

const read = async (logits: GPUBuffer) => unpadRows(await readBuffer(device.gpu, logits), [1, classes]);

test('a frame loop of the app beside calls of logits()', async () => {
  await stam.prepare({});
  for (let round = 0; round < 5; round++) {
    let isOver = false;
    const call = stam.logits(videos[0]).finally(() => {
      isOver = true;
    });
    let submissions = 0;
    while (!isOver) {
      const logits = submit(1);
      submissions++;
      expect(await read(logits)).toEqual(expected[1]);
    }
    expect(submissions).toBeGreaterThan(1);
    expect(await call).toEqual(expected[0]);
  }
});

test('is ready after the load, before and after calls of logits()', async () => {
  expect(await read(submit(1))).toEqual(expected[1]);
  expect(await stam.logits(videos[0])).toEqual(expected[0]);
  expect(await read(submit(1))).toEqual(expected[1]);
  const later = await load();
  expect(await later.logits(videos[0])).toEqual(expected[0]);
  const logits = later.encode(device.gpu.createCommandEncoder(), buffers[1]);
  expect(logits.size).toBeGreaterThan(0);
  later.dispose();
});

test('wants to be prepared where the call that is on its way has what the load made ready', async () => {
  const call = stam.logits(videos[0]);
  for (let turns = 0; turns < 100; turns++) await Promise.resolve(); // it has begun; the GPU gets no turn
  expect(() => submit(1)).toThrow(
    expect.objectContaining({ code: 'bad-input', message: expect.stringMatching(/not prepared; got 1 videos/) }),
  );
  await stam.prepare({ videos: 1 });
  expect(await read(submit(1))).toEqual(expected[1]);
  expect(await call).toEqual(expected[0]);
});

test('takes memory of its own only where both are asked for', async () => {
  const { activations } = stam.memory();
  submit(1);
  submit(0);
  expect(stam.memory().activations).toBe(activations);
  await stam.logits(videos[0]);
  expect(stam.memory().activations).toBe(2 * activations);
  await stam.prepare({ videos: 1 });
  expect(await read(submit(1))).toEqual(expected[1]);
  expect(stam.memory().activations).toBe(2 * activations);
});
