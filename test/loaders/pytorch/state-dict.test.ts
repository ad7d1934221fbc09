// Where in a checkpoint of torch.save the weights are: the option `key`, and what is said where nobody named it.
import { describe, expect, test } from 'vitest';
import { openPth } from '../../../loaders/pytorch/pth.ts';
import { bufferSource } from '../../../loaders/source.ts';
import { type Bytes, dict, int, none, op, tensor, zip, zipFiles } from './torch-files.ts';

const open = (root: Bytes, key?: string) => openPth(bufferSource(zip(zipFiles(root)), 'x.pth'), { key });
/** One element, by its place among 0 to 5. */
const one = (offset: number) => tensor({ offset, size: [1], stride: [1] });
/** The first element of each tensor, by name. */
async function valuesOf(root: Bytes, key?: string): Promise<Record<string, number>> {
  const checkpoint = await open(root, key);
  const values: Record<string, number> = {};
  for (const name of checkpoint.tensors.keys()) [values[name]] = await checkpoint.read(name);
  return values;
}

const nested = dict(
  ['epoch', int(3)],
  ['state_dict', dict(['student.a', one(1)], ['student.b', one(2)], ['teacher.a', one(3)])],
  ['my.net', dict(['backbone', dict(['a', one(4)], ['n', none])], ['x', none])],
  ['few', dict(['a', one(0)])],
  ['ema', dict(['a', one(5)], ['b', one(0)])],
);

describe('a key', () => {
  test.each<[string, Record<string, number>]>([
    ['state_dict', { 'student.a': 1, 'student.b': 2, 'teacher.a': 3 }],
    ['ema', { a: 5, b: 0 }],
    ['my.net.backbone', { a: 4 }],
    ['state_dict.teacher', { a: 3 }],
    // within the weights that are found without it
    ['teacher', { a: 3 }],
  ])('%s', async (key, values) => {
    expect(await valuesOf(nested, key)).toEqual(values);
  });

  test('leaves out what lies beside each part of it', async () => {
    expect((await open(nested, 'my.net.backbone')).leftOut).toEqual([
      'epoch',
      'state_dict',
      'few',
      'ema',
      'my.net.x',
      'my.net.backbone.n',
    ]);
    expect((await open(nested, 'state_dict.teacher')).leftOut).toEqual([
      'epoch',
      'my.net',
      'few',
      'ema',
      'state_dict.student.a',
      'state_dict.student.b',
    ]);
  });

  test.each(['net', 'epoch', 'student.', 'my', '__proto__'])(
    '%s, under which there is nothing, is refused',
    async (key) => {
      const opening = open(nested, key);
      await expect(opening).rejects.toMatchObject({ code: 'bad-input' });
      await expect(opening).rejects.toThrow(
        `x.pth: no tensors lie under the key; got ${key}, expected a key such as state_dict, ema, few, my.net.backbone`,
      );
    },
  );
});

describe('without a key', () => {
  test('the other places with tensors are listed, the largest first', async () => {
    expect((await open(nested)).otherKeys).toEqual(['ema', 'few', 'my.net.backbone']);
    expect((await open(nested, 'ema')).otherKeys).toEqual(['state_dict', 'few', 'my.net.backbone']);
  });

  test('weights under a key that nobody knows are refused by its name', async () => {
    const opening = open(dict(['my_model', dict(['backbone', dict(['a', one(0)])])]));
    await expect(opening).rejects.toMatchObject({ code: 'bad-checkpoint' });
    await expect(opening).rejects.toThrow(
      /got a dict of "my_model", .*; tensors lie under my_model\.backbone: name one by the option `key`$/,
    );
  });

  test('a dict that holds itself is met once', async () => {
    // } PUT 0, then a tensor and the dict itself by GET 0, and a last dict with a tensor
    const self = [
      ...op('}'),
      0x71,
      0,
      ...op('('),
      ...dict(['a', one(0)]).slice(2, -1),
      ...dict(['self', [0x68, 0]]).slice(2, -1),
      ...op('u'),
    ];
    const checkpoint = await open(dict(['outer', self], ['a', one(0)]));
    expect(checkpoint.otherKeys).toEqual(['outer']);
  });
});
