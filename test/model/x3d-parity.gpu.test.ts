// X3D on the device: X3D-M against the official code at full size, a small one against plain loops, and what a loaded model promises.
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import { rowLayout } from '../../engine/layout.ts';
import { createPlan } from '../../engine/plan.ts';
import { Program } from '../../engine/program.ts';
import { Weights } from '../../engine/weights.ts';
import { fileSource } from '../../loaders/node-source.ts';
import { openSafetensors } from '../../loaders/safetensors.ts';
import { openSynthetic, unit } from '../../loaders/synthetic.ts';
import { channelsFirst } from '../../model/channels.ts';
import { x3dGraph } from '../../model/x3d.ts';
import type { X3dConfig } from '../../model/x3d-config.ts';
import { x3dConfigs } from '../../model/x3d-config.ts';
import { X3dModel } from '../../model/x3d-model.ts';
import { foldBatchNorms, x3dShapes } from '../../model/x3d-weights.ts';
import { expectClose } from '../close.ts';
import { openTestDevice } from '../device.ts';
import { longTest, sampleOf } from '../sample.ts';
import { modelTolerance } from './fixtures.ts';
import { smallX3d } from './x3d-fixture.ts';
import { x3dReference } from './x3d-reference.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

const weightsOf = (config: X3dConfig) => openSynthetic(1, x3dShapes(config));
const videoOf = ({ frames, imageSize }: X3dConfig, seed: number) => unit(seed, 'frames', 3 * frames * imageSize ** 2);
/** These networks multiply what they are given: an activation is as good as its largest element. */
const within = (dtype: 'f32' | 'f16', want: ArrayLike<number>) =>
  modelTolerance[dtype] * Array.from(want).reduce((most, x) => Math.max(most, Math.abs(x)), 1);

describe.each(sampleOf('storage types of a small X3D', ['f32', 'f16'] as const, 1))('a small X3D, %s', (dtype) => {
  const two = new Float32Array([...videoOf(smallX3d, 1), ...videoOf(smallX3d, 2)]);

  longTest('gives what plain loops give, block by block, for two videos', async () => {
    const model = await X3dModel.load(device, smallX3d, weightsOf(smallX3d), { dtype, videos: 2 });
    const want = await x3dReference(smallX3d, weightsOf(smallX3d), two, 2);
    const keep = (name: string) => want.has(name) || name === 'blocks.2.mean';
    const got = await model.run(two, { keep });
    const shapes = model.outputShapes(2, keep);
    expect([...got.keys()].sort()).toEqual([...want.keys(), 'blocks.2.mean'].sort());
    for (const [name, data] of want) {
      const [videos, channels, ...places] = shapes.get(name) ?? [];
      const turned = channelsFirst(Float32Array.from(data), [videos, ...places, channels]);
      expectClose(`${name} ${dtype}`, got.get(name) ?? [], turned, within(dtype, data));
    }
    expect(shapes.get('blocks.2')).toEqual([2, 12, 5, 5, 5]);
    expect(shapes.get('blocks.2.mean')).toEqual([2, 12, 5]);
    const block = got.get('blocks.2') ?? new Float32Array();
    const means = Array.from({ length: block.length / 25 }, (_, i) => {
      return block.subarray(i * 25, (i + 1) * 25).reduce((sum, x) => sum + x / 25, 0);
    });
    expectClose('blocks.2.mean', got.get('blocks.2.mean') ?? [], means, within(dtype, means));
    const plain = await model.run(two);
    expect([...plain.keys()]).toEqual(['logits']);
    expectClose(
      'logits alone',
      plain.get('logits') ?? [],
      want.get('logits') ?? [],
      within(dtype, want.get('logits') ?? []),
    );
    model.dispose();
  });

  longTest('gives the same one video at a time, and in parts of frames', async () => {
    const source = foldBatchNorms(weightsOf(smallX3d), smallX3d);
    const input = rowLayout.pack(two, [2, 3, 5, 33, 33]);
    const logits = async (videosPerPass: number, largestBytes: number) => {
      const graph = x3dGraph(smallX3d, { videos: 2, storage: dtype, videosPerPass, largestBytes });
      const plan = createPlan(graph, device.capabilities);
      const weights = await Weights.upload(device, source, plan.weights);
      const program = await Program.create(device, plan, weights);
      program.poison();
      const outputs = await program.run({ frames: input });
      program.dispose();
      weights.dispose();
      return {
        parts: graph.nodes.filter(({ operator }) => operator === 'depthwise').length,
        logits: outputs.get('logits'),
      };
    };
    const whole = await logits(2, 1e9);
    expect(whole.parts).toBe(7);
    const single = await logits(1, 1e9);
    expect(single.parts).toBe(14);
    expect(single.logits).toEqual(whole.logits);
    // three frames of the first block's inner activation, of which one is computed: five parts in place of one, for each video
    const frameBytes = rowLayout.elements([17, 17, 18]) * (dtype === 'f32' ? 4 : 2);
    const split = await logits(1, 3 * frameBytes);
    expect(split.parts).toBe(14 + 2 * 4);
    expect(split.logits).toEqual(whole.logits);
  });
});

longTest('X3D-M gives the logits and the means of the official code', async () => {
  const config = x3dConfigs.get('x3d_m');
  if (!config) throw new Error('x3d_m is not known');
  const path = fileURLToPath(new URL('../fixtures/x3d_m.224.io.safetensors', import.meta.url));
  const truth = await openSafetensors(await fileSource(path));
  const model = await X3dModel.load(device, config, weightsOf(config), { dtype: 'f32' });
  const outputs = await model.run(videoOf(config, 1), { keep: (name) => name.endsWith('.mean') });
  for (const name of truth.order()) {
    const want = await truth.read(name);
    expectClose(name, outputs.get(name) ?? [], want, 1e-5 * want.reduce((most, x) => Math.max(most, Math.abs(x)), 1));
  }
  await truth.close();
  model.dispose();
});

test('frees everything, and names what is wrong', async () => {
  const source = weightsOf(smallX3d);
  const model = await X3dModel.load(device, smallX3d, source, { dtype: 'f32' });
  await expect(model.run(new Float32Array(17))).rejects.toMatchObject({
    code: 'bad-input',
    message: expect.stringContaining('got 17 elements, expected a multiple of 16335 ([V, 3, 5, 33, 33])'),
  });
  model.dispose();
  await expect(model.run(videoOf(smallX3d, 1))).rejects.toMatchObject({ code: 'disposed' });
  const read = async (name: string) => (await source.read(name)).map((x) => (name === 'blocks.5.proj.bias' ? NaN : x));
  const endless = await X3dModel.load(device, smallX3d, { ...source, read }, { dtype: 'f32' });
  await expect(endless.run(videoOf(smallX3d, 1))).rejects.toMatchObject({ code: 'unsupported' });
  endless.dispose();
  const lacking = {
    ...source,
    tensors: new Map([...source.tensors].filter(([name]) => name !== 'blocks.5.proj.bias')),
  };
  await expect(X3dModel.load(device, smallX3d, lacking)).rejects.toMatchObject({ code: 'missing-tensor' });
  await device.gpu.queue.onSubmittedWorkDone();
  expect(device.memory.statistics()).toMatchObject({ weights: 0, activations: 0, staging: 0, buffers: 0 });
});
