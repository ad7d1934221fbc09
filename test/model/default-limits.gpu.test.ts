// STAM on a device that grants WebGPU's default limits and no feature: no subgroups, no shader-f16, no timestamps. A file of its own,
// for its kernels are the slowest of all to compile in software.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import { StamModel } from '../../model/stam-model.ts';
import { expectClose } from '../close.ts';
import { openOwnTestDevice } from '../device.ts';
import { longTests } from '../sample.ts';
import { modelTolerance, openFixture } from './fixtures.ts';

let device: Device;
beforeAll(async () => {
  device = await openOwnTestDevice({});
});
afterAll(() => device.dispose());

test('the device is as poor as it should be', () => {
  expect([...device.capabilities.features].filter((feature) => feature !== 'core-features-and-limits')).toEqual([]);
  expect(device.capabilities.subgroupSize).toBeUndefined();
  expect(device.capabilities.limits).toMatchObject({
    storageBufferBindingBytes: 128 * 2 ** 20,
    bufferBytes: 256 * 2 ** 20,
    storageBuffers: 8,
    workgroupStorageBytes: 16 * 2 ** 10,
  });
});

const models = [
  ['tiny-c', 'f32'],
  ['tiny-a', 'f16'],
] as const;
longTests('models on a device of default limits').each(models)(
  '%s in %s gives the logits of the official code',
  async (name, dtype) => {
    const { config, videos, truth, weights } = await openFixture(name);
    const model = await StamModel.load(device, config, weights, { dtype, videos });
    const logits = (await model.run(await truth.read('frames'))).get('logits') ?? new Float32Array();
    expectClose(`${name} ${dtype} logits`, logits, await truth.read('logits'), modelTolerance[dtype]);
    model.dispose();
    await truth.close();
    expect(device.memory.statistics()).toMatchObject({ weights: 0, activations: 0, staging: 0, buffers: 0 });
  },
);
