// Whether a checkpoint fits a model: everything that does not is named at once, and nothing is ignored or made up in silence.
import { describe, expect, test } from 'vitest';
import type { TensorSource } from '../../engine/weights.ts';
import { openSynthetic } from '../../loaders/synthetic.ts';
import type { StamConfig } from '../../model/config.ts';
import { namedConfig } from '../../model/config.ts';
import { type FitSource, fitCheckpoint } from '../../model/fit.ts';
import { weightShapes } from '../../model/weights.ts';
import { unevenConfig as small } from './fixtures.ts';

const smallName = 'STAM of 5 frames, image 48, patch 8, 96 channels, depth 3, 7 classes';

interface Tensor {
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** A checkpoint of this configuration with other tensors, or, undefined, without them. Every element is 1. */
function checkpointOf(config: StamConfig, changes: Readonly<Record<string, Tensor | undefined>> = {}): TensorSource {
  const shapes = [...weightShapes(config)].map(([name, shape]) => [name, { dtype: 'F32', shape }] as const);
  const tensors = new Map<string, Tensor>(shapes);
  for (const [name, tensor] of Object.entries(changes)) {
    if (tensor) tensors.set(name, tensor);
    else tensors.delete(name);
  }
  return {
    name: 'file',
    tensors,
    order: () => [...tensors.keys()],
    read: async (name) => new Float32Array(tensors.get(name)?.shape[0] ?? 0).fill(1),
  };
}

const f32 = (...shape: number[]): Tensor => ({ dtype: 'F32', shape });

const absent = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, undefined]));

const qkvBiases = (depth: number) => Array.from({ length: depth }, (_, i) => `blocks.${i}.attn.qkv.bias`);

/** What fitting throws, as `code: message`. */
function refusal(source: FitSource, config: StamConfig = small): string {
  try {
    fitCheckpoint(source, config);
  } catch (error) {
    if (error instanceof Error && 'code' in error) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'the checkpoint was accepted';
}

describe('a checkpoint that fits', () => {
  test.each(['stam_8', 'stam_16', 'stam_32', 'stam_64'])('of %s, made by rule, is taken as it is', (name) => {
    const config = namedConfig(name);
    const source = openSynthetic(1, weightShapes(config));
    const fitted = fitCheckpoint(source, config);
    expect(fitted.notices).toEqual([]);
    expect(fitted.name).toBe('synthetic:1');
    expect(fitted.order()).toEqual(source.order());
    expect([...fitted.tensors]).toEqual([...source.tensors]);
  });

  test.each(['F64', 'F32', 'F16', 'BF16'])('may hold %s', (dtype) => {
    const source = checkpointOf(small, { 'head.bias': { dtype, shape: [7] } });
    expect(fitCheckpoint(source, small).notices).toEqual([]);
  });

  test('is read through, with signal and memory', async () => {
    const calls: unknown[] = [];
    const values = new Float32Array(7).fill(3);
    const source: TensorSource = {
      ...checkpointOf(small),
      async read(...call) {
        calls.push(call);
        return values;
      },
    };
    const { signal } = new AbortController();
    const allocate = (bytes: number) => new Uint8Array(bytes);
    expect(await fitCheckpoint(source, small).read('head.bias', signal, allocate)).toBe(values);
    expect(calls).toEqual([['head.bias', signal, allocate]]);
  });
});

describe('what does not fit is named', () => {
  test.each([
    [
      'missing',
      { 'head.bias': undefined },
      'missing-tensor: file: 1 tensor does not fit SMALL: head.bias is missing, expected [7]',
    ],
    [
      'of another shape',
      { 'norm.weight': f32(95) },
      'shape-mismatch: file: 1 tensor does not fit SMALL: norm.weight is F32 [95], expected [96]',
    ],
    [
      'of another rank',
      { 'norm.weight': { dtype: 'F16', shape: [1, 96] } },
      'shape-mismatch: file: 1 tensor does not fit SMALL: norm.weight is F16 [1, 96], expected [96]',
    ],
    [
      'no float',
      { 'head.bias': { dtype: 'I64', shape: [7] } },
      'unsupported: file: 1 tensor does not fit SMALL: head.bias is I64 [7], expected F64, F32, F16, BF16',
    ],
    [
      'no float, by the name of something else',
      { 'head.bias': { dtype: 'toString', shape: [7] } },
      'unsupported: file: 1 tensor does not fit SMALL: head.bias is toString [7], expected F64, F32, F16, BF16',
    ],
    [
      "of STAM's own modules, but not of this one",
      { 'blocks.0.attn.table': { dtype: 'I64', shape: [4, 2] } },
      'bad-checkpoint: file: 1 tensor does not fit SMALL: blocks.0.attn.table (I64 [4, 2]) is not of this model',
    ],
  ])('%s', (_, changes, message) => {
    expect(refusal(checkpointOf(small, changes))).toBe(message.replace('SMALL', smallName));
  });

  test.each(['cls_token.x', 'pos_embed.x', 'patch_embed.x', 'blocks.x', 'norm.x', 'head.x', 'aggregate.x'])(
    '%s: a tensor of one of its modules is another model',
    (name) => {
      expect(refusal(checkpointOf(small, { [name]: f32(1) }))).toMatch(
        /^bad-checkpoint: file: .* is not of this model$/,
      );
    },
  );

  test('all at once, the gravest first, whose code it is', () => {
    const unsupported = { cls_token: { dtype: 'I32', shape: [1, 1, 96] } };
    const misshapen = { 'norm.bias': f32(1), 'norm.weight': f32(2) };
    const extra = { 'head.scale': f32(7) };
    const missing = { 'head.bias': undefined };
    expect(refusal(checkpointOf(small, { ...extra, ...unsupported }))).toMatch(
      /^unsupported: file: 2 tensors do not fit .*: cls_token is I32 .*; head\.scale \(F32 \[7\]\) is not of/,
    );
    expect(refusal(checkpointOf(small, { ...extra, ...unsupported, ...misshapen }))).toMatch(
      /^shape-mismatch: file: 4 tensors do not fit .*: norm\.weight is .*; norm\.bias is .*; cls_token is .*; head\.scale /,
    );
    expect(refusal(checkpointOf(small, { ...extra, ...unsupported, ...misshapen, ...missing }))).toMatch(
      /^missing-tensor: file: 5 tensors do not fit .*: head\.bias is missing, .*; norm\.weight is .*; cls_token is .*; head\.sc/,
    );
  });

  test('eight of them, and how many more', () => {
    const names = [...weightShapes(small).keys()];
    const eight = refusal(checkpointOf(small, absent(names.slice(0, 8))));
    expect(eight).toMatch(/: 8 tensors do not fit/);
    expect(eight.match(/ is missing/g)).toHaveLength(8);
    expect(eight).not.toMatch(/more/);
    const eleven = refusal(checkpointOf(small, absent(names.slice(0, 11))));
    expect(eleven).toMatch(/: 11 tensors do not fit .*; and 3 more$/);
    expect(eleven.match(/ is missing/g)).toHaveLength(8);
  });

  test('without what a file made up to hurt its reader', () => {
    const evil = { 'head.\u001b[2J\u009b': f32(...new Array(5000).fill(1)) };
    const message = refusal(checkpointOf(small, evil));
    expect(message).toMatch(/: "head\.\\u001b\[2J\\u\{9b\}" \(F32 \[(?:1, ){16}\.\.\.\]\) is not of this model$/);
  });

  test('nothing is read', () => {
    const source = { ...checkpointOf(small, { 'head.bias': undefined }), read: () => expect.unreachable() };
    expect(refusal(source)).toMatch(/^missing-tensor/);
  });
});

describe('a checkpoint of another model than was asked for', () => {
  test('says which it is, by its published name', () => {
    expect(refusal(checkpointOf(namedConfig('stam_8')), namedConfig('stam_16'))).toBe(
      'shape-mismatch: file: 1 tensor does not fit stam_16: aggregate.pos_embed is F32 [1, 9, 768], expected [1, 17, 768]; ' +
        'by its tensors the file is stam_8: take that model, or auto',
    );
  });

  test('or by its measures', () => {
    expect(refusal(checkpointOf(small), namedConfig('stam_16'))).toMatch(
      new RegExp(`^missing-tensor: .* do not fit stam_16: .*; by its tensors the file is ${smallName}: take that`),
    );
    expect(refusal(checkpointOf(namedConfig('stam_16')))).toMatch(
      new RegExp(`do not fit ${smallName}: .*; by its tensors the file is stam_16: take`),
    );
  });

  test('that needs its metadata to be told', () => {
    const odd = { ...small, channels: 84, heads: 7, temporalHeads: 3 };
    const metadata = new Map([['temporal_heads', '3']]);
    const isOf = /by its tensors the file is STAM of 5 frames, .* 84 channels/;
    expect(refusal({ ...checkpointOf(odd), metadata })).toMatch(isOf);
    expect(refusal(checkpointOf(odd))).not.toMatch(isOf);
  });

  test('or nothing, where it is no STAM at all', () => {
    const source = { ...checkpointOf(small), tensors: new Map([['conv.weight', f32(3, 3)]]) };
    expect(refusal(source)).toMatch(/^missing-tensor: file: 72 tensors do not fit .*; and 64 more$/);
  });
});

describe("a checkpoint of STAM's first version", () => {
  test('lacks every qkv bias: they are zeros, with a notice', async () => {
    const names = qkvBiases(small.depth);
    const source = checkpointOf(small, absent(names));
    const fitted = fitCheckpoint(source, small);
    expect(fitted.notices).toEqual(["file: a checkpoint of STAM's first version: its qkv biases are taken as zeros"]);
    expect(fitted.order()).toEqual([...source.order(), ...names]);
    expect(fitted.tensors.get(names[2])).toEqual({ dtype: 'F32', shape: [288] });
    expect(source.tensors.has(names[2])).toBe(false);
    const memory = new Uint8Array(4 * 288).fill(0xff);
    expect(await fitted.read(names[2], undefined, () => memory)).toEqual(new Float32Array(288));
    expect(await fitted.read('head.bias')).toEqual(new Float32Array(7).fill(1));
    await expect(fitted.read(names[2], AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' });
  });

  test.each([
    [
      'only some of them',
      absent(qkvBiases(2)),
      /: 2 tensors do not fit .*: blocks\.0\.attn\.qkv\.bias is missing, .*; blocks\.1\./,
    ],
    ['another besides', absent([...qkvBiases(3), 'head.bias']), /: 4 tensors do not fit/],
    ['another instead', absent([...qkvBiases(2), 'head.bias']), /: 3 tensors do not fit/],
  ])('but not %s', (_, changes, message) => {
    const text = refusal(checkpointOf(small, changes));
    expect(text).toMatch(/^missing-tensor: /);
    expect(text).toMatch(message);
  });

  test('is refused for what else does not fit, and then only for that', () => {
    const changes = { ...absent(qkvBiases(3)), 'norm.weight': f32(5) };
    expect(refusal(checkpointOf(small, changes))).toMatch(
      /^shape-mismatch: file: 1 tensor does not fit .*: norm\.weight/,
    );
  });
});

describe('tensors that STAM does not have', () => {
  test('are ignored with a notice that names them', () => {
    const one = checkpointOf(small, { 'ema.decay': { dtype: 'F64', shape: [] } });
    expect(fitCheckpoint(one, small).notices).toEqual([
      'file: 1 tensor that STAM does not have is ignored: ema.decay (F64 [])',
    ]);
    const names = Array.from({ length: 10 }, (_, i) => `extra.${i}`);
    const many = checkpointOf(small, Object.fromEntries(names.map((name) => [name, f32(2)])));
    expect(fitCheckpoint(many, small).notices).toEqual([
      expect.stringMatching(
        /^file: 10 tensors that STAM .* are ignored: extra\.0 \(F32 \[2\]\); .*; extra\.7 .*; and 2 more$/,
      ),
    ]);
  });

  test('are named beside the first notice', () => {
    const source = checkpointOf(small, { ...absent(qkvBiases(3)), normal: f32(1) });
    expect(fitCheckpoint(source, small).notices).toHaveLength(2);
  });
});
