// recover() while an app goes on: every call hears what happened to it, and what comes back is the model that was there.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import { openSynthetic, unit } from '../../loaders/synthetic.ts';
import type { LoadCheckpointOptions } from '../../model/load.ts';
import { loadStam } from '../../model/load.ts';
import { weightShapes } from '../../model/weights.ts';
import { openOwnTestDevice } from '../device.ts';
import { smallestConfig, smallestWeights } from './fixtures.ts';

const { frames: count, imageSize } = smallestConfig;
const video = unit(1, 'frames', count * 3 * imageSize ** 2);
const fast = { dtype: 'f32', tune: 'off', selfCheck: false } as const;

let devices: Device[];
beforeAll(async () => {
  devices = [await openOwnTestDevice(), await openOwnTestDevice()];
});
afterAll(() => {
  for (const device of devices) device.dispose();
});

test('calls that are not over on a device that is well are told that it was replaced, whatever they wait for', async () => {
  const [from, to] = devices.map(({ gpu }) => gpu);
  const stam = await loadStam(smallestWeights(), { device: from, ...fast });
  const stream = await stam.stream();
  const usage = GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST;
  const textures = (width: number) =>
    Array.from({ length: count }, () => from.createTexture({ size: [width, 20], format: 'rgba8unorm', usage }));
  const sizes = [20, 21, 22].map(textures);
  const outcomes = new Map<string, Set<string>>();
  const pending: Promise<void>[] = [];
  const note = (name: string, call: Promise<unknown>) => {
    const codes = outcomes.get(name) ?? new Set<string>();
    outcomes.set(name, codes);
    pending.push(
      call.then(
        () => void codes.add('right'),
        (error: { code?: string }) => void codes.add(error.code ?? String(error)),
      ),
    );
  };
  let isOver = false;
  const recovery = stam.recover(to).finally(() => {
    isOver = true;
  });
  for (let turn = 0; !isOver; turn++) {
    const data = new Uint8Array(count * (20 + (turn % 3)) * 18 * 3);
    note('floats', stam.logits(video));
    note('textures', stam.logits(sizes[turn % 3]));
    note('pictures', stam.logits([{ width: 20 + (turn % 3), height: 18, data }]));
    note('push', stream.push(video.slice(0, video.length / count)));
    note('prepare', stam.prepare({ videos: 2 + (turn % 20) }));
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  await recovery;
  await Promise.all(pending);
  expect([...outcomes.keys()]).toEqual(['floats', 'textures', 'pictures', 'push', 'prepare']);
  for (const [name, codes] of outcomes) {
    codes.delete('right');
    expect([name, [...codes]]).toEqual([name, codes.size ? ['device-lost'] : []]);
  }
  for (const texture of sizes.flat()) texture.destroy();
  stam.dispose();
});

test('what an app does to its options after the load is not what recover() wants to know', async () => {
  const [{ gpu }] = devices;
  const options: { -readonly [K in keyof LoadCheckpointOptions]: LoadCheckpointOptions[K] } = { device: gpu, ...fast };
  const stam = await loadStam(smallestWeights(), options);
  const logits = await stam.logits(video);
  options.dtype = 'f16';
  options.model = 'stam_8';
  options.device = undefined;
  await stam.recover(gpu);
  expect(stam.info().dtype).toBe('f32');
  expect(await stam.logits(video)).toEqual(logits);
  stam.dispose();
});

test('another model at the source is refused, and the one that was there stays', async () => {
  const [{ gpu }] = devices;
  const config = { ...smallestConfig, frames: 3, classes: 7 };
  const sources = [
    smallestWeights(),
    openSynthetic(1, weightShapes(config), new Map([['heads', `${config.heads}`]])),
    smallestWeights(),
  ];
  const open = async () => {
    const source = sources.shift();
    if (!source) throw new Error('asked too often');
    return { source, close: async () => undefined };
  };
  const stam = await loadStam(open, { device: gpu, ...fast });
  const logits = await stam.logits(video);
  const refusal = {
    code: 'shape-mismatch',
    message: expect.stringMatching(/^recover: .*another model; got .*3 frames/),
  };
  await expect(stam.recover(gpu)).rejects.toThrow(expect.objectContaining(refusal));
  expect(stam.config).toEqual(smallestConfig);
  expect(await stam.logits(video)).toEqual(logits);
  await stam.recover(gpu);
  expect(await stam.logits(video)).toEqual(logits);
  stam.dispose();
});
