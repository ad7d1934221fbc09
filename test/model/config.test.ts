// Which STAM a checkpoint is: by name, by shapes, by metadata; and everything that is refused.
import { describe, expect, test } from 'vitest';
import type { Shape } from '../../engine/shape.ts';
import { elementCount } from '../../engine/shape.ts';
import type { StamConfig } from '../../model/config.ts';
import {
  configFromCheckpoint,
  configFromMetadata,
  configName,
  configs,
  identify,
  namedConfig,
} from '../../model/config.ts';
import { weightShapes } from '../../model/weights.ts';
import { unevenConfig as small } from './fixtures.ts';

/** A checkpoint of this configuration; `changes` give a tensor another shape or, undefined, take it away. */
function checkpointOf(
  config: StamConfig,
  {
    metadata = {},
    changes = {},
  }: { metadata?: Record<string, string>; changes?: Record<string, Shape | undefined> } = {},
) {
  const tensors = new Map([...weightShapes(config)].map(([name, shape]) => [name, { shape }]));
  for (const [name, shape] of Object.entries(changes)) {
    if (shape) tensors.set(name, { shape });
    else tensors.delete(name);
  }
  return { name: 'file', tensors, metadata: new Map(Object.entries(metadata)) };
}

const failure = (code: string, message: RegExp) =>
  expect.objectContaining({ name: 'StamError', code, message: expect.stringMatching(message) });

describe('the published models', () => {
  test('are four', () => {
    expect([...configs.keys()]).toEqual(['stam_8', 'stam_16', 'stam_32', 'stam_64']);
    expect(namedConfig('stam_32')).toEqual({
      imageSize: 224,
      patchSize: 16,
      channels: 768,
      depth: 12,
      heads: 12,
      mlp: 3072,
      frames: 32,
      temporalLayers: 6,
      temporalHeads: 8,
      temporalMlp: 2048,
      classes: 400,
      epsilon: 1e-5,
    });
  });

  test('any other name is refused with the list', () => {
    expect(() => namedConfig('stam_17')).toThrow(
      failure('bad-input', /got 'stam_17', expected stam_8, stam_16, stam_32, stam_64/),
    );
  });

  // facts/formats.md, D.1, counted on the official model
  test.each([
    ['stam_8', 119_199_376],
    ['stam_16', 119_205_520],
    ['stam_32', 119_217_808],
    ['stam_64', 119_242_384],
  ])('%s has 228 tensors of %i elements', (name, elements) => {
    const shapes = weightShapes(namedConfig(name));
    expect(shapes.size).toBe(228);
    expect([...shapes.values()].reduce((sum, shape) => sum + elementCount(shape), 0)).toBe(elements);
  });

  test('their tensors are those of the official state_dict', () => {
    const shapes = weightShapes(namedConfig('stam_16'));
    const layer = 'aggregate.transformer_enc.layers.5';
    expect(Object.fromEntries(shapes)).toMatchObject({
      cls_token: [1, 1, 768],
      pos_embed: [1, 197, 768],
      'aggregate.cls_token': [1, 1, 768],
      'aggregate.pos_embed': [1, 17, 768],
      [`${layer}.self_attn.in_proj_weight`]: [2304, 768],
      [`${layer}.self_attn.in_proj_bias`]: [2304],
      [`${layer}.self_attn.out_proj.weight`]: [768, 768],
      [`${layer}.linear1.weight`]: [2048, 768],
      [`${layer}.linear2.weight`]: [768, 2048],
      [`${layer}.norm2.bias`]: [768],
      'aggregate.transformer_enc.norm.weight': [768],
      'patch_embed.proj.weight': [768, 3, 16, 16],
      'patch_embed.proj.bias': [768],
      'blocks.11.norm1.weight': [768],
      'blocks.11.attn.qkv.weight': [2304, 768],
      'blocks.11.attn.qkv.bias': [2304],
      'blocks.11.attn.proj.weight': [768, 768],
      'blocks.11.mlp.fc1.weight': [3072, 768],
      'blocks.11.mlp.fc2.weight': [768, 3072],
      'norm.weight': [768],
      'head.weight': [400, 768],
      'head.bias': [400],
    });
  });
});

describe('a checkpoint', () => {
  test.each([...configs])('of %s is recognised by its shapes', (name, config) => {
    const checkpoint = checkpointOf(config);
    expect(configFromCheckpoint(checkpoint)).toEqual(config);
    expect(configName(configFromCheckpoint(checkpoint))).toBe(name);
    expect(identify(checkpoint)).toBe(name);
  });

  test('of any other STAM gives all but the heads, which come from metadata', () => {
    const metadata = { heads: '6', temporal_heads: '4' };
    expect(configFromCheckpoint(checkpointOf(small, { metadata }))).toEqual(small);
  });

  test('hints come before metadata, and eight temporal heads after it', () => {
    const checkpoint = checkpointOf(small, { metadata: { heads: '6' } });
    expect(configFromCheckpoint(checkpoint)).toMatchObject({ heads: 6, temporalHeads: 8 });
    expect(configFromCheckpoint(checkpoint, { heads: 3, temporalHeads: 2 })).toMatchObject({
      heads: 3,
      temporalHeads: 2,
    });
  });

  test('keeps the epsilon of the official code', () => {
    expect(configFromCheckpoint(checkpointOf(small), { heads: 1 }).epsilon).toBe(1e-5);
  });

  test.each([
    'cls_token',
    'pos_embed',
    'patch_embed.proj.weight',
    'head.weight',
    'aggregate.pos_embed',
    'blocks.0.mlp.fc1.weight',
    'aggregate.transformer_enc.layers.0.linear1.weight',
  ])('without %s is refused by that name', (name) => {
    const checkpoint = checkpointOf(small, { changes: { [name]: undefined } });
    expect(() => configFromCheckpoint(checkpoint, { heads: 6 })).toThrow(
      failure('missing-tensor', new RegExp(`^file: ${name}: `)),
    );
    expect(identify(checkpoint)).toBeUndefined();
  });

  test.each([
    ['cls_token', [96], /^file: cls_token: .*got \[96\], expected 3 dimensions/],
    ['head.weight', [7, 96, 1], /^file: head.weight: .*expected 2 dimensions/],
    ['patch_embed.proj.weight', [96, 3, 0, 0], /^file: patch_embed.proj.weight: /],
    ['pos_embed', [1, 36, 96], /^file: pos_embed: the patches form no square; got 35 patches/],
  ])('with %s of shape %j is refused', (name, shape, message) => {
    const checkpoint = checkpointOf(small, { changes: { [name]: shape } });
    expect(() => configFromCheckpoint(checkpoint, { heads: 6 })).toThrow(failure('shape-mismatch', message));
    expect(identify(checkpoint)).toBeUndefined();
  });

  test('whose heads nobody tells is refused with a way out', () => {
    expect(() => configFromCheckpoint(checkpointOf(small))).toThrow(
      failure('bad-input', /^file: the shapes do not tell the number of heads; got 96 channels; .*the option `heads`/),
    );
  });

  test.each([
    [{ heads: 5 }, /^file: 96 channels do not divide into 5 heads$/],
    [{ heads: 6, temporalHeads: 7 }, /^file: 96 channels do not divide into 7 temporal heads$/],
  ])('with %j is refused, for the channels do not divide', (hints, message) => {
    expect(() => configFromCheckpoint(checkpointOf(small), hints)).toThrow(failure('bad-input', message));
  });

  test.each(['0', '-1', '1.5', 'six', '', '01', '1e9', '9999999999'])(
    'with %j heads in its metadata is refused',
    (heads) => {
      expect(() => configFromCheckpoint(checkpointOf(small, { metadata: { heads } }))).toThrow(
        failure('bad-checkpoint', /^file: metadata heads: not a positive integer; got "/),
      );
    },
  );
});

describe('identify', () => {
  test('describes a STAM that has no name, with or without heads', () => {
    const text = 'STAM of 5 frames, image 48, patch 8, 96 channels, depth 3, 7 classes';
    expect(identify(checkpointOf(small))).toBe(text);
    expect(identify(checkpointOf(small, { metadata: { heads: '6' } }))).toBe(text);
  });

  test('knows nothing else', () => {
    expect(identify({ name: 'file', tensors: new Map(), metadata: new Map() })).toBeUndefined();
  });
});

describe('metadata alone', () => {
  const complete = { img: '48', patch: '8', dim: '96', depth: '3', heads: '6', frames: '5', classes: '7' };
  const from = (metadata: Record<string, string>, hints = {}) =>
    configFromMetadata(new Map(Object.entries(metadata)), hints);

  test("gives a configuration with ViT's MLP and STAM's temporal part", () => {
    expect(from(complete)).toEqual({
      ...small,
      mlp: 384,
      temporalLayers: 6,
      temporalHeads: 8,
      temporalMlp: 2048,
    });
  });

  test('may say more', () => {
    const more = { ...complete, temporal_layers: '2', temporal_heads: '4', temporal_ffn: '50', other: 'text' };
    expect(from(more)).toEqual({ ...small, mlp: 384 });
    expect(from(more, { heads: 12, temporalHeads: 2 })).toMatchObject({ heads: 12, temporalHeads: 2 });
  });

  test.each(Object.keys(complete))('gives none without %s', (key) => {
    const rest = Object.fromEntries(Object.entries(complete).filter(([name]) => name !== key));
    expect(from(rest)).toBeUndefined();
  });

  test('gives one without heads where a hint tells them', () => {
    const { heads: _, ...rest } = complete;
    expect(from(rest, { heads: 2 })).toMatchObject({ heads: 2 });
  });

  test.each([
    [{ heads: '7' }, 'bad-input', /96 channels do not divide into 7 heads/],
    [{ temporal_heads: '5' }, 'bad-input', /96 channels do not divide into 5 temporal heads/],
    [{ patch: '9' }, 'bad-input', /an image of 48 does not divide into patches of 9/],
    [{ frames: 'many' }, 'bad-checkpoint', /^metadata: metadata frames: not a positive integer; got "many"/],
  ])('with %j is refused', (changes, code, message) => {
    expect(() => from({ ...complete, ...changes })).toThrow(failure(code, message));
  });
});

test('a name stands for every field: a STAM that differs in one has none', () => {
  const config = namedConfig('stam_16');
  for (const key of Object.keys(config)) {
    const value = new Map(Object.entries(config)).get(key);
    expect(configName({ ...config, [key]: Number(value) * 2 }), key).toBe(key === 'frames' ? 'stam_32' : undefined);
  }
});
