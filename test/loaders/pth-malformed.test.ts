// Checkpoints whose containers are sound and whose contents are not, one test per rule.
import { describe, expect, test } from 'vitest';
import { StamError } from '../../engine/errors.ts';
import { openPth, type PthOptions } from '../../loaders/pth.ts';
import { bufferSource, rangedSource } from '../../loaders/source.ts';
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
  pickle,
  sixFloats,
  storage,
  type TensorOptions,
  tensor,
  text,
  tuple,
  yes,
  type ZipFile,
  zip,
  zipFiles,
} from './torch-files.ts';

async function refusalOf(
  bytes: Uint8Array<ArrayBuffer>,
  options?: PthOptions,
  code = 'bad-checkpoint',
): Promise<string> {
  const readAll = async () => {
    const checkpoint = await openPth(bufferSource(bytes, 'x.pth'), options);
    for (const name of checkpoint.order()) await checkpoint.readBytes(name);
    return 'the file was accepted';
  };
  const error = await readAll().catch((reason: unknown) => reason);
  if (!(error instanceof StamError)) return String(error);
  expect(error.code).toBe(code);
  expect(error.message).toMatch(/^x\.pth: /);
  return error.message;
}

const accepted = 'the file was accepted';
const files = zipFiles(dict(['w', tensor()]));
const without = (name: string) => files.filter((file) => file.name !== name);
const replaced = (name: string, data: ZipFile['data']) => [...without(name), { name, data }];

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

describe('zip files', () => {
  test.each<[string, readonly ZipFile[], RegExp]>([
    [
      'of something else',
      [{ name: 'word/document.xml', data: [] }],
      /a zip archive that torch\.save did not write; got no data\.pkl/,
    ],
    [
      'without a folder',
      [{ name: 'data.pkl', data: pickle(none) }],
      /a zip archive that torch\.save did not write; got no data\.pkl/,
    ],
    [
      'of two folders',
      [...files, { name: 'y/data/0', data: [] }],
      /torch\.save did not write; got entries in several folders/,
    ],
    ['with a folder that begins alike', [...files, { name: 'xy/data', data: [] }], /got entries in several folders/],
    [
      'with an unknown byte order',
      replaced('x/byteorder', [1]),
      /x\/byteorder: unknown byte order; got "\\u0001", expected "little"/,
    ],
    [
      'with a long byte order',
      replaced(
        'x/byteorder',
        [...'little'.padEnd(99)].map((c) => c.charCodeAt(0)),
      ),
      /unknown byte order/,
    ],
    ['with an empty pickle', replaced('x/data.pkl', []), /x\/data\.pkl: the pickle is cut off; got 0 bytes/],
    [
      'with a pickle cut off',
      replaced('x/data.pkl', pickle(dict()).slice(0, -1)),
      /x\/data\.pkl: the pickle is cut off; got 5 bytes/,
    ],
    [
      'with two pickles',
      replaced('x/data.pkl', [...pickle(dict()), ...pickle(none)]),
      /x\/data\.pkl: bytes follow the pickle; got 10 bytes, expected 6/,
    ],
  ])('%s', async (_, entries, message) => {
    expect(await refusalOf(zip(entries))).toMatch(message);
  });

  test.each<[string, readonly ZipFile[], RegExp]>([
    [
      'TorchScript by its constants',
      [...files, { name: 'x/constants.pkl', data: pickle(none) }],
      /a TorchScript archive: a program with its weights/,
    ],
    ['TorchScript by its code', [...files, { name: 'x/code/__torch__.py', data: [] }], /a TorchScript archive/],
    [
      'big-endian',
      replaced(
        'x/byteorder',
        [...'big'].map((c) => c.charCodeAt(0)),
      ),
      /x\/byteorder: the file was written on a big-endian machine/,
    ],
  ])('%s: unsupported', async (_, entries, message) => {
    expect(await refusalOf(zip(entries), {}, 'unsupported')).toMatch(message);
  });

  test('without a byte order are of before 2.1, and little-endian', async () => {
    expect(await refusalOf(zip(without('x/byteorder')))).toBe(accepted);
  });

  test('with a flipped bit pass unless checksums are verified', async () => {
    const bytes = zip(files);
    bytes[Buffer.from(bytes).indexOf(Buffer.from(sixFloats)) + 5] ^= 0x40;
    expect(await refusalOf(bytes)).toBe(accepted);
    expect(await refusalOf(bytes, { verifyChecksums: true })).toMatch(
      /x\/data\/0: the bytes do not fit their checksum/,
    );
  });
});

describe('legacy files', () => {
  const root = dict(['w', tensor()]);
  const keys = (...names: string[]) => list(...names.map(text));
  test.each<[string, Uint8Array<ArrayBuffer>, RegExp]>([
    [
      'another magic number',
      legacyFile(root, undefined, 4, { magic: int(1) }),
      /x\.pth: not the magic number of torch\.save/,
    ],
    [
      'another version',
      legacyFile(root, undefined, 4, { version: int(1002) }),
      /another version of the format; got 1002, expected 1001/,
    ],
    [
      'a call for a version',
      legacyFile(root, undefined, 4, { version: call('collections OrderedDict') }),
      /version \(byte 17\): the checkpoint needs collections OrderedDict/,
    ],
    [
      'no byte order',
      legacyFile(root, undefined, 4, { machine: dict() }),
      /the description of the machine lacks its byte order/,
    ],
    [
      'no machine',
      legacyFile(root, undefined, 4, { machine: none }),
      /the description of the machine lacks its byte order/,
    ],
    ['keys that are no list', legacyFile(root, undefined, 4, { keys: dict() }), /the storage keys are no list/],
    [
      'a storage among the keys',
      legacyFile(root, undefined, 4, { keys: list([...tuple(), ...op('Q')]) }),
      /storage keys \(byte \d+\): a storage where plain data belongs/,
    ],
    [
      'a key that is no string',
      legacyFile(root, undefined, 4, { keys: list(int(0)) }),
      /lists a storage that nothing refers to; got "0"/,
    ],
    [
      'a key too many',
      legacyFile(root, undefined, 4, { keys: keys('0', '1') }),
      /lists a storage that nothing refers to; got "1"/,
    ],
    ['a key twice', legacyFile(root, undefined, 4, { keys: keys('0', '0') }), /lists a storage twice; got "0"/],
    ['a key too few', legacyFile(root, undefined, 4, { keys: keys() }), /a storage is missing; expected "0"/],
    [
      'another number of elements',
      legacyFile(root, undefined, 4, { counts: { 0: 5 } }),
      /"storage 0": the storage has another size than the pickle says; got 5 elements, expected 6/,
    ],
    [
      'a negative number of elements',
      legacyFile(root, undefined, 4, { counts: { 0: -1 } }),
      /got -1 elements, expected 6/,
    ],
    ['bytes after the storages', legacyFile(root, undefined, 4, { after: [0] }), /bytes follow the last storage/],
    [
      'a storage beyond the file',
      legacyFile(dict(['w', tensor({ elements: 7 })])),
      /the file is truncated; got \d+ bytes, expected \d+/,
    ],
  ])('%s', async (_, bytes, message) => {
    expect(await refusalOf(bytes)).toMatch(message);
  });

  test('big-endian: unsupported', async () => {
    const bytes = legacyFile(root, undefined, 4, { machine: machine(no) });
    expect(await refusalOf(bytes, {}, 'unsupported')).toMatch(
      /written on a big-endian machine; got little_endian: False/,
    );
  });

  test('cut off anywhere', async () => {
    const whole = legacyFile(root);
    for (let length = 2; length < whole.length; length++) {
      const message = await refusalOf(whole.slice(0, length));
      expect(message, `${length} bytes`).toMatch(/the file ends within the|the file is truncated/);
    }
  });
});

describe('limits', () => {
  test('on the length of the pickle', async () => {
    const size = files[0].data.length;
    expect(await refusalOf(zip(files), { maxPickleBytes: size })).toBe(accepted);
    expect(await refusalOf(zip(files), { maxPickleBytes: size - 1 })).toMatch(
      /x\/data\.pkl: the pickle is too long; got \d+ bytes, expected at most \d+; raise maxPickleBytes/,
    );
    expect(await refusalOf(legacyFile(dict(['w', tensor()])), { maxPickleBytes: 100 })).toMatch(
      /the pickles are too long; expected at most 100 bytes; raise maxPickleBytes/,
    );
  });

  test.each([0, -1, 1.5, Number.NaN, 2 ** 31])('%s is no limit', async (maxPickleBytes) => {
    await expect(openPth(bufferSource(zip(files)), { maxPickleBytes })).rejects.toMatchObject({ code: 'bad-input' });
  });

  test('a legacy pickle that claims 4 GiB costs no more than the limit', async () => {
    const start = legacyFile([0x58, 255, 255, 255, 255]);
    let largest = 0;
    const source = rangedSource({
      name: 'x.pth',
      size: 2 ** 40,
      async readRange(begin, end) {
        largest = Math.max(largest, end - begin);
        const bytes = new Uint8Array(end - begin);
        bytes.set(start.slice(begin, end));
        return bytes;
      },
    });
    await expect(openPth(source)).rejects.toThrow('the pickles are too long; expected at most 16777216 bytes');
    expect(largest).toBeLessThanOrEqual(16 * 2 ** 20);
  });

  test('a refused source is closed', async () => {
    const source = bufferSource(zip(without('x/data/0')));
    await expect(openPth(source)).rejects.toMatchObject({ code: 'bad-checkpoint' });
    await expect(source.read(0, 1)).rejects.toMatchObject({ code: 'disposed' });
  });
});
