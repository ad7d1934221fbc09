// PyTorch checkpoints as torch.save writes them: small ones, put together here so that each has what it is to show.
import { describe, expect, test } from 'vitest';
import { openPth, type PthOptions } from '../../../loaders/pytorch/pth.ts';
import { bufferSource } from '../../../loaders/source.ts';
import { recordedSource } from '../recorded-source.ts';
import {
  type Bytes,
  call,
  dict,
  int,
  legacyFile,
  list,
  machine,
  named,
  no,
  none,
  op,
  orderedDict,
  type Storages,
  sixFloats,
  storage,
  type TensorOptions,
  tensor,
  text,
  tuple,
  yes,
  zip,
  zipFiles,
} from './torch-files.ts';

const openZipped = (root: Bytes, storages?: Storages, options?: PthOptions) =>
  openPth(bufferSource(zip(zipFiles(root, storages)), 'x.pth'), options);
const openLegacy = (root: Bytes, storages?: Storages, elementBytes?: number) =>
  openPth(bufferSource(legacyFile(root, storages, elementBytes), 'x.pth'));

/** In both forms, which must not differ. */
async function valuesOf(options: TensorOptions, storages?: Storages): Promise<number[]> {
  const view = options.view ?? none;
  const zipped = await openZipped(dict(['w', tensor(options)]), storages);
  const legacy = await openLegacy(dict(['w', tensor({ ...options, view })]), storages);
  const values = [...(await zipped.read('w'))];
  expect([...(await legacy.read('w'))]).toEqual(values);
  expect(legacy.tensors.get('w')?.shape).toEqual(zipped.tensors.get('w')?.shape);
  return values;
}

describe('views of storages', () => {
  const all = Float32Array.from({ length: 24 }, (_, i) => i);
  const storages = { 0: new Uint8Array(all.buffer) };
  const elements = 24;

  test.each<[string, TensorOptions, number[]]>([
    ['as they lie', { elements: 6, size: [2, 3], stride: [3, 1] }, [0, 1, 2, 3, 4, 5]],
    ['from an offset', { offset: 20, size: [4], stride: [1] }, [20, 21, 22, 23]],
    ['transposed', { size: [3, 2], stride: [1, 3] }, [0, 3, 1, 4, 2, 5]],
    ['a slice', { offset: 8, size: [2, 3], stride: [6, 1] }, [8, 9, 10, 14, 15, 16]],
    ['every other', { offset: 1, size: [2, 2], stride: [12, 3] }, [1, 4, 13, 16]],
    [
      'three dimensions, permuted',
      { size: [2, 3, 4], stride: [4, 8, 1] },
      [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23],
    ],
    ['a scalar', { offset: 5, size: [], stride: [] }, [5]],
    ['dimensions of one, whatever their stride', { size: [1, 2, 1], stride: [999, 1, 7] }, [0, 1]],
    ['expanded', { offset: 2, size: [2, 3], stride: [0, 1] }, [2, 3, 4, 2, 3, 4]],
    ['expanded within', { offset: 2, size: [2, 3], stride: [1, 0] }, [2, 2, 2, 3, 3, 3]],
    ['nothing, whatever the offset', { offset: 99, size: [0, 4], stride: [4, 1] }, []],
    ['the last element', { offset: 23, size: [1], stride: [1] }, [23]],
  ])('%s', async (_, options, expected) => {
    const whole = options.elements === undefined ? storages : { 0: sixFloats };
    expect(await valuesOf({ elements, ...options }, whole)).toEqual(expected);
  });

  test('of storages in legacy files', async () => {
    const view = tuple(text('view'), int(2), int(4));
    const checkpoint = await openLegacy(dict(['w', tensor({ view, offset: 1, size: [3], stride: [1] })]));
    expect([...(await checkpoint.read('w'))]).toEqual([3, 4, 5]);
  });

  test('shared by two tensors', async () => {
    const root = dict(['a', tensor({ size: [6], stride: [1] })], ['b', tensor({ offset: 3, size: [2], stride: [1] })]);
    for (const open of [openZipped, openLegacy]) {
      const checkpoint = await open(root);
      expect([...(await checkpoint.read('a'))]).toEqual([0, 1, 2, 3, 4, 5]);
      expect([...(await checkpoint.read('b'))]).toEqual([3, 4]);
    }
  });

  test('larger than what is held of a storage at a time', async () => {
    // 3,000 x 1,200 float32, transposed; in pieces of 8 MiB, of which none is read twice
    const [rows, columns] = [3000, 1200];
    const values = Float32Array.from({ length: rows * columns }, (_, i) => i);
    const options = { elements: values.length, size: [columns, rows], stride: [1, columns] };
    const bytes = zip(zipFiles(dict(['w', tensor(options)]), { 0: new Uint8Array(values.buffer) }));
    const { source, ranges } = recordedSource(bytes);
    const checkpoint = await openPth(source);
    ranges.length = 0;
    const transposed = await checkpoint.read('w');
    expect(transposed.length).toBe(values.length);
    expect(transposed.findIndex((value, i) => value !== (i % rows) * columns + Math.floor(i / rows))).toBe(-1);
    const lengths = ranges.map(([start, end]) => end - start);
    expect(lengths.reduce((sum, length) => sum + length)).toBeLessThan(values.byteLength + 100);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(8 * 1024 * 1024);
  });

  test('with steps larger than what is held at a time', async () => {
    const step = 2_100_000;
    const values = new Float32Array(2 * step + 2);
    values.set([1, 2], 0);
    values.set([3, 4], step);
    values.set([5, 6], 2 * step);
    const view = { elements: values.length, size: [2, 3], stride: [1, step] };
    const checkpoint = await openZipped(dict(['w', tensor(view)]), { 0: new Uint8Array(values.buffer) });
    expect([...(await checkpoint.read('w'))]).toEqual([1, 3, 5, 2, 4, 6]);
  });
});

describe('element types', () => {
  test.each([
    ['DoubleStorage', 'F64', 8],
    ['FloatStorage', 'F32', 4],
    ['HalfStorage', 'F16', 2],
    ['BFloat16Storage', 'BF16', 2],
    ['LongStorage', 'I64', 8],
    ['IntStorage', 'I32', 4],
    ['ShortStorage', 'I16', 2],
    ['CharStorage', 'I8', 1],
    ['ByteStorage', 'U8', 1],
    ['BoolStorage', 'BOOL', 1],
    ['ComplexFloatStorage', 'C64', 8],
  ])('%s is %s', async (type, dtype, width) => {
    const data = Array.from({ length: 3 * width }, (_, i) => i);
    const root = dict(['w', tensor({ type: `torch ${type}`, elements: 3, offset: 1, size: [2], stride: [1] })]);
    for (const checkpoint of [await openZipped(root, { 0: data }), await openLegacy(root, { 0: data }, width)]) {
      expect(checkpoint.tensors.get('w')).toMatchObject({ dtype, bytes: 2 * width });
      expect([...(await checkpoint.readBytes('w'))]).toEqual(data.slice(width));
    }
  });

  test.each([
    ['float8_e4m3fn', 'F8_E4M3', 1],
    ['float8_e5m2', 'F8_E5M2', 1],
    ['float8_e4m3fnuz', 'F8_E4M3FNUZ', 1],
    ['float8_e5m2fnuz', 'F8_E5M2FNUZ', 1],
    ['float8_e8m0fnu', 'F8_E8M0', 1],
    ['uint16', 'U16', 2],
    ['uint32', 'U32', 4],
    ['uint64', 'U64', 8],
    ['bfloat16', 'BF16', 2],
  ])('untyped bytes as %s are %s', async (name, dtype, width) => {
    const data = Array.from({ length: 3 * width }, (_, i) => i);
    const untyped = { type: 'torch.storage UntypedStorage', elements: data.length, dtype: `torch ${name}` };
    const checkpoint = await openZipped(dict(['w', tensor({ ...untyped, offset: 1, size: [2], stride: [1] })]), {
      0: data,
    });
    expect(checkpoint.tensors.get('w')).toMatchObject({ dtype, shape: [2], bytes: 2 * width });
    expect([...(await checkpoint.readBytes('w'))]).toEqual(data.slice(width));
  });

  const quantised = (type: string, elements: number) =>
    call(
      'torch._utils _rebuild_qtensor',
      ...[storage({ type, elements }), int(0), tuple(int(2)), tuple(int(1))],
      ...[tuple(named('torch per_tensor_affine'), int(1), int(0)), no, call('collections OrderedDict')],
    );
  test.each<[string, Bytes, number, string]>([
    ['complex128', tensor({ type: 'torch ComplexDoubleStorage', elements: 2, size: [2], stride: [1] }), 16, 'C128'],
    ['qint8', quantised('torch QInt8Storage', 2), 1, 'QINT8'],
    ['quint8', quantised('torch QUInt8Storage', 2), 1, 'QUINT8'],
    ['qint32', quantised('torch QInt32Storage', 2), 4, 'QINT32'],
  ])('%s is listed, and unsupported when it is read', async (_, root, width, dtype) => {
    const checkpoint = await openZipped(dict(['w', root]), { 0: new Uint8Array(2 * width) });
    expect(checkpoint.tensors.get('w')).toMatchObject({ dtype, bytes: 2 * width });
    for (const reading of [checkpoint.read('w'), checkpoint.readBytes('w')]) {
      await expect(reading).rejects.toMatchObject({ code: 'unsupported' });
      await expect(reading).rejects.toThrow(`x.pth: w (${dtype} [2])`);
    }
  });
});

describe('what torch.save may be given', () => {
  const w = tensor();
  const other = tensor({ key: '1', elements: 1, size: [1], stride: [1] });
  const two = { 0: sixFloats, 1: [0, 0, 0x80, 0x3f] };

  test.each<[string, Bytes, string[], string[]]>([
    ['a state_dict', orderedDict(['a', w]), ['a'], []],
    ['one as `model`', dict(['model', orderedDict(['a', w])]), ['a'], []],
    ['one as `state_dict`', dict(['state_dict', dict(['a', w])], ['epoch', int(3)]), ['a'], ['epoch']],
    ['one as `model_state`', dict(['cfg', text('')], ['model_state', dict(['a', w])]), ['a'], ['cfg']],
    ['one as `model_state_dict`', dict(['model_state_dict', dict(['a', w])]), ['a'], []],
    ['the first of two', dict(['state_dict', dict(['b', w])], ['model', dict(['a', w])]), ['a'], ['state_dict']],
    ['a `model` that is none', dict(['model', text('STAM')], ['state_dict', dict(['a', w])]), ['a'], ['model']],
    ['a tensor called `model`', dict(['model', w]), ['model'], []],
    ['a prefix of DataParallel', dict(['module.a', w], ['module.b.c', w]), ['module.a', 'module.b.c'], []],
    [
      'what is no tensor',
      dict(['model', dict(['a', w], ['n', int(1)], ['m', dict()])], ['x', none]),
      ['a'],
      ['x', 'model.n', 'model.m'],
    ],
    ['odd names', dict(['__proto__', w], ['constructor', w], ['', w]), ['__proto__', 'constructor', ''], []],
    ['keys that are no names', [...dict(['a', w]), ...int(7), ...w, ...op('s')], ['a'], ['7']],
    [
      'metadata of a state_dict',
      [...orderedDict(['a', w]), ...dict(['_metadata', orderedDict()]), ...op('b')],
      ['a'],
      [],
    ],
    [
      'a parameter',
      dict(['a', call('torch._utils _rebuild_parameter', w, yes, call('collections OrderedDict'))]),
      ['a'],
      [],
    ],
    ['an OrderedDict of Python 2', call('collections OrderedDict', list(list(text('a'), w))), ['a'], []],
    [
      'things of a training script',
      dict(
        ['model', dict(['a', w])],
        ['size', call('torch Size', tuple(int(1)))],
        ['device', call('torch device', text('cuda'), int(0))],
        ['steps', call('collections Counter', dict(['x', int(1)]))],
        ['seen', call('__builtin__ set', list(int(1)))],
        ['dtype', named('torch float32')],
        ['momentum', dict(['a', other])],
      ),
      ['a'],
      ['size', 'device', 'steps', 'seen', 'dtype', 'momentum'],
    ],
  ])('%s', async (_, root, names, leftOut) => {
    const storages = JSON.stringify(root).includes(JSON.stringify(text('momentum')).slice(1, -1)) ? two : undefined;
    for (const checkpoint of [await openZipped(root, storages), await openLegacy(root, storages)]) {
      expect([...checkpoint.tensors.keys()]).toEqual(names);
      expect(checkpoint.leftOut).toEqual(leftOut);
      expect([...(await checkpoint.read(names[0]))]).toEqual([0, 1, 2, 3, 4, 5]);
    }
  });

  test.each<[string, Bytes, RegExp]>([
    [
      'nothing',
      none,
      /x\.pth: there is no state_dict in the checkpoint; got None, expected a dict of tensors, or one under model/,
    ],
    ['a tensor', w, /got a tensor, expected/],
    ['a list of tensors', list(w), /got a list, expected/],
    ['an empty dict', dict(), /got a dict of nothing, expected/],
    [
      'a dict of other things',
      dict(['a\u001b', int(1)], ['b', dict(['c', dict(['d', w])])]),
      /got a dict of "a\\u001b", "b", expected/,
    ],
  ])('%s is refused', async (_, root, message) => {
    for (const opening of [openZipped(root), openLegacy(root, w === root ? undefined : { 0: sixFloats })]) {
      await expect(opening).rejects.toMatchObject({ code: 'bad-checkpoint' });
    }
    await expect(openZipped(root)).rejects.toThrow(message);
  });
});

describe('reading', () => {
  const root = dict(
    ['late', tensor({ key: '1', elements: 2, size: [2], stride: [1] })],
    ['part', tensor({ offset: 2, size: [2], stride: [1] })],
    ['early', tensor({ size: [2], stride: [1] })],
  );
  const storages = { 0: sixFloats, 1: [0, 0, 0x80, 0x3f, 0, 0, 0, 0x40] };

  test.each([
    ['zip', zip(zipFiles(root, storages)), 30 + 'x/data/0'.length],
    ['legacy', legacyFile(root, storages), 8],
  ])('takes from a %s file what is asked for and no more, front to back', async (_, bytes, headerBytes) => {
    const { source, ranges } = recordedSource(bytes);
    const checkpoint = await openPth(source);
    expect(checkpoint.order()).toEqual(['early', 'part', 'late']);
    ranges.length = 0;
    expect([...(await checkpoint.read('part'))]).toEqual([2, 3]);
    const [[header, data], [start, end]] = ranges;
    expect(ranges).toHaveLength(2);
    expect([data - header, start - data, end - start]).toEqual([headerBytes, 8, 8]);
    ranges.length = 0;
    await checkpoint.read('early');
    expect(ranges).toEqual([[data, data + 8]]);
  });

  test('puts the elements where the caller wants them', async () => {
    const memory = new Uint8Array(64);
    const allocate = (count: number) => memory.subarray(0, count);
    const transposed = dict(['t', tensor({ size: [3, 2], stride: [1, 3] })]);
    const bytes = await (await openZipped(transposed)).readBytes('t', undefined, allocate);
    expect(bytes.buffer).toBe(memory.buffer);
    expect([...new Float32Array(memory.buffer, 0, 6)]).toEqual([0, 3, 1, 4, 2, 5]);
  });

  test('an unknown name, a signal, a closed file', async () => {
    const checkpoint = await openZipped(root, storages);
    await expect(checkpoint.read('__proto__')).rejects.toMatchObject({ code: 'missing-tensor' });
    await expect(checkpoint.read('early', AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' });
    await expect(openZipped(root, storages, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: 'AbortError',
    });
    await checkpoint.close();
    await expect(checkpoint.read('early')).rejects.toMatchObject({ code: 'disposed' });
  });

  test('a legacy file whose pickles are longer than what is read at first', async () => {
    const names = Array.from({ length: 2000 }, (_, i) => `layer.${i}.${'x'.repeat(20)}`);
    const many = orderedDict(
      ...names.map((name, i) => [name, tensor({ key: `${i}`, elements: 1, size: [1], stride: [1] })] as const),
    );
    const bytesOf = (i: number) => new Uint8Array(Float32Array.of(i).buffer);
    const checkpoint = await openLegacy(many, Object.fromEntries(names.map((_, i) => [`${i}`, bytesOf(i)])));
    expect(checkpoint.tensors.size).toBe(2000);
    expect([...(await checkpoint.read(names[1999]))]).toEqual([1999]);
  });

  test('a legacy file says that its machine was little-endian', async () => {
    const bytes = legacyFile(dict(['w', tensor()]), undefined, 4, { machine: machine(yes) });
    expect((await openPth(bufferSource(bytes))).tensors.size).toBe(1);
  });
});
