// The synthetic rule against values that numpy computed, and against a real file of tensors that PyTorch was filled with.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { fileSource } from '../../loaders/node-source.ts';
import { openSafetensors } from '../../loaders/safetensors.ts';
import { openSynthetic, syntheticTensor, unit } from '../../loaders/synthetic.ts';

const bitsOf = (values: Float32Array<ArrayBuffer>) => [...new Uint32Array(values.buffer)];

// Float32 bit patterns printed by make_golden.py's own unit() and synthetic() under numpy 2.4.6.
describe('bit for bit as numpy computes it', () => {
  test.each([
    [1, 'frames', [1057853401, 1061944437, 1051656640]],
    [0, '', [1059798652, 1064480947, 1045736648]],
    [0xffffffff, 'Grüße 東京', [1033816448, 1053953156, 1062710611]],
  ])('unit(%s, %s)', (seed, name, expected) => {
    expect(bitsOf(unit(seed, name, 3))).toEqual(expected);
  });

  test('unit far from the start', () => {
    expect(bitsOf(unit(1, 'frames', 1_000_003).slice(-1))).toEqual([1052211930]);
  });

  // the last elements of head.bias and head.weight differ when the factor is not rounded to float32 first
  test.each([
    [1, 'blocks.0.norm1.weight', [3], [1064761412, 1064838478, 1061846769], 1061846769],
    [1, 'cls_token', [1, 1, 3], [3203938236, 3179440304, 3185968072], 3185968072],
    [7, 'aggregate.pos_embed', [1, 1, 3], [3185763120, 1052943822, 1047704964], 1047704964],
    [1, 'head.bias', [12], [1031730253, 1024610122, 993587098], 3184109319],
    [1, 'head.weight', [1, 768], [1029648141, 3164340045, 1029207147], 1027497333],
    [2, 'patch_embed.proj.weight', [2, 3, 16, 16], [3162267755, 3169139174, 1025419995], 3179830005],
    [1, 's', [], [1034902528], 1034902528],
  ])('syntheticTensor(%s, %s, %s)', (seed, name, shape, first, last) => {
    const bits = bitsOf(syntheticTensor(seed, name, shape));
    expect(bits.slice(0, 3)).toEqual(first);
    expect(bits.at(-1)).toBe(last);
  });
});

test('unit lies in [0, 1) in steps of 2^-24', () => {
  for (const value of unit(3, 'frames', 10_000)) {
    expect(value >= 0 && value < 1 && Number.isInteger(value * 2 ** 24)).toBe(true);
  }
});

test('BatchNorm statistics and the convolutions under norm_b follow the rules of X3D', () => {
  const v = unit(1, 'norm.running_var', 4).map((value) => 2 * value - 1);
  expect(syntheticTensor(1, 'norm.running_var', [4])).toEqual(v.map((value) => 1 + 0.25 * value));
  expect(syntheticTensor(1, 'norm.num_batches_tracked', [])).toEqual(new Float32Array(1));
  const name = 'branch2.norm_b.1.block.0.weight';
  const convolution = syntheticTensor(1, name, [1, 4, 1, 1, 1]);
  expect(convolution).toEqual(unit(1, name, 4).map((value) => 2 * value - 1)); // 2 / sqrt(fan-in of 4) = 1
});

describe('a file filled by the rule', () => {
  const path = fileURLToPath(new URL('../../../shared/golden/tiny-a.weights.safetensors', import.meta.url));
  const present = existsSync(path);
  if (!present) process.stderr.write(`skipped: synthetic weights against PyTorch's, for want of ${path}\n`);

  test.skipIf(!present)('every tensor of tiny-a is equal', async () => {
    const truth = await openSafetensors(await fileSource(path));
    const shapes = new Map([...truth.tensors].map(([name, { shape }]) => [name, shape]));
    const synthetic = openSynthetic(Number(truth.metadata.get('seed')), shapes, truth.metadata);
    expect(truth.tensors.size).toBe(108);
    expect(synthetic.order()).toEqual(truth.order());
    for (const name of truth.order()) {
      const [ours, theirs] = [await synthetic.read(name), await truth.read(name)];
      expect(Buffer.compare(new Uint8Array(ours.buffer), new Uint8Array(theirs.buffer)), name).toBe(0);
    }
    await truth.close();
  });
});

describe('openSynthetic', () => {
  const shapes = new Map([
    ['a', [2, 3]],
    ['b.bias', [4]],
  ]);

  test('is a checkpoint', async () => {
    const checkpoint = openSynthetic(5, shapes, new Map([['model', 'tiny']]));
    expect(checkpoint.name).toBe('synthetic:5');
    expect(checkpoint.metadata.get('model')).toBe('tiny');
    expect(checkpoint.order()).toEqual(['a', 'b.bias']);
    expect(checkpoint.tensors.get('a')).toEqual({ name: 'a', dtype: 'F32', shape: [2, 3], bytes: 24 });
    expect(await checkpoint.read('a')).toEqual(syntheticTensor(5, 'a', [2, 3]));
    expect(await checkpoint.readBytes('a')).toEqual(new Uint8Array(syntheticTensor(5, 'a', [2, 3]).buffer));
    expect(checkpoint.leftOut).toEqual([]);
  });

  test('refuses like any other', async () => {
    const checkpoint = openSynthetic(5, shapes);
    await expect(checkpoint.read('c')).rejects.toMatchObject({ name: 'StamError', code: 'missing-tensor' });
    await expect(checkpoint.read('a', AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' });
    await checkpoint.close();
    await checkpoint.close();
    await expect(checkpoint.read('a')).rejects.toMatchObject({ name: 'StamError', code: 'disposed' });
  });

  test.each([-1, 2 ** 32, 1.5, Number.NaN])('refuses the seed %s', (seed) => {
    const refusal = { name: 'StamError', code: 'bad-input' };
    expect(() => openSynthetic(seed, shapes)).toThrow(expect.objectContaining(refusal));
    expect(() => unit(seed, 'frames', 1)).toThrow(expect.objectContaining(refusal));
    expect(() => syntheticTensor(seed, 'norm.num_batches_tracked.weight', [1])).toThrow(
      expect.objectContaining(refusal),
    );
  });

  test.each([[[-1]], [[1.5]], [[-2, -2]], [[2 ** 30, 2 ** 30]]])('refuses the shape %s', (shape) => {
    expect(() => openSynthetic(1, new Map([['a', shape]]))).toThrow(expect.objectContaining({ code: 'bad-input' }));
  });
});
