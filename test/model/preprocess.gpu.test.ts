// Pictures to crops, to the last bit as torchvision on Pillow 9.4 gives them. Of the golden pictures two stand in fixtures/preprocess;
// the rest are compared where the golden files lie beside the project.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import { createPlan } from '../../engine/plan.ts';
import { Program } from '../../engine/program.ts';
import { Weights } from '../../engine/weights.ts';
import { chooseClips } from '../../loaders/video/frame-choice.ts';
import { decodeFrames, probeVideo } from '../../loaders/video/node-video.ts';
import { findVideoTools } from '../../loaders/video/node-video-tools.ts';
import { namedConfig } from '../../model/config.ts';
import type { MakeProgram } from '../../model/preprocess.ts';
import { cropAxes, Preprocessor } from '../../model/preprocess.ts';
import { samplingOf } from '../../model/sampling.ts';
import { openTestDevice } from '../device.ts';
import { readBuffer } from '../engine/small-program.ts';
import * as reference from '../reference.ts';

const recipe = { size: 224, zoom: 0.875 };
const fixtures = fileURLToPath(new URL('../fixtures/preprocess/', import.meta.url));
const golden = fileURLToPath(new URL('../../../shared/golden/preprocess/', import.meta.url));
const folder = existsSync(golden) ? golden : fixtures;
if (folder === fixtures) process.stderr.write(`only the pictures of the project: ${golden} is not there\n`);
const pictures = readdirSync(folder)
  .filter((name) => name.endsWith('.ppm'))
  .map((name) => name.slice(0, -'.ppm'.length));

interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

function readPicture(name: string): Picture {
  const bytes = new Uint8Array(readFileSync(`${folder}${name}.ppm`));
  const header = /^P6\s(\d+)\s(\d+)\s255\s/.exec(new TextDecoder('latin1').decode(bytes.subarray(0, 40)));
  if (!header) throw new Error(`${name}.ppm is no picture`);
  return { width: Number(header[1]), height: Number(header[2]), data: bytes.slice(header[0].length) };
}

const readCrop = (name: string) => new Uint8Array(readFileSync(`${folder}${name}.crop224.rgb`));

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

const makeProgram: MakeProgram = (graph) =>
  Program.create(device, createPlan(graph, device.capabilities), Weights.none(device));

test('there are pictures to compare', () => {
  expect(pictures.length).toBeGreaterThanOrEqual(2);
});

describe.each(pictures)('%s', (name) => {
  const { width, height, data } = readPicture(name);
  const { across, down } = cropAxes(width, height, recipe);

  test('is resized and cropped by the reference as by Pillow', () => {
    const to = [across.to, down.to] as const;
    const resized = reference.resizeBilinear(data, [width, height], to);
    const crop = reference.crop(resized, to, { left: across.first, top: down.first, size: 224 });
    expect(Buffer.compare(crop, readCrop(name))).toBe(0);
  });

  test('is resized, cropped and made a tensor by the GPU as by torchvision', async () => {
    const preprocessor = new Preprocessor(makeProgram, recipe);
    const upsideDown = data.toReversed();
    const both = new Uint8Array(2 * data.length);
    both.set(data);
    both.set(upsideDown, data.length);
    const buffer = await preprocessor.submit({ width, height, data: both }, 2);
    const got = await readBuffer(device.gpu, buffer);
    const expected = reference.toTensor(readCrop(name));
    expect(got.length).toBe(2 * expected.length);
    expect(got.findIndex((value, i) => i < expected.length && value !== expected[i])).toBe(-1);
    expect(got.subarray(expected.length)).not.toEqual(expected);
    preprocessor.dispose();
  });
});

// the video stays outside of the repository
const goldenVideo = fileURLToPath(new URL('../../../shared/golden/video/', import.meta.url));
const hasVideo = existsSync(goldenVideo);
if (!hasVideo)
  process.stderr.write(`preprocess.gpu.test.ts: ${goldenVideo} is not there; its frames are not compared\n`);

test.runIf(hasVideo)('the frames of a real video are those that torchvision, PyAV and Pillow give', async () => {
  const file = `${goldenVideo}demo.mp4`;
  const [{ indices }] = JSON.parse(readFileSync(`${goldenVideo}demo.json`, 'utf8')).cases;
  const tools = await findVideoTools();
  const info = await probeVideo(tools, file);
  const config = namedConfig('stam_16');
  const clips = chooseClips(info.frames, info.fps, samplingOf(config));
  expect(clips).toEqual([indices]);
  const preprocessor = new Preprocessor(makeProgram, recipe);
  const buffer = await preprocessor.submit(await decodeFrames(tools, file, info, clips[0]), config.frames);
  const got = await readBuffer(device.gpu, buffer);
  preprocessor.dispose();
  const crops = new Uint8Array(readFileSync(`${goldenVideo}demo.16.crop224.rgb`));
  const bytes = crops.length / config.frames;
  expect(got.length).toBe(crops.length);
  for (let i = 0; i < config.frames; i++) {
    const expected = reference.toTensor(crops.subarray(i * bytes, (i + 1) * bytes));
    const wrong = expected.findIndex((value, at) => got[i * bytes + at] !== value);
    expect(wrong, `frame ${i}`).toBe(-1);
  }
});

describe('cropAxes', () => {
  test.each([
    // width, height, resized, crop: half a pixel goes to the even side, the longer side is cut
    [320, 240, [341, 256], [58, 16]],
    [1280, 720, [455, 256], [116, 16]],
    [340, 256, [340, 256], [58, 16]],
    [256, 340, [256, 340], [16, 58]],
    [224, 224, [256, 256], [16, 16]],
    [1, 1000, [256, 256_000], [16, 127_888]],
  ])('%ix%i', (width, height, resized, crop) => {
    const { across, down } = cropAxes(width, height, recipe);
    expect([across.to, down.to]).toEqual(resized);
    expect([across.first, down.first]).toEqual(crop);
  });

  test('squashes to 448 pixels, as infer.py does at that size only', () => {
    const { across, down } = cropAxes(640, 480, { size: 448, zoom: 0.875 });
    expect([across, down]).toEqual([
      { from: 640, to: 448, first: 0 },
      { from: 480, to: 448, first: 0 },
    ]);
  });

  test('pads where a zoom leaves less than the crop, the odd pixel on the right', () => {
    expect(cropAxes(100, 100, { size: 10, zoom: 1.4 }).across).toEqual({ from: 100, to: 7, first: -1 });
  });

  test.each([0, -1, Number.NaN, 1e-9, 1000])('refuses a zoom of %f', (zoom) => {
    expect(() => cropAxes(320, 240, { size: 224, zoom })).toThrow(/zoom factor: .*expected 1 to 65536 pixels/);
  });
});

describe('a preprocessor', () => {
  const picture = (width: number, height: number, frames: number) => ({
    width,
    height,
    data: new Uint8Array(width * height * 3 * frames).fill(7),
  });

  test('keeps programs for a few sizes only, and frees all of them', async () => {
    const before = device.memory.statistics().buffers;
    const preprocessor = new Preprocessor(makeProgram, { size: 16, zoom: 1 });
    for (let width = 16; width < 32; width++) await preprocessor.submit(picture(width, 20, 1), 1);
    await device.gpu.queue.onSubmittedWorkDone();
    const perSize = (device.memory.statistics().buffers - before) / 4;
    expect(Number.isInteger(perSize)).toBe(true);
    preprocessor.dispose();
    await device.gpu.queue.onSubmittedWorkDone();
    expect(device.memory.statistics().buffers).toBe(before);
  });

  test.each([
    ['too few bytes', { ...picture(20, 20, 2), data: new Uint8Array(20 * 20 * 3) }],
    ['no width', picture(0, 20, 2)],
    ['half a pixel', { ...picture(20, 20, 2), width: 20.5 }],
  ])('refuses %s', async (_, video) => {
    const preprocessor = new Preprocessor(makeProgram, recipe);
    await expect(preprocessor.submit(video, 2)).rejects.toMatchObject({ code: 'bad-input' });
    preprocessor.dispose();
  });
});
