// Checkpoints whose containers are sound and whose tensors and storages are not, one test per rule.
import { describe, expect, test } from 'vitest';
import { accepted, refusalOf, replaced, without } from './pth-refusal.ts';
import {
  type Bytes,
  call,
  dict,
  int,
  legacyFile,
  list,
  named,
  no,
  none,
  op,
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

/** The refusal of a tensor called w in the zip form; that of the legacy form has to be the same. */
async function tensorRefusal(options: TensorOptions): Promise<string> {
  const zipped = await refusalOf(zip(zipFiles(dict(['w', tensor(options)]))));
  const legacy = await refusalOf(legacyFile(dict(['w', tensor(options)])));
  expect(legacy.replace(/object \(byte \d+\)/, '')).toBe(zipped.replace(/x\/data\.pkl \(byte \d+\)/, ''));
  return zipped;
}

describe('tensors', () => {
  test.each<[string, TensorOptions, RegExp]>([
    [
      'one element beyond the storage',
      { offset: 1 },
      /^x\.pth: w \(F32 \[2, 3\]\): the tensor reaches beyond its storage; got a last element at 6, expected below 6$/,
    ],
    [
      'a stride beyond the storage',
      { stride: [4, 1] },
      /the tensor reaches beyond its storage; got a last element at 6/,
    ],
    ['a stride beyond all storages', { stride: [2 ** 53 - 1, 1] }, /the tensor reaches beyond its storage/],
    ['an offset beyond all storages', { offset: 2 ** 53 - 1 }, /the tensor reaches beyond its storage/],
    [
      'fewer strides than sizes',
      { stride: [1] },
      /w \(F32 \[2, 3\]\): sizes and strides differ in number; got 1 strides, expected 2/,
    ],
    [
      'more strides than sizes',
      { size: [6], stride: [1, 1] },
      /sizes and strides differ in number; got 2 strides, expected 1/,
    ],
    [
      'too many dimensions',
      { size: new Array<number>(65).fill(1), stride: new Array<number>(65).fill(1) },
      /too many dimensions; got 65, expected at most 64/,
    ],
    ['a product beyond 2^53', { size: [2 ** 30, 2 ** 30], stride: [0, 0] }, /the shape is too large/],
    [
      'a product beyond 2^53 that is empty',
      { size: [2 ** 30, 2 ** 30, 0], stride: [0, 0, 0] },
      /the shape is too large/,
    ],
    [
      'elements that overlap',
      { size: [3, 3], stride: [1, 1] },
      /w \(F32 \[3, 3\]\): the elements overlap each other in the storage/,
    ],
    ['rows that overlap', { size: [2, 3], stride: [2, 1] }, /the elements overlap each other/],
    [
      'one element repeated to 16 MiB and more',
      { size: [4 * 2 ** 20 + 1], stride: [0] },
      /repeats the elements of its storage too often; got 16777220 bytes, expected at most 16777216/,
    ],
    ['a negative offset', { offset: -1 }, /x\.pth: .*a bad storage offset; got -1, expected an integer in 0/],
    ['a negative size', { size: [-1], stride: [1] }, /a bad size; got -1/],
    ['a negative stride', { size: [2], stride: [-1] }, /a bad stride; got -1/],
    ['a size beyond 2^53', { size: [2 ** 60], stride: [1] }, /a bad size; got 1152921504606846976/],
    ['a negative number of elements', { elements: -6 }, /a bad number of elements; got -6/],
    [
      'a dtype of the older function',
      { dtype: 'torch FloatStorage' },
      /a tensor of what is no dtype; got the name torch FloatStorage/,
    ],
    [
      'a storage type that is none',
      { type: 'torch float32' },
      /a storage of what is no storage type; got the name torch float32/,
    ],
    [
      'an unknown storage type',
      { type: 'torch QUInt4x2Storage' },
      /the checkpoint needs torch QUInt4x2Storage, which is not allowed/,
    ],
  ])('%s', async (_, options, message) => {
    expect(await tensorRefusal(options)).toMatch(message);
  });

  test('16 MiB of one element are still given', async () => {
    const root = dict(['w', tensor({ size: [4 * 2 ** 20], stride: [0] })]);
    expect(await refusalOf(zip(zipFiles(root)))).toBe(accepted);
  });

  test('16 MiB are all that the tensors of a small file may repeat, together', async () => {
    const half = (name: string) => [name, tensor({ size: [2 * 2 ** 20], stride: [0] })] as const;
    expect(await refusalOf(zip(zipFiles(dict(half('a'), ['w', tensor()], half('b')))))).toBe(accepted);
    const more = dict(half('a'), half('b'), ['w', tensor()], ['c', tensor({ size: [2, 3], stride: [0, 1] })]);
    for (const bytes of [zip(zipFiles(more)), legacyFile(more)]) {
      expect(await refusalOf(bytes)).toMatch(
        /x\.pth: c \(F32 \[2, 3\]\): this tensor and those before it repeat .*; got 16777240 bytes, expected at most 16777216;/,
      );
    }
  });

  test('a large file may repeat as much as it has', async () => {
    const elements = 4.25 * 2 ** 20; // 17 MiB
    const row = (name: string) => [name, tensor({ elements, size: [2, elements / 4], stride: [0, 1] })] as const;
    const bytes = (...names: string[]) => legacyFile(dict(...names.map(row)), { 0: new Uint8Array(4 * elements) });
    expect(await refusalOf(bytes('a', 'b'))).toBe(accepted);
    expect(await refusalOf(bytes('a', 'b', 'c'))).toMatch(/x\.pth: c .*: this tensor and those before it repeat/);
  });

  test.each<[string, Bytes, RegExp]>([
    [
      'too few arguments',
      call('torch._utils _rebuild_tensor_v2', storage()),
      /a wrong number of arguments of torch\._utils _rebuild_tensor_v2; got 1, expected 6 or 7/,
    ],
    [
      'too many arguments',
      call('torch._utils _rebuild_parameter', tensor(), yes, none, none),
      /a wrong number of arguments of .*parameter; got 4, expected 3/,
    ],
    [
      'a parameter of a string',
      call('torch._utils _rebuild_parameter', text('w'), yes, none),
      /a parameter of what is no tensor; got a string/,
    ],
    [
      'no storage',
      call('torch._utils _rebuild_tensor_v2', none, int(0), tuple(), tuple(), no, none),
      /a tensor without a storage; got None/,
    ],
    [
      'a size that is no tuple',
      call('torch._utils _rebuild_tensor_v2', storage(), int(0), int(6), tuple(), no, none),
      /a size that is no tuple; got 6/,
    ],
    [
      'a size of strings',
      call('torch._utils _rebuild_tensor_v2', storage(), int(0), tuple(text('6')), tuple(int(1)), no, none),
      /a bad size; got a string/,
    ],
    [
      'a conjugate view',
      call('torch._utils _rebuild_tensor_v2', storage(), int(0), tuple(), tuple(), no, none, dict(['conj', yes])),
      /elements are not what its storage holds; got a conjugate or negated view/,
    ],
    [
      'quantised numbers in a plain storage',
      call('torch._utils _rebuild_qtensor', storage(), int(0), tuple(), tuple(), tuple(), no, none),
      /a quantised tensor of plain numbers; got F32/,
    ],
    ['a call of a storage type', call('torch FloatStorage'), /a call of what is no function; got torch FloatStorage/],
    ['a size of what is no tuple', call('torch Size', int(1)), /a torch\.Size of what is no tuple/],
    ['an OrderedDict of an int', call('collections OrderedDict', int(1)), /an OrderedDict of what is no list of pairs/],
    [
      'an OrderedDict of triples',
      call('collections OrderedDict', list(tuple(none, none, none))),
      /an OrderedDict of what is no list of pairs/,
    ],
    [
      'an OrderedDict with odd keys',
      call('collections OrderedDict', list(tuple(none, none))),
      /a key that is no string; got None/,
    ],
    [
      'an OrderedDict with a key twice',
      call('collections OrderedDict', list(tuple(text('k'), none), tuple(text('k'), none))),
      /a key is in a dict twice; got "k"/,
    ],
  ])('%s', async (_, value, message) => {
    expect(await refusalOf(zip(zipFiles(dict(['a', tensor()], ['w', value]))))).toMatch(message);
  });

  test('a name twice', async () => {
    expect(await refusalOf(zip(zipFiles(dict(['w', tensor()], ['w', tensor()]))))).toMatch(
      /a key is in a dict twice; got "w"/,
    );
  });
});

describe('storages', () => {
  const id = (...items: Bytes[]) => [...tuple(...items), ...op('Q')];
  const float = named('torch FloatStorage');
  test.each<[string, Bytes, RegExp]>([
    ['another kind', id(text('module'), float, text('0'), text('cpu'), int(6)), /a persistent id that is no storage/],
    ['too few items', id(text('storage'), float, text('0'), text('cpu')), /a persistent id that is no storage/],
    [
      'too many items',
      id(text('storage'), float, text('0'), text('cpu'), int(6), none, none),
      /a persistent id that is no storage/,
    ],
    [
      'a type that is a string',
      id(text('storage'), text('torch FloatStorage'), text('0'), text('cpu'), int(6)),
      /a storage of what is no storage type; got a string/,
    ],
    [
      'a key that is a number',
      id(text('storage'), float, int(0), text('cpu'), int(6)),
      /a storage whose key is no string; got 0/,
    ],
    [
      'a location that is none',
      id(text('storage'), float, text('0'), none, int(6)),
      /a storage whose location is no string; got None/,
    ],
    [
      'elements that are no number',
      id(text('storage'), float, text('0'), text('cpu'), text('6')),
      /a bad number of elements; got a string/,
    ],
    ['a view that is none', storage({ view: int(1) }), /a view of a storage that is none/],
    ['a view of two items', storage({ view: tuple(text('v'), int(1)) }), /a view of a storage that is none/],
    [
      'a view that leaves its storage',
      storage({ view: tuple(text('v'), int(5), int(2)) }),
      /a view that leaves its storage; got \[5, 7\), expected inside \[0, 6\)/,
    ],
    [
      'two types under one key',
      list(storage(), storage({ type: 'torch IntStorage' })),
      /two storages have the same key; got 6 elements of I32, expected 6 elements of F32/,
    ],
    [
      'two lengths under one key',
      list(storage(), storage({ elements: 5 })),
      /two storages have the same key; got 5 elements of F32/,
    ],
  ])('%s', async (_, value, message) => {
    expect(await refusalOf(zip(zipFiles(dict(['a', tensor()], ['w', value]))))).toMatch(message);
  });

  test.each<[string, Uint8Array<ArrayBuffer>, RegExp]>([
    ['a missing one', zip(without('x/data/0')), /x\/data\/0: a storage is missing; expected 24 bytes/],
    [
      'one too short',
      zip(replaced('x/data/0', sixFloats.slice(4))),
      /x\/data\/0: the storage has another size than the pickle says; got 20 bytes, expected 24 bytes/,
    ],
    ['one too long', zip(replaced('x/data/0', [...sixFloats, 0])), /another size than the pickle says; got 25 bytes/],
    [
      'a key that leaves the folder',
      zip(zipFiles(dict(['w', tensor({ key: '../data.pkl' })]))),
      /x\/data\/\.\.\/data\.pkl: a storage is missing/,
    ],
  ])('%s', async (_, bytes, message) => {
    expect(await refusalOf(bytes)).toMatch(message);
  });
});
