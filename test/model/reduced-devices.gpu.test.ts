// The small models on real devices that are granted less than the adapter has: feature by feature, and with limits that no real device is so
// short of, which the plans have to keep all the same.
import { describe, expect, test } from 'vitest';
import type { Capabilities } from '../../engine/device.ts';
import { Device } from '../../engine/device.ts';
import { StamModel } from '../../model/stam-model.ts';
import { expectClose } from '../close.ts';
import { requestTestAdapter } from '../device.ts';
import { sampleOf } from '../sample.ts';
import { modelTolerance, openFixture } from './fixtures.ts';

const request = async () => await requestTestAdapter();

/** Runs a model and compares; gives the kernels that it took. */
async function expectOfficial(device: Device, name: string, dtype: 'f32' | 'f16'): Promise<StamModel> {
  const { config, truth, weights } = await openFixture(name);
  const model = await StamModel.load(device, config, weights, { dtype, tune: 'off' });
  const logits = (await model.run(await truth.read('frames'))).get('logits') ?? new Float32Array();
  expectClose(`${name} ${dtype}`, logits, await truth.read('logits'), modelTolerance[dtype]);
  await truth.close();
  return model;
}

describe('a device with one feature and no more than default limits', () => {
  // without subgroups software takes a minute to compile for: default-limits.gpu.test.ts does that in f32
  test.each([
    ['subgroups', ['f32', 'f16']],
    ['shader-f16', ['f16']],
  ] as const)('%s', async (feature, dtypes) => {
    const adapter = await request();
    if (!adapter.features.has(feature)) {
      process.stdout.write(`${adapter.info.description} has no ${feature}: nothing to try\n`);
      return;
    }
    const device = await Device.request(adapter, { requiredFeatures: [feature] });
    expect(device.capabilities.features.has(feature)).toBe(true);
    expect(device.capabilities.subgroupSize !== undefined).toBe(feature === 'subgroups');
    const tried = sampleOf(`storage types on a device with ${feature} alone`, dtypes, 1);
    for (const dtype of tried) (await expectOfficial(device, 'tiny-a', dtype)).dispose();
    device.dispose();
  });
});

describe('a device that says it is as short as can be of', () => {
  const shortages: readonly (readonly [string, Partial<Capabilities['limits']>])[] = [
    // a pass of one frame is what is left then
    ['bindings', { storageBufferBindingBytes: 640 * 1024, bufferBytes: 640 * 1024 }],
    ['invocations', { workgroupInvocations: 64 }],
    ['workgroup memory', { workgroupStorageBytes: 4096 + 2048 }],
  ];
  test.each(sampleOf('limits of which a device is short', shortages, 1))('%s', async (_, limits) => {
    const device = await Device.request(await request());
    const { capabilities } = device;
    Object.assign(device, { capabilities: { ...capabilities, limits: { ...capabilities.limits, ...limits } } });
    const model = await expectOfficial(device, 'tiny-a', 'f32');
    model.dispose();
    device.dispose();
  });
});
