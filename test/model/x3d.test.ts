// X3D without a GPU: its sizes, its checkpoint, what its plans cost and hold, and BatchNorm folded into convolutions.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { StorageType } from '../../engine/dtype.ts';
import type { Dispatch, Plan } from '../../engine/plan.ts';
import { createPlan } from '../../engine/plan.ts';
import { elementCount } from '../../engine/shape.ts';
import type { TensorSource } from '../../engine/weights.ts';
import { openCheckpoint } from '../../loaders/open-checkpoint.ts';
import { bufferSource } from '../../loaders/source.ts';
import { openSynthetic } from '../../loaders/synthetic.ts';
import { fitTensors } from '../../model/fit.ts';
import { largestBytes, videosPerPass, x3dGraph } from '../../model/x3d.ts';
import type { X3dConfig } from '../../model/x3d-config.ts';
import { atSize, describeX3d, identifyX3d, x3dConfigs, x3dFromCheckpoint } from '../../model/x3d-config.ts';
import { foldBatchNorms, isCounter, x3dShapes } from '../../model/x3d-weights.ts';
import { defaultCapabilities } from '../capabilities.ts';
import { dict, orderedDict, pickle, tensor, text, zip } from '../loaders/pytorch/torch-files.ts';
import { smallX3d } from './x3d-fixture.ts';

const configOf = (name: string): X3dConfig => {
  const config = x3dConfigs.get(name);
  if (!config) throw new Error(`${name} is not known`);
  return config;
};

function planOf(
  config: X3dConfig,
  { storage = 'f32', videos = 1 }: { storage?: StorageType; videos?: number } = {},
): Plan {
  const pass = videosPerPass(config, { videos, storage, wanted: 4 }, defaultCapabilities);
  const most = largestBytes(defaultCapabilities);
  const graph = x3dGraph(config, { videos, storage, videosPerPass: pass, largestBytes: most });
  return createPlan(graph, defaultCapabilities);
}

const dispatches = (plan: Plan): Dispatch[] =>
  plan.commands.flatMap((command) => (command.kind === 'dispatch' ? [command] : []));

describe('the published models', () => {
  // widths, blocks and keys as the official code has them
  test.each([
    ['x3d_m', [3, 5, 11, 7], [24, 48, 96, 192], [54, 108, 216, 432], [8, 8, 16, 32], 563, 3_794_274],
    ['x3d_l', [5, 10, 25, 15], [24, 48, 96, 192], [54, 108, 216, 432], [8, 8, 16, 32], 1141, 6_153_384],
    ['x3d_xl', [5, 10, 25, 15], [32, 72, 136, 280], [72, 162, 306, 630], [8, 16, 24, 40], 1141, 11_095_840],
  ])('%s', (name, blocks, channels, inner, squeeze, keys, parameters) => {
    const config = configOf(name);
    expect(config.stages.map((stage) => stage.blocks)).toEqual(blocks);
    expect(config.stages.map((stage) => stage.channels)).toEqual(channels);
    expect(config.stages.map((stage) => stage.inner)).toEqual(inner);
    expect(config.stages.map((stage) => stage.squeeze)).toEqual(squeeze);
    const shapes = x3dShapes(config);
    expect(shapes.size).toBe(keys);
    const trained = [...shapes].filter(([key]) => !/running_|num_batches/.test(key));
    expect(trained.reduce((sum, [, shape]) => sum + elementCount(shape), 0)).toBe(parameters);
  });

  const listed = fileURLToPath(new URL('../../../shared/golden/x3d_keys.json', import.meta.url));
  const isThere = existsSync(listed);
  if (!isThere) process.stderr.write(`x3d.test.ts: ${listed} is not there; the keys are not compared\n`);
  test.skipIf(!isThere)(
    'have every key of the official state_dict, in its order (x3d_keys.json, where it is there)',
    () => {
      const keys = JSON.parse(readFileSync(listed, 'utf8')) as Record<string, Record<string, number[]>>;
      for (const name of x3dConfigs.keys()) {
        expect(Object.fromEntries(x3dShapes(configOf(name)))).toEqual(keys[name]);
        expect([...x3dShapes(configOf(name)).keys()]).toEqual(Object.keys(keys[name]));
      }
    },
  );

  test.each([
    ['x3d_m', 224, 4.732],
    ['x3d_m', 256, 6.186],
    ['x3d_l', 312, 18.368],
    ['x3d_l', 356, 24.778],
    ['x3d_xl', 312, 35.84],
    ['x3d_xl', 356, 48.42],
  ])('%s at %i takes %s GMAC a view', (name, size, expected) => {
    const config = atSize(configOf(name), size);
    const graph = x3dGraph(config, {
      videos: 1,
      storage: 'f32',
      videosPerPass: 1,
      largestBytes: Number.POSITIVE_INFINITY,
    });
    const counted = new Set(['linear', 'depthwise', 'frameConv']);
    const flops = graph.nodes.reduce((sum, node) => sum + (counted.has(node.operator) ? node.flops : 0), 0);
    expect(Math.abs(flops / 2e9 - expected)).toBeLessThan(0.005);
  });

  test.each([
    ['x3d_m', 256],
    ['x3d_l', 356],
    ['x3d_xl', 356],
  ])('%s at %i, two videos, fits a device of default limits', (name, size) => {
    const { limits } = defaultCapabilities;
    for (const storage of ['f32', 'f16'] as const) {
      const plan = planOf(atSize(configOf(name), size), { storage, videos: 2 });
      for (const { bindings, kernel, resolved } of dispatches(plan)) {
        for (const { size: bytes } of Object.values(bindings))
          expect(bytes).toBeLessThanOrEqual(limits.storageBufferBindingBytes);
        const buffers = resolved.bindings.filter(({ access }) => access !== 'uniform');
        expect(buffers.length).toBeLessThanOrEqual(limits.storageBuffers);
        expect(Math.max(...kernel.workgroups)).toBeLessThanOrEqual(65535);
      }
    }
  });

  test('only the largest activation of all is computed in parts, and only where it has to be', () => {
    const parts = (name: string, storage: StorageType) =>
      dispatches(planOf(atSize(configOf(name), 356), { storage })).filter(({ operator }) => operator === 'depthwise')
        .length;
    const blocks = 5 + 10 + 25 + 15;
    expect(parts('x3d_l', 'f32')).toBe(1 + blocks);
    expect(parts('x3d_xl', 'f16')).toBe(1 + blocks);
    expect(parts('x3d_xl', 'f32')).toBe(1 + blocks + 1);
  });

  test('frames that leave less than the head averages are refused', () => {
    expect(() => atSize(configOf('x3d_m'), 192)).toThrow(
      expect.objectContaining({
        code: 'bad-input',
        message: expect.stringContaining('got 192, expected at least 193'),
      }),
    );
    expect(atSize(configOf('x3d_m'), 193).imageSize).toBe(193);
  });
});

describe('a checkpoint', () => {
  const checkpoint = (
    config: X3dConfig,
    changes: Record<string, { dtype: string; shape: number[] } | undefined> = {},
  ) => {
    const tensors = new Map([...x3dShapes(config)].map(([name, shape]) => [name, { dtype: 'F32', shape }]));
    for (const [name, tensorOf] of Object.entries(changes)) {
      if (tensorOf) tensors.set(name, tensorOf);
      else tensors.delete(name);
    }
    return { ...openSynthetic(1, new Map()), name: 'file', tensors } as unknown as TensorSource;
  };
  const fit = (source: TensorSource, config: X3dConfig) =>
    fitTensors(source, {
      family: 'X3D',
      model: describeX3d(config),
      shapes: x3dShapes(config),
      isUnread: isCounter,
      identify: identifyX3d,
    });

  test.each([...x3dConfigs])('of %s is recognised', (name, config) => {
    expect(identifyX3d(checkpoint(config))).toBe(name);
    expect(x3dFromCheckpoint(checkpoint(config))).toEqual(config);
    expect(fit(checkpoint(config), config)).toEqual([]);
  });

  test('of another X3D, or of none, is told apart', () => {
    expect(identifyX3d(checkpoint(smallX3d))).toBe('X3D of 2 1 1 2 blocks, 8 12 20 24 channels, 7 classes');
    expect(x3dFromCheckpoint(checkpoint(smallX3d), 33)).toEqual({ ...smallX3d, frames: 16, window: 2 });
    expect(identifyX3d({ name: 'none', tensors: new Map() })).toBeUndefined();
    expect(identifyX3d(checkpoint(smallX3d, { 'blocks.5.proj.weight': { dtype: 'F32', shape: [7] } }))).toBeUndefined();
  });

  const config = configOf('x3d_m');
  const norm = 'blocks.2.res_blocks.0.branch1_norm';
  test.each([
    ['may lack a counter', { [`${norm}.num_batches_tracked`]: undefined }, undefined],
    ['may count in integers', { [`${norm}.num_batches_tracked`]: { dtype: 'I64', shape: [] } }, undefined],
    [
      'may not count in several',
      { [`${norm}.num_batches_tracked`]: { dtype: 'I64', shape: [1] } },
      [`shape-mismatch`, `file: 1 tensor does not fit x3d_m: ${norm}.num_batches_tracked is I64 [1], expected []`],
    ],
    [
      'may not lack a variance',
      { [`${norm}.running_var`]: undefined },
      ['missing-tensor', `file: 1 tensor does not fit x3d_m: ${norm}.running_var is missing, expected [48]`],
    ],
    [
      'may not hold integers',
      { [`${norm}.bias`]: { dtype: 'I64', shape: [48] } },
      ['unsupported', `file: 1 tensor does not fit x3d_m: ${norm}.bias is I64 [48], expected F64, F32, F16, BF16`],
    ],
    [
      'may not have a block more',
      { 'blocks.1.res_blocks.1.branch1_conv.weight': { dtype: 'F32', shape: [24, 24, 1, 1, 1] } },
      [
        'bad-checkpoint',
        'file: 1 tensor does not fit x3d_m: blocks.1.res_blocks.1.branch1_conv.weight (F32 [24, 24, 1, 1, 1]) is not of this model',
      ],
    ],
  ] as const)('%s', (_, changes, refusal) => {
    const source = checkpoint(config, changes as Record<string, { dtype: string; shape: number[] } | undefined>);
    if (refusal === undefined) expect(fit(source, config)).toEqual([]);
    else expect(() => fit(source, config)).toThrow(expect.objectContaining({ code: refusal[0], message: refusal[1] }));
  });

  test('of another model of the family says which', () => {
    expect(() => fit(checkpoint(configOf('x3d_l')), config)).toThrow(
      /by its tensors the file is x3d_l: take that model, or auto$/,
    );
  });

  test('as pytorchvideo saves it is read: under model_state, counters as integers', async () => {
    const weight = tensor({ key: '0', elements: 6, size: [2, 3], stride: [3, 1] });
    const counter = tensor({ type: 'torch LongStorage', key: '1', elements: 1, size: [], stride: [] });
    const state = orderedDict(['blocks.5.proj.weight', weight], ['blocks.0.norm.num_batches_tracked', counter]);
    const file = zip([
      { name: 'x/data.pkl', data: pickle(dict(['cfg', text('')], ['model_state', state])) },
      { name: 'x/version', data: [51, 10] },
      { name: 'x/data/0', data: new Uint8Array(new Float32Array([1, 2, 3, 4, 5, 6]).buffer) },
      { name: 'x/data/1', data: [7, 0, 0, 0, 0, 0, 0, 0] },
    ]);
    const opened = await openCheckpoint(bufferSource(file, 'X3D_M.pyth'));
    expect(opened.tensors.get('blocks.0.norm.num_batches_tracked')).toMatchObject({ dtype: 'I64', shape: [] });
    expect(await opened.read('blocks.5.proj.weight')).toEqual(Float32Array.from([1, 2, 3, 4, 5, 6]));
    await opened.close();
  });
});

describe('BatchNorm folded', () => {
  const source = openSynthetic(3, x3dShapes(smallX3d));
  const folded = foldBatchNorms(source, smallX3d);

  test('gives the tensors that the graph reads, and no others', () => {
    const { weights } = x3dGraph(smallX3d, { videos: 1, storage: 'f32', videosPerPass: 1, largestBytes: 1e9 });
    const wanted = [...weights].map(([name, { shape }]) => [name, shape] as const);
    expect(new Map([...folded.tensors].map(([name, { shape }]) => [name, shape]))).toEqual(new Map(wanted));
    expect([...folded.order()].sort()).toEqual([...weights.keys()].sort());
  });

  test('is scale times x plus bias in double precision, rounded once', async () => {
    const path = 'blocks.2.res_blocks.0';
    const read = (name: string) => source.read(`${path}.${name}`);
    const [gain, bias] = [await read('branch1_norm.weight'), await read('branch1_norm.bias')];
    const [mean, variance] = [await read('branch1_norm.running_mean'), await read('branch1_norm.running_var')];
    const weight = await read('branch1_conv.weight');
    const perChannel = weight.length / gain.length;
    const scale = Array.from(gain, (g, c) => g / Math.sqrt(variance[c] + 1e-5));
    const scaled = Array.from(weight, (w, i) => Math.fround(w * scale[Math.floor(i / perChannel)]));
    expect([...(await folded.read(`${path}.branch1_conv.weight`))]).toEqual(scaled);
    const shifted = Array.from(bias, (b, c) => Math.fround(b - mean[c] * scale[c]));
    expect([...(await folded.read(`${path}.branch1_norm.bias`))]).toEqual(shifted);
    expect(folded.tensors.has(`${path}.branch1_norm.running_var`)).toBe(false);
  });

  test('leaves alone what has no norm', async () => {
    for (const name of [
      'blocks.5.proj.bias',
      'blocks.5.pool.post_conv.weight',
      'blocks.1.res_blocks.0.branch1_conv.weight',
    ]) {
      expect(await folded.read(name)).toEqual(await source.read(name));
    }
  });
});
