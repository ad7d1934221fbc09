// STAM against the official PyTorch code: three small models, every activation and the logits.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import { elementCount } from '../../engine/shape.ts';
import { StamModel } from '../../model/stam-model.ts';
import { expectClose } from '../close.ts';
import { openTestDevice } from '../device.ts';
import { sampleOf } from '../sample.ts';
import { modelTolerance, openFixture } from './fixtures.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

// a sample takes the first storage type of each: one of the models is in f16 then
describe.each([
  ['tiny-a', ['f32', 'f16']],
  ['tiny-b', ['f16', 'f32']],
  ['tiny-c', ['f32', 'f16']],
] as const)('%s', (name, dtypes) => {
  test.each(sampleOf(`storage types of ${name}`, dtypes, 1))('every activation, %s', async (dtype) => {
    const { config, videos, truth, weights } = await openFixture(name);
    const model = await StamModel.load(device, config, weights, { dtype, videos });
    const frames = await truth.read('frames');
    const outputs = await model.run(frames, { keep: () => true });
    const expected = truth.order().filter((tensor) => tensor !== 'frames');
    expect([...outputs.keys()].sort()).toEqual([...expected].sort());
    const shapes = model.outputShapes(videos, () => true);
    for (const tensor of expected) {
      const want = await truth.read(tensor);
      expectClose(`${name} ${dtype} ${tensor}`, outputs.get(tensor) ?? [], want, modelTolerance[dtype]);
      expect(elementCount(shapes.get(tensor) ?? [])).toBe(want.length);
    }
    // the program that keeps nothing is another one: its residuals and class tokens are fused
    const plain = await model.run(frames);
    expect([...plain.keys()]).toEqual(['logits']);
    const logits = await truth.read('logits');
    expectClose(`${name} ${dtype} logits, fused`, plain.get('logits') ?? [], logits, modelTolerance[dtype]);
    model.dispose();
    await truth.close();
  });
});
