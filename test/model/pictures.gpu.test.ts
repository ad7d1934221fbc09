// Frames that are in GPU memory already, and streams of them: the same logits as the same frames as floats.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import { unpadRows } from '../../engine/layout.ts';
import { openSynthetic, unit } from '../../loaders/synthetic.ts';
import type { Stam } from '../../model/load.ts';
import { loadStam } from '../../model/load.ts';
import type { PictureSource } from '../../model/pictures.ts';
import type { DecodedFrames } from '../../model/preprocess.ts';
import { weightShapes } from '../../model/weights.ts';
import { largestDifference } from '../close.ts';
import { openTestDevice } from '../device.ts';
import { readBuffer } from '../engine/small-program.ts';
import type { Fixture } from './fixtures.ts';
import { modelTolerance, openFixture } from './fixtures.ts';

let device: Device;
let fixture: Fixture;
let stam: Stam;
/** Two videos of pictures of two sizes, their logits, and the same pictures as textures. */
let decoded: DecodedFrames[];
let expected: Float32Array;
let textures: GPUTexture[];

beforeAll(async () => {
  device = await openTestDevice();
  fixture = await openFixture('tiny-a');
  stam = await loadStam(fixture.weights, { device: device.gpu, dtype: 'f32' });
  const { frames } = fixture.config;
  decoded = [pictures(40, 30, frames, 1), pictures(35, 57, frames, 2)];
  expected = await stam.logits(decoded);
  textures = decoded.flatMap(texturesOf);
});
afterAll(async () => {
  for (const texture of textures) texture.destroy();
  stam.dispose();
  await fixture.truth.close();
  device.dispose();
});

function pictures(width: number, height: number, frames: number, seed: number): DecodedFrames {
  const data = Uint8Array.from(unit(seed, 'pixels', 4 * frames * width * height), (value) => value * 256);
  return { width, height, data, format: 'RGBA' };
}

/** A texture for each picture; BGRA ones by turns, which a kernel sees no difference to. */
function texturesOf({ width, height, data }: DecodedFrames): GPUTexture[] {
  const bytes = 4 * width * height;
  return Array.from({ length: data.byteLength / bytes }, (_, i) => {
    const swapped = i % 2 === 1;
    const texture = device.gpu.createTexture({
      size: [width, height],
      format: swapped ? 'bgra8unorm' : 'rgba8unorm',
      usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST,
    });
    const picture = data.slice(i * bytes, (i + 1) * bytes);
    if (swapped) for (let at = 0; at < bytes; at += 4) [picture[at], picture[at + 2]] = [picture[at + 2], picture[at]];
    device.gpu.queue.writeTexture({ texture }, picture, { bytesPerRow: 4 * width }, [width, height]);
    return texture;
  });
}

test('encode() of several videos wants to be prepared for as many', async () => {
  const { frames, imageSize } = fixture.config;
  const size = 4 * 3 * frames * 3 * imageSize ** 2;
  const buffer = device.gpu.createBuffer({ size, usage: GPUBufferUsage.COPY_SRC });
  const encoder = device.gpu.createCommandEncoder();
  expect(() => stam.encode(encoder, buffer, 3)).toThrow(/cannot wait for what is not prepared; got 3 videos/);
  await stam.prepare({ videos: 3 });
  expect(stam.encode(encoder, buffer, 3).size).toBeGreaterThan(0);
  buffer.destroy();
});

test('other pictures give other logits', () => {
  const { classes } = fixture.config;
  expect(expected.subarray(0, classes)).not.toEqual(expected.subarray(classes));
});

test('textures give the bits that bytes give', async () => {
  expect(await stam.logits(textures)).toEqual(expected);
  const [first, second] = await stam.classify(textures, { topk: 1, labels: fixtureLabels() });
  expect(first[0].label).toBe(`class ${first[0].index}`);
  expect([first[0].index, second[0].index]).toEqual(
    [0, 1].map((video) => {
      const logits = expected.subarray(video * fixture.config.classes, (video + 1) * fixture.config.classes);
      return logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
    }),
  );
});

const fixtureLabels = () => Array.from({ length: fixture.config.classes }, (_, i) => `class ${i}`);

test('a buffer of frames gives what floats give', async () => {
  const frames = await fixture.truth.read('frames');
  const buffer = device.gpu.createBuffer({
    size: frames.byteLength,
    usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  device.gpu.queue.writeBuffer(buffer, 0, frames);
  expect(await stam.logits(buffer)).toEqual(await stam.logits(frames));
  buffer.destroy();
  const odd = device.gpu.createBuffer({ size: frames.byteLength - 16, usage: GPUBufferUsage.COPY_SRC });
  await expect(stam.logits(odd)).rejects.toThrow(/frames: not a whole number of videos; got \d+ bytes/);
  odd.destroy();
});

test("encode() works between the caller's own passes in one submission, and the caller's shader reads the logits", async () => {
  const { gpu } = device;
  const { classes, frames } = fixture.config;
  const [width, height] = [decoded[0].width, decoded[0].height];
  // before: the caller draws its frames itself; after: it doubles the logits
  const canvases = Array.from({ length: frames }, () =>
    gpu.createTexture({
      size: [width, height],
      format: 'rgba8unorm',
      usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST,
    }),
  );
  const doubled = gpu.createBuffer({
    size: 4 * classes,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  const pipeline = gpu.createComputePipeline({
    layout: 'auto',
    compute: {
      module: gpu.createShaderModule({
        code: `
          @group(0) @binding(0) var<storage, read> logits: array<f32>;
          @group(0) @binding(1) var<storage, read_write> output: array<f32>;
          @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
            if (id.x < arrayLength(&output)) { output[id.x] = 2 * logits[id.x]; }
          }`,
      }),
    },
  });
  expect(() => stam.encode(gpu.createCommandEncoder(), canvases)).toThrow(
    /not prepared; .*await prepare\(\) once before/,
  );
  await stam.prepare({ pictures: canvases });
  const encoder = gpu.createCommandEncoder();
  const rgba = gpu.createBuffer({
    size: 256 * height * frames,
    usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  for (let i = 0; i < frames; i++) {
    for (let y = 0; y < height; y++) {
      const row = decoded[0].data.slice(4 * width * (i * height + y), 4 * width * (i * height + y + 1));
      gpu.queue.writeBuffer(rgba, 256 * (i * height + y), row);
    }
    const layout = { buffer: rgba, offset: 256 * height * i, bytesPerRow: 256 };
    encoder.copyBufferToTexture(layout, { texture: canvases[i] }, [width, height]);
  }
  const logits = stam.encode(encoder, canvases);
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const entries = [logits, doubled].map((buffer, binding) => ({ binding, resource: { buffer } }));
  pass.setBindGroup(0, gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(Math.ceil(classes / 64));
  pass.end();
  gpu.queue.submit([encoder.finish()]);
  expect(await readBuffer(gpu, doubled)).toEqual(expected.slice(0, classes).map((logit) => 2 * logit));
  expect(unpadRows(await readBuffer(gpu, logits), [1, classes])).toEqual(expected.slice(0, classes));
  for (const resource of [...canvases, doubled, rgba]) resource.destroy();
});

test('calls that overlap may read pictures of more sizes than are kept ready', async () => {
  const { frames } = fixture.config;
  const sizes = Array.from({ length: 8 }, (_, i) => pictures(20 + i, 18, frames, i));
  const want: Float32Array[] = [];
  for (const one of sizes) want.push(await stam.logits([one]));
  const all = sizes.map(texturesOf);
  for (let round = 0; round < 2; round++) {
    expect(await Promise.all(all.map((some) => stam.logits(some)))).toEqual(want);
  }
  for (const texture of all.flat()) texture.destroy();
});

test('what is prepared and recorded outlasts calls for other sizes and other numbers of videos', async () => {
  const { gpu } = device;
  const { classes, frames } = fixture.config;
  const first = textures.slice(0, frames);
  await stam.prepare({ pictures: first });
  const encoder = gpu.createCommandEncoder();
  const logits = stam.encode(encoder, first);
  for (let videos = 2; videos < 8; videos++) {
    const others = Array.from({ length: videos }, (_, i) =>
      texturesOf(pictures(20 + videos, 15 + i, frames, i)),
    ).flat();
    expect((await stam.logits(others)).every(Number.isFinite)).toBe(true);
    for (const texture of others) texture.destroy();
  }
  gpu.pushErrorScope('validation');
  gpu.queue.submit([encoder.finish()]);
  expect(await gpu.popErrorScope()).toBeNull();
  expect(unpadRows(await readBuffer(gpu, logits), [1, classes])).toEqual(expected.slice(0, classes));
});

test('what is prepared twice at a time is made once, and goes with the model', async () => {
  const own = await loadStam(fixture.weights, { device: device.gpu, dtype: 'f32' });
  const first = textures.slice(0, fixture.config.frames);
  await own.prepare({ pictures: first });
  const { buffers } = own.memory();
  await Promise.all([first, textures, textures].map((some) => own.prepare({ pictures: some })));
  const twice = await loadStam(fixture.weights, { device: device.gpu, dtype: 'f32' });
  await twice.prepare({ pictures: first });
  await twice.prepare({ pictures: textures });
  expect(own.memory().buffers).toBe(twice.memory().buffers);
  expect(own.memory().buffers).toBeGreaterThan(buffers);
  const late = own.prepare({ pictures: [...textures, ...first] });
  for (const model of [own, twice]) model.dispose();
  await expect(late).rejects.toThrow(expect.objectContaining({ code: 'disposed' }));
  expect(own.memory().buffers).toBe(0);
  expect(twice.memory().buffers).toBe(0);
});

describe('pictures that do not fit are refused', () => {
  test.each([
    ['none', () => [], /got 0 pictures/],
    ['one too many', () => [...textures, textures[0]], /not a whole number of videos/],
    [
      'no pixels',
      () => [{ width: 0, height: 5, createView: () => undefined } as unknown as GPUTexture],
      /whole number/,
    ],
  ])('%s', async (_, sources, message) => {
    const encoder = device.gpu.createCommandEncoder();
    await expect(stam.logits(sources() as PictureSource[])).rejects.toThrow(message);
    expect(() => stam.encode(encoder, sources() as PictureSource[])).toThrow(message);
    await expect(stam.prepare({ pictures: sources() as PictureSource[] })).rejects.toThrow(message);
  });

  test('more sizes in one encoder than are kept ready', async () => {
    const { frames } = fixture.config;
    const many = Array.from({ length: 2 * frames }, (_, i) =>
      device.gpu.createTexture({ size: [8 + i, 9], format: 'rgba8unorm', usage: GPUTextureUsage.TEXTURE_BINDING }),
    );
    await expect(stam.prepare({ pictures: many })).rejects.toThrow(/pictures: too many sizes for one encoder; got 8/);
    expect(() => stam.encode(device.gpu.createCommandEncoder(), many)).toThrow(/not prepared/);
    expect((await stam.logits(many)).every(Number.isFinite)).toBe(true);
    for (const texture of many) texture.destroy();
  });
});

describe('a stream', () => {
  test('of F frames gives what the batch gives, and goes on with each new frame', async () => {
    const { classes, frames } = fixture.config;
    const stream = await stam.stream();
    const all = decoded.flatMap((video) => {
      const bytes = 4 * video.width * video.height;
      return Array.from({ length: frames }, (_, i) => ({
        ...video,
        data: video.data.slice(i * bytes, (i + 1) * bytes),
      }));
    });
    for (const [i, picture] of all.slice(0, frames).entries()) {
      expect(stream.length).toBe(i);
      await expect(stream.logits()).rejects.toThrow(`got ${i}, expected ${frames}`);
      await stream.push(picture);
    }
    const first = await stream.logits();
    expect(largestDifference(first, expected.subarray(0, classes)).error).toBeLessThan(modelTolerance.f32);
    // the second half of the first video and the first of the second: a window that no batch of these had
    const half = frames / 2;
    for (const texture of textures.slice(frames, frames + half)) await stream.push(texture);
    const window = await stam.logits([...textures.slice(half, frames), ...textures.slice(frames, frames + half)]);
    expect(largestDifference(await stream.logits(), window).error).toBeLessThan(modelTolerance.f32);
    for (const picture of all.slice(frames + half)) await stream.push(picture);
    expect(stream.length).toBe(frames);
    expect(largestDifference(await stream.logits(), expected.subarray(classes)).error).toBeLessThan(modelTolerance.f32);
    const [best] = await stream.predict({ topk: 1 });
    expect((await stream.logits())[best.index]).toBe((await stream.logits()).reduce((a, b) => Math.max(a, b)));
    await stream.reset();
    expect(stream.length).toBe(0);
    stream.dispose();
    await expect(stream.push(textures[0])).rejects.toMatchObject({ code: 'disposed' });
  });

  test('takes floats, keeps the order of calls that overlap, and refuses what does not fit', async () => {
    const frames = await fixture.truth.read('frames');
    const { frames: count } = fixture.config;
    const size = frames.length / (count * fixture.videos);
    const stream = await stam.stream();
    const calls = Array.from({ length: count }, (_, i) => stream.push(frames.slice(i * size, (i + 1) * size)));
    const logits = stream.logits();
    await Promise.all(calls);
    const batch = (await stam.logits(frames)).subarray(0, fixture.config.classes);
    expect(largestDifference(await logits, batch).error).toBeLessThan(modelTolerance.f32);
    await expect(stream.push(new Float32Array(5))).rejects.toThrow(/got 5 elements/);
    await expect(stream.push(textures[0], { signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: 'AbortError',
    });
    expect(largestDifference(await stream.logits(), batch).error).toBeLessThan(modelTolerance.f32);
    stream.dispose();
  });

  test('refuses what is no number, as logits() does, and goes on when it has left', async () => {
    const { frames: count } = fixture.config;
    const frames = await fixture.truth.read('frames');
    const size = frames.length / (count * fixture.videos);
    const stream = await stam.stream();
    await stream.push(new Float32Array(size).fill(Number.NaN));
    for (let i = 1; i < count; i++) await stream.push(frames.slice(i * size, (i + 1) * size));
    const refusal = expect.objectContaining({
      code: 'unsupported',
      message: expect.stringMatching(/no.* finite numbers/),
    });
    await expect(stream.logits()).rejects.toThrow(refusal);
    await expect(stream.predict()).rejects.toThrow(refusal);
    await stream.push(frames.slice(0, size));
    expect((await stream.logits()).every(Number.isFinite)).toBe(true);
    stream.dispose();
  });

  test('over sixty-four frames of a model of sixty-four gives what the batch gives', async () => {
    const config = { ...fixture.config, frames: 64 };
    const weights = openSynthetic(1, weightShapes(config), new Map([['heads', `${config.heads}`]]));
    const long = await loadStam(weights, { device: device.gpu, dtype: 'f32' });
    const video = pictures(37, 33, 64, 5);
    const batch = await long.logits([video]);
    const stream = await long.stream();
    const bytes = 4 * video.width * video.height;
    for (let i = 0; i < 64; i++) await stream.push({ ...video, data: video.data.slice(i * bytes, (i + 1) * bytes) });
    const { error } = largestDifference(await stream.logits(), batch);
    expect(error).toBeLessThan(modelTolerance.f32);
    stream.dispose();
    long.dispose();
  });

  test('frees all that it took', async () => {
    const before = stam.memory();
    const stream = await stam.stream();
    await stream.push(textures[0]);
    expect(stam.memory().buffers).toBeGreaterThan(before.buffers);
    stream.dispose();
    await device.gpu.queue.onSubmittedWorkDone();
    expect(stam.memory().buffers).toBe(before.buffers);
  });
});
