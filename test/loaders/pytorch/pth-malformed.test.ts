// Checkpoints whose containers or limits are not as they must be, one test per rule.
import { describe, expect, test } from 'vitest';
import { openPth } from '../../../loaders/pytorch/pth.ts';
import { bufferSource, rangedSource } from '../../../loaders/source.ts';
import { accepted, files, refusalOf, replaced, without } from './pth-refusal.ts';
import {
  call,
  dict,
  int,
  legacyFile,
  list,
  machine,
  no,
  none,
  op,
  pickle,
  sixFloats,
  tensor,
  text,
  tuple,
  type ZipFile,
  zip,
} from './torch-files.ts';

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
      'TorchScript as torch.jit.save writes it, with its code compressed, before other entries',
      [
        files[0],
        { name: 'x/code/__torch__.py', data: [75, 4, 0], local: { method: 8 }, central: { method: 8, size: 300 } },
        ...files.slice(1),
        { name: 'x/constants.pkl', data: pickle(none) },
      ],
      /^x\.pth: a TorchScript archive: .*; in PyTorch: torch\.save\(torch\.jit\.load\(file\)\.state_dict\(\), other\)$/,
    ],
    [
      'a pickle of protocol 4',
      replaced('x/data.pkl', [0x80, 4, ...pickle(dict()).slice(2)]),
      /x\/data\.pkl \(byte 0\): .*; got a pickle of protocol 4, expected protocol 2, .*; save it again in PyTorch/,
    ],
    [
      'a pickle of protocol 1',
      replaced(
        'x/data.pkl',
        pickle(dict(['w', tensor()]))
          .slice(2)
          .toSpliced(1, 0, 0x71, 0),
      ),
      /got a pickle of protocol 0 or 1, expected protocol 2, .*; save it again in PyTorch/,
    ],
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

  test('without checksums, as torch.save can be told to write them, are not called damaged', async () => {
    const unchecked = files.map((file) => ({ ...file, central: { crc: 0 } }));
    expect(await refusalOf(zip(unchecked))).toBe(accepted);
    expect(await refusalOf(zip(unchecked), { verifyChecksums: true }, 'unsupported')).toMatch(
      /^x\.pth: the file was saved without checksums, .*; open it without the option `verifyChecksums`/,
    );
    // one that is there makes zeros elsewhere wrong
    const mixed = zip([...unchecked.slice(1), files[0]]);
    expect(await refusalOf(mixed, { verifyChecksums: true })).toMatch(
      /the bytes do not fit their checksum; got .* 0x0{8};/,
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
      /x\.pth: a pickle that torch\.save did not write; .*; if you trust it, save it again in Python/,
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
