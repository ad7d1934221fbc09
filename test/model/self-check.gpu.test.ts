// A driver that compiles some kernels to something else: the load finds it, says so, and gives the right logits with other kernels.

import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { requiredDevice } from '../../engine/device.ts';
import type { LoadCheckpointOptions, Stam } from '../../model/load.ts';
import { loadStam } from '../../model/load.ts';
import { largestDifference } from '../close.ts';
import { requestTestAdapter } from '../device.ts';
import { longTest, sampleOf } from '../sample.ts';
import type { Fixture } from './fixtures.ts';
import { modelTolerance, openFixture } from './fixtures.ts';

let fixture: Fixture;
let frames: Float32Array<ArrayBuffer>;
let logits: Float32Array;
beforeAll(async () => {
  fixture = await openFixture('tiny-a');
  frames = await fixture.truth.read('frames');
  logits = await fixture.truth.read('logits');
  await fixture.truth.close();
});

const devices: GPUDevice[] = [];
afterEach(() => {
  for (const device of devices.splice(0)) device.destroy();
});

/** What a kernel of such a label is compiled from in place of its text. */
type Miscompile = (code: string, label: string) => string;

/** A device whose driver has an error. */
async function faultyDevice(miscompile: Miscompile): Promise<GPUDevice> {
  const adapter = await requestTestAdapter();
  const device = await adapter.requestDevice(requiredDevice(adapter));
  devices.push(device);
  const compile = device.createShaderModule.bind(device);
  device.createShaderModule = (descriptor) =>
    compile({ ...descriptor, code: miscompile(descriptor.code, descriptor.label ?? '') });
  return device;
}

async function load(miscompile: Miscompile, options: LoadCheckpointOptions = {}): Promise<Stam> {
  const device = await faultyDevice(miscompile);
  return await loadStam(fixture.weights, { device, dtype: 'f32', videos: fixture.videos, ...options });
}

const errorOf = async (stam: Stam) => largestDifference(await stam.logits(frames), logits).error;

/** Of every four elements that a kernel stores, the third is a hundredth too large. */
const store = 'fn store_quad(value: vec4f) -> Quad { return value; }';
const wrongStore = 'fn store_quad(value: vec4f) -> Quad { return value * vec4f(1, 1, 1.01, 1); }';

const wrongly =
  (isWrong: (kernel: string) => boolean): Miscompile =>
  (code, label) => {
    if (!isWrong(label.replace('stam: ', ''))) return code;
    if (!code.includes(store)) throw new Error(`${label} stores in another way`);
    return code.replace(store, wrongStore);
  };

const kernelsOf = (stam: Stam) => stam.info().kernels.map(({ kernel }) => kernel);

test('on a right driver all kernels are right', async () => {
  const notices: string[] = [];
  const stam = await load((code) => code, { onNotice: (text) => notices.push(text) });
  expect(stam.info().selfCheck).toMatch(/^\d+ kernels right, in/);
  expect(Number.parseInt(stam.info().selfCheck, 10)).toBe(kernelsOf(stam).length);
  expect([stam.info().notices, notices]).toEqual([[], []]);
  expect(await errorOf(stam)).toBeLessThan(modelTolerance.f32);
  stam.dispose();
});

test('a way of computing that is wrong is replaced by another', async () => {
  const isWrong = (kernel: string) => kernel.startsWith('layer-norm subgroup');
  const notices: string[] = [];
  const unchecked = await load(wrongly(isWrong), { selfCheck: false });
  // the error is one that the logits show
  expect(kernelsOf(unchecked).some(isWrong)).toBe(true);
  expect(unchecked.info()).toMatchObject({ selfCheck: 'off', notices: [] });
  expect(await errorOf(unchecked)).toBeGreaterThan(modelTolerance.f32);
  unchecked.dispose();
  const stam = await load(wrongly(isWrong), { onNotice: (text) => notices.push(text) });
  expect(kernelsOf(stam).filter(isWrong)).toEqual([]);
  expect(await errorOf(stam)).toBeLessThan(modelTolerance.f32);
  expect(stam.info().selfCheck).toMatch(/^\d+ kernels right, \d+ dropped/);
  expect(notices.length).toBeGreaterThan(0);
  for (const notice of notices) expect(notice).toMatch(/^the self-check dropped \S.+ is off by 0\.0\d+ of the largest/);
  expect(stam.info().notices).toEqual(notices);
  stam.dispose();
});

longTest('one wrong variant is replaced by its sibling, for every program and for streams', async () => {
  const plain = await load((code) => code);
  const chosen = kernelsOf(plain).filter((kernel) => /^matmul\S* .*gelu/.test(kernel));
  plain.dispose();
  expect(chosen).not.toEqual([]);
  const stam = await load(wrongly((kernel) => chosen.includes(kernel)));
  expect(kernelsOf(stam).filter((kernel) => chosen.includes(kernel))).toEqual([]);
  expect(kernelsOf(stam).some((kernel) => kernel.includes('gelu'))).toBe(true);
  expect(await errorOf(stam)).toBeLessThan(modelTolerance.f32);
  const stream = await stam.stream();
  const perFrame = frames.length / fixture.videos / stam.config.frames;
  for (let i = 0; i < stam.config.frames; i++) await stream.push(frames.slice(i * perFrame, (i + 1) * perFrame));
  const { classes } = stam.config;
  expect(largestDifference(await stream.logits(), logits.slice(0, classes)).error).toBeLessThan(modelTolerance.f32);
  stam.dispose();
});

describe('where no kernel is left, the load fails and says which and where', () => {
  const families = [
    ['attention', /attn on .+ \(software\): no kernel for attention is right .+ attention-tile .+ off by/],
    ['tokens', /no kernel for assembleTokens is right on this adapter; got tokens .+ off by/],
  ] as const;
  test.each(sampleOf('families of which no kernel is right', families, 1))('%s', async (family, message) => {
    const loading = load(wrongly((kernel) => kernel.startsWith(family)));
    await expect(loading).rejects.toThrow(message);
    await expect(loading).rejects.toMatchObject({ name: 'StamError', code: 'unsupported' });
  });
});

longTest('pictures are refused rather than read wrongly: of bytes, for streams, and in textures', async () => {
  const { frames: count, imageSize } = fixture.config;
  const [width, height] = [imageSize + 5, imageSize + 2];
  const data = Uint8Array.from({ length: count * width * height * 4 }, (_, i) => (i * 37) & 255);
  const pictures = { width, height, data, format: 'RGBA' } as const;
  const wrong = { code: 'unsupported', message: expect.stringMatching(/no kernel for resample is right/) };
  const rounding = 'HALF = 2097152';
  const device = await faultyDevice((code) => code.replace(rounding, 'HALF = 0'));
  const texture = device.createTexture({
    size: [width, height],
    format: 'rgba8unorm',
    usage: GPUTextureUsage.TEXTURE_BINDING,
  });
  const textures = Array.from({ length: count }, () => texture);
  const stam = await loadStam(fixture.weights, { device, dtype: 'f32' });
  await expect(stam.logits([pictures])).rejects.toMatchObject(wrong);
  await expect(stam.classify(textures)).rejects.toMatchObject(wrong);
  const stream = await stam.stream();
  const one = { ...pictures, data: data.slice(0, data.length / count) };
  await expect(stream.push(one)).rejects.toMatchObject(wrong);
  expect(stam.info().notices.join()).toMatch(/dropped resample-rows rgba: .+dropped resample-texture texture: /);
  stam.dispose();
  texture.destroy();
});

longTest('a kernel that the driver refuses is replaced too', async () => {
  const stam = await load((code, label) => (label.includes('layer-norm subgroup') ? `${code}\nnot WGSL` : code));
  expect(kernelsOf(stam).filter((kernel) => kernel.startsWith('layer-norm subgroup'))).toEqual([]);
  expect(stam.info().notices.join()).toMatch(/the self-check dropped layer-norm subgroup.+does not compile/s);
  expect(await errorOf(stam)).toBeLessThan(modelTolerance.f32);
  stam.dispose();
});
