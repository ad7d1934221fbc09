// What an app may get wrong: each of it is told as what it is, before any work, and leaves nothing behind.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import type { TextStore } from '../../engine/text-store.ts';
import { unit } from '../../loaders/synthetic.ts';
import type { LoadCheckpointOptions, Stam, StamFrames } from '../../model/load.ts';
import { loadStam } from '../../model/load.ts';
import type { PictureSource } from '../../model/pictures.ts';
import type { StreamFrame } from '../../model/stream.ts';
import { openTestDevice } from '../device.ts';
import { smallestConfig, smallestWeights } from './fixtures.ts';

const { frames: count, imageSize, classes } = smallestConfig;
const video = unit(1, 'frames', count * 3 * imageSize ** 2);
const picture = { width: 20, height: 18, data: new Uint8Array(count * 20 * 18 * 3) };

let device: Device;
let stam: Stam;
let logits: Float32Array;
beforeAll(async () => {
  device = await openTestDevice();
  stam = await load();
  logits = await stam.logits(video);
});
afterAll(() => {
  stam.dispose();
  device.dispose();
});

const load = (options: LoadCheckpointOptions = {}) =>
  loadStam(smallestWeights(), { device: device.gpu, dtype: 'f32', tune: 'off', selfCheck: false, ...options });

const badInput = (message: RegExp) =>
  expect.objectContaining({ name: 'StamError', code: 'bad-input', message: expect.stringMatching(message) });

/** After each: the model has taken no memory, and answers. */
let before: ReturnType<Stam['memory']>;
beforeEach(() => {
  before = stam.memory();
  return async () => {
    expect(stam.memory()).toMatchObject({ activations: before.activations, buffers: before.buffers });
    expect(await stam.logits(video)).toEqual(logits);
  };
});

describe('frames that are none', () => {
  const none: [string, unknown][] = [
    ['undefined', undefined],
    ['null', null],
    ['a number', 5],
    ['a text', 'video.mp4'],
    ['an object', {}],
    ['bytes', new Uint8Array(5000)],
    ['integers', new Int32Array(5000)],
    ['doubles', new Float64Array(video.length)],
    ['numbers', [...video]],
    ['holes', [undefined, picture]],
    ['pictures beside bytes', [picture, { width: 20, height: 18 }]],
  ];

  test.each(none)('%s', async (_, frames) => {
    const refusal = badInput(/^frames: nothing that a model takes; got \w+, expected a Float32Array/);
    await expect(stam.logits(frames as StamFrames)).rejects.toThrow(refusal);
    await expect(stam.classify(frames as StamFrames)).rejects.toThrow(refusal);
  });

  test.each(none.slice(0, 4))('in a stream: %s', async (_, frame) => {
    const stream = await stam.stream();
    await expect(stream.push(frame as unknown as StreamFrame)).rejects.toThrow(
      badInput(/^frame: nothing that a model takes; got \w+, /),
    );
    expect(stream.length).toBe(0);
    stream.dispose();
  });

  const notRecorded: [string, unknown][] = [...none, ['floats', video], ['bytes of pictures', [picture]]];
  test.each(notRecorded)('recorded: %s', async (_, frames) => {
    const encoder = device.gpu.createCommandEncoder();
    const refusal = badInput(
      /^frames: nothing that a model takes; got \w+, expected a GPUBuffer or an array of pictures$/,
    );
    expect(() => stam.encode(encoder, frames as PictureSource[])).toThrow(refusal);
    if (frames) await expect(stam.prepare({ pictures: frames as PictureSource[] })).rejects.toThrow(refusal);
  });
});

describe('options of a call', () => {
  test.each([0, -1, 2.5, Number.NaN, '3', 1n])('topk %s', async (topk) => {
    const refusal = badInput(/^topk: no positive integer; got (0|-1|2.5|NaN|"3"|1)$/);
    await expect(stam.classify(video, { topk: topk as number })).rejects.toThrow(refusal);
    const stream = await stam.stream();
    await expect(stream.predict({ topk: topk as number })).rejects.toThrow(refusal);
    stream.dispose();
  });

  test('labels that are no names', async () => {
    const labels = 'abcde' as unknown as string[];
    expect(labels.length).toBe(classes);
    await expect(stam.classify(video, { labels })).rejects.toThrow(badInput(/^labels: /));
  });

  test('colors', async () => {
    const colors = 'Exact' as 'exact';
    const refusal = badInput(/^colors: no such choice; got "Exact", expected exact, fast$/);
    await expect(stam.logits(video, { colors })).rejects.toThrow(refusal);
    const stream = await stam.stream();
    await expect(stream.push(video.slice(0, video.length / count), { colors })).rejects.toThrow(refusal);
    stream.dispose();
  });

  test.each([0, -2, 1.5, Number.NaN, '2'])('prepare() for %s videos', async (videos) => {
    await expect(stam.prepare({ videos: videos as number })).rejects.toThrow(badInput(/^videos: no positive integer/));
  });

  test('prepare() for more videos than a buffer holds', async () => {
    const videos = 1 + Math.floor(device.capabilities.limits.bufferBytes / video.byteLength);
    const refusal = { code: 'limit', message: expect.stringMatching(/^prepare: .* fit in no buffer; got \d+ bytes/) };
    await expect(stam.prepare({ videos })).rejects.toThrow(expect.objectContaining(refusal));
  });
});

test.each(['rgba8unorm-srgb', 'rgba8uint', 'r32sint'] as const)('textures of %s', async (format) => {
  const usage = GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST;
  const textures = Array.from({ length: count }, () => device.gpu.createTexture({ size: [9, 9], format, usage }));
  const scratch = await load();
  await expect(scratch.logits(textures)).rejects.toThrow(badInput(new RegExp(`^picture: .*; got ${format}, `)));
  scratch.dispose();
  for (const texture of textures) texture.destroy();
});

test('a source without metadata is told the heads, or asked for them', async () => {
  const { metadata: _, ...source } = smallestWeights();
  const options = { device: device.gpu, dtype: 'f32', tune: 'off', selfCheck: false } as const;
  await expect(loadStam(source, options)).rejects.toThrow(badInput(/the shapes do not tell the number of heads/));
  const own = await loadStam(source, { ...options, heads: smallestConfig.heads });
  expect(await own.logits(video)).toEqual(logits);
  own.dispose();
});

test('a source whose names all begin alike is loaded without that, and the model tells', async () => {
  const source = smallestWeights();
  const tensors = new Map([...source.tensors].map(([name, info]) => [`module.${name}`, info]));
  const prefixed = {
    name: 'file',
    metadata: source.metadata,
    tensors: new Map<string, { dtype: string; shape: readonly number[] }>([
      ['n_averaged', { dtype: 'I64', shape: [] }],
      ...tensors,
    ]),
    order: () => [...tensors.keys()],
    read: (name: string) => source.read(name.slice('module.'.length)),
  };
  const options = { device: device.gpu, dtype: 'f32', tune: 'off', selfCheck: false } as const;
  const told: string[] = [];
  const own = await loadStam(prefixed, { ...options, onNotice: (text) => told.push(text) });
  expect(await own.logits(video)).toEqual(logits);
  expect(told).toEqual(['file: the prefix module. of the names is dropped; ignored, as they have none: n_averaged']);
  expect(own.info().notices).toEqual(told);
  own.dispose();
  const other = { ...prefixed, tensors: new Map([['step', { dtype: 'I64', shape: [] }]]) };
  await expect(loadStam(other, options)).rejects.toMatchObject({ code: 'missing-tensor' });
});

describe('options of a load', () => {
  test.each<[keyof LoadCheckpointOptions, unknown, RegExp]>([
    ['heads', -2, /-2 is no number of heads/],
    ['heads', 0.5, /0.5 is no number of heads/],
    ['heads', '2', /2 is no number of heads/],
    ['dtype', 'fp16', /^dtype: no such choice; got "fp16", expected auto, f32, f16$/],
    ['tune', 'maybe', /^tune: no such choice; got "maybe", expected off, cached, full$/],
    ['zoom', Number.NaN, /^zoom factor: /],
    ['zoom', 0, /^zoom factor: /],
    ['zoom', 'x', /^zoom factor: /],
    ['framesPerPass', 0, /^framesPerPass: no positive integer; got 0$/],
    ['framesPerPass', -3, /^framesPerPass: no positive integer; got -3$/],
    ['videos', 1.5, /^videos: no positive integer; got 1.5$/],
  ])('%s: %s', async (option, value, message) => {
    await expect(load({ [option]: value })).rejects.toThrow(badInput(message));
  });
});

test.each<[string, TextStore]>([
  ['holds nonsense', { read: async () => '{"problems":[{"tried":[null],"wrong":[]}]}', write: async () => undefined }],
  [
    'throws',
    {
      read: () => {
        throw new Error('full');
      },
      write: async () => undefined,
    },
  ],
])('a store of tunings that %s is none', async (_, tuningStore) => {
  const own = await load({ tune: 'cached', tuningStore });
  expect(own.info().tuning).toMatch(/^chosen by rule: not tuned yet/);
  expect(await own.logits(video)).toEqual(logits);
  own.dispose();
});
