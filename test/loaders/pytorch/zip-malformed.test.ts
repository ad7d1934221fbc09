// Hostile and broken zip archives, one test per rule. Each expectation names the rule's own message, so that no archive is
// refused for another reason than the one it was made for.
import { describe, expect, test } from 'vitest';
import { StamError } from '../../../engine/errors.ts';
import { openZip } from '../../../loaders/pytorch/zip.ts';
import { bufferSource } from '../../../loaders/source.ts';
import { type ZipFile, type ZipOptions, zip } from './torch-files.ts';

const a: ZipFile = { name: 'x/a', data: [1, 2, 3] };
const b: ZipFile = { name: 'x/b', data: [4, 5] };

async function refusalOfBytes(bytes: Uint8Array<ArrayBuffer>, verifyChecksums = false): Promise<string> {
  const readAll = async () => {
    const archive = await openZip(bufferSource(bytes, 'x.pth'), { verifyChecksums });
    for (const { name, size } of archive.entries.values()) await archive.read(name, 0, size);
    return 'the archive was accepted';
  };
  const error = await readAll().catch((reason: unknown) => reason);
  if (!(error instanceof StamError)) return String(error);
  expect(error.code).toBe('bad-checkpoint');
  expect(error.message).toMatch(/^x\.pth: /);
  return error.message;
}

const refusal = (files: readonly ZipFile[], options?: ZipOptions) => refusalOfBytes(zip(files, options));
const accepted = 'the archive was accepted';

describe('accepted', () => {
  test.each<[string, ZipOptions]>([
    ['with zip64 records, as torch.save writes them', {}],
    ['without zip64 records', { zip64: false }],
    [
      'with all ones in the classic record',
      { end: { count: 0xffff, countHere: 0xffff, bytes: 2 ** 32 - 1, offset: 2 ** 32 - 1 } },
    ],
  ])('%s', async (_, options) => {
    const archive = await openZip(bufferSource(zip([a, b], options)), { verifyChecksums: true });
    expect([...archive.entries.values()]).toMatchObject([
      { name: 'x/a', size: 3 },
      { name: 'x/b', size: 2 },
    ]);
    expect([...(await archive.read('x/a', 0, 3))]).toEqual([1, 2, 3]);
    expect([...(await archive.read('x/b', 1, 2))]).toEqual([5]);
  });

  test('an extra field of another length in the local header', async () => {
    const padded = { ...a, local: { extra: [0x46, 0x42, 3, 0, 0x5a, 0x5a, 0x5a] } };
    const archive = await openZip(bufferSource(zip([padded, b])));
    expect([...(await archive.read('x/a', 0, 3))]).toEqual([1, 2, 3]);
  });

  test('local headers that repeat the directory', async () => {
    const repeating = { ...a, local: { flags: 0, crc: 0x55bc801d, compressed: 3, size: 3 }, central: { flags: 0 } };
    expect(await refusal([repeating])).toBe(accepted);
  });

  test('sizes and an offset in a zip64 field', async () => {
    const field = (...values: number[]) => [
      1,
      0,
      8 * values.length,
      0,
      ...values.flatMap((v) => [v, 0, 0, 0, 0, 0, 0, 0]),
    ];
    const all = {
      ...a,
      central: { size: 2 ** 32 - 1, compressed: 2 ** 32 - 1, offset: 2 ** 32 - 1, extra: field(3, 3, 0) },
    };
    expect(await refusal([all, b])).toBe(accepted);
    const offsetOnly = { ...b, central: { offset: 2 ** 32 - 1, extra: [9, 9, 1, 0, 7, ...field(36)] } };
    expect(await refusal([a, offsetOnly])).toBe(accepted);
  });
});

describe('the end of the file', () => {
  test('nothing at all, and less than an end record', async () => {
    expect(await refusalOfBytes(new Uint8Array(0))).toMatch(/end of the archive: there is no end record/);
    expect(await refusalOfBytes(new Uint8Array(21))).toMatch(/end of the archive: there is no end record/);
  });

  test('cut off anywhere', async () => {
    const whole = zip([a, b]);
    for (let length = 0; length < whole.length; length++) {
      expect(await refusalOfBytes(whole.slice(0, length)), `${length} bytes`).toMatch(/there is no end record/);
    }
  });

  test.each<[string, ZipOptions, RegExp]>([
    ['bytes after the archive', { after: [1, 2] }, /bytes follow the archive; got 2 bytes, expected none/],
    ['a comment', { end: { commentBytes: 2 }, after: [1, 2] }, /bytes follow the archive; got 2 bytes/],
    ['a comment that is not there', { end: { commentBytes: 2 } }, /promises a comment/],
    [
      'bytes before the archive',
      { before: [1, 2] },
      /x\/a: bytes that belong to no entry stand before it; got a begin at 2, expected at most 0/,
    ],
    [
      'a shifted archive',
      { before: [1, 2], zip64: false, end: { offset: 0 } },
      /does not end where the end records begin/,
    ],
    ['another disk', { end: { disk: 1 } }, /split over disks/],
    ['fewer entries on this disk', { end: { countHere: 1 } }, /the numbers of entries disagree/],
    ['another zip64 disk', { end64: { disk: 1 } }, /split over disks/],
    ['more zip64 disks', { locator: { disks: 2 } }, /split over disks/],
    ['a zip64 record on another disk', { locator: { disk: 1 } }, /split over disks/],
    ['fewer zip64 entries on this disk', { end64: { countHere: 1 } }, /the numbers of entries disagree/],
    ['a locator that points elsewhere', { locator: { offset: 0 } }, /zip64 end record is not where it must be; got 0/],
    ['no zip64 record there', { end64: { signature: 0 } }, /there is no zip64 end record/],
    ['a zip64 record of another length', { end64: { recordBytes: 45 } }, /there is no zip64 end record/],
    ['two counts', { end64: { count: 3, countHere: 3 } }, /the two end records disagree/],
    ['two lengths', { end64: { bytes: 9 } }, /the two end records disagree/],
    ['two offsets', { end64: { offset: 9 } }, /the two end records disagree/],
    [
      'too many entries',
      { end: { count: 0xffff, countHere: 0xffff }, end64: { count: 100_001, countHere: 100_001 } },
      /too many entries; got 100001, expected at most 100000/,
    ],
    [
      'a directory too long',
      { end: { bytes: 2 ** 32 - 1 }, end64: { bytes: 2 ** 25 + 1 } },
      /the directory is too long; got 33554433/,
    ],
    [
      'a count beyond all numbers',
      { end: { count: 0xffff, countHere: 0xffff }, end64: { count: -1, countHere: -1 } },
      /too many entries/,
    ],
    ['a directory too short', { zip64: false, end: { bytes: 97 } }, /does not end where the end records begin/],
    [
      'bytes between the entries and the directory',
      { gap: new Array<number>(0x10018).fill(0) },
      /directory: bytes that belong to no entry/,
    ],
  ])('%s', async (_, options, message) => {
    expect(await refusal([a, b], options)).toMatch(message);
  });
});

describe('the directory', () => {
  test.each<[string, ZipOptions, RegExp]>([
    [
      'an entry less than counted',
      { zip64: false, end: { count: 3, countHere: 3 } },
      /directory: the directory is cut off within a record/,
    ],
    [
      'an entry more than counted',
      { zip64: false, end: { count: 1, countHere: 1 } },
      /directory: bytes follow the last record; got 49 bytes/,
    ],
    ['bytes after it', { directoryTail: [0] }, /directory: bytes follow the last record; got 1 bytes/],
  ])('%s', async (_, options, message) => {
    expect(await refusal([a, b], options)).toMatch(message);
  });

  test.each<[string, ZipFile['central'], RegExp]>([
    ['a record without signature', { signature: 0 }, /directory: a record does not begin with its signature/],
    ['an extra field that reaches beyond the others', { extra: [1, 0, 9, 0] }, /x\/a: the extra fields are damaged/],
    ['an extra field cut off', { extra: [1, 0, 0] }, /x\/a: the extra fields are damaged/],
    ['two zip64 fields', { extra: [1, 0, 0, 0, 1, 0, 0, 0] }, /x\/a: the extra fields are damaged/],
    ['no zip64 field where one is needed', { size: 2 ** 32 - 1 }, /x\/a: the extra fields are damaged/],
    [
      'a zip64 field too short',
      { size: 2 ** 32 - 1, extra: [1, 0, 4, 0, 3, 0, 0, 0] },
      /x\/a: the extra fields are damaged/,
    ],
    [
      'a size beyond all files',
      { size: 2 ** 32 - 1, compressed: 2 ** 32 - 1, extra: [1, 0, 16, 0, ...new Array<number>(16).fill(255)] },
      /x\/a: the entry is too large/,
    ],
    ['deflate', { method: 8 }, /x\/a: the entry is compressed; got deflate, expected stored bytes/],
    ['another method', { method: 93 }, /x\/a: the entry is compressed; got method 93/],
    ['encryption', { flags: 0x0809 }, /x\/a: the entry is encrypted or patched; got flags 0x809/],
    ['patched data', { flags: 0x0820 }, /encrypted or patched/],
    ['strong encryption', { flags: 0x0840 }, /encrypted or patched/],
    ['masked headers', { flags: 0x2808 }, /encrypted or patched/],
    ['two sizes', { size: 4 }, /x\/a: the sizes of a stored entry differ; got 3 and 4 bytes/],
    ['another disk', { disk: 1 }, /x\/a: the entry lies on another disk/],
    ['a name that is no UTF-8', { name: [0x78, 0x2f, 0xff] }, /directory: a name is not valid UTF-8/],
  ])('%s', async (_, central, message) => {
    expect(await refusal([{ ...a, central }, b])).toMatch(message);
  });

  test.each(['', '/x/a', 'x//a', '../a', 'x/../a', 'x/./a', 'x/', 'x\\a', 'C:/a', 'x/a\0', 'x/a\n'])(
    'the name %j',
    async (name) => {
      expect(await refusal([{ ...a, name }, b])).toMatch(/: bad name of an entry; expected names of files below/);
    },
  );

  test('a name twice', async () => {
    expect(await refusal([a, { ...b, name: 'x/a' }])).toMatch(/x\/a: two entries have this name/);
  });
});

describe('where entries lie', () => {
  test.each<[string, ZipFile[], RegExp]>([
    ['two in one place', [a, { ...b, central: { offset: 0 } }], /x\/b: the entry overlaps another one/],
    ['one within another', [a, { ...b, central: { offset: 35 } }], /x\/b: the entry overlaps another one/],
    [
      'one reaching over the next',
      [{ ...a, central: { size: 40, compressed: 40 } }, b],
      /x\/b: the entry overlaps another one/,
    ],
    [
      'one reaching over the directory',
      [{ ...a, central: { size: 40, compressed: 40 } }],
      /x\/a: the entry overlaps the directory/,
    ],
    [
      'one beyond the file',
      [{ ...a, central: { offset: 0x7fffffff } }],
      /x\/a: bytes that belong to no entry stand before it/,
    ],
    [
      'bytes between entries',
      [{ name: 'x/a', data: new Uint8Array(0x10000 + 30), central: { size: 1, compressed: 1 } }, b],
      /x\/b: bytes that belong to no entry stand before it/,
    ],
  ])('%s', async (_, files, message) => {
    expect(await refusal(files)).toMatch(message);
  });

  test('the data reaches into the next entry behind a long extra field of the local header', async () => {
    const local = { extra: [0x46, 0x42, 0, 0] };
    const files = [{ ...a, local }, b];
    const bytes = zip(files);
    bytes[28] = 9; // the local header's own length of its extra fields
    expect(await refusalOfBytes(bytes)).toMatch(
      /x\/a: the data reaches into what follows it; got an end at 45, expected at most 40/,
    );
  });
});

describe('local headers', () => {
  test.each<[string, ZipFile['local'], RegExp]>([
    ['none', { signature: 0x02014b50 }, /x\/a: there is no local header/],
    ['another name', { name: 'x/c' }, /x\/a: the local header and the directory disagree on the name/],
    ['a longer name', { name: 'x/ab' }, /disagree on the name/],
    ['other flags', { flags: 0x0800 }, /disagree on the flags/],
    ['another method', { method: 8 }, /disagree on the method/],
    ['another checksum', { crc: 1 }, /disagree on the checksum/],
    ['another size', { size: 4 }, /disagree on the size/],
    ['another compressed size', { compressed: 2 }, /disagree on the size/],
    ['a zip64 size that is not needed', { size: 2 ** 32 - 1 }, /disagree on the size/],
  ])('%s', async (_, local, message) => {
    expect(await refusal([{ ...a, local }, b])).toMatch(message);
  });

  test('an empty size where no descriptor follows', async () => {
    const plain = { ...a, local: { flags: 0x0800, crc: 0x55bc801d }, central: { flags: 0x0800 } };
    expect(await refusal([plain, b])).toMatch(/disagree on the size/);
  });
});

describe('checksums', () => {
  test('are compared when asked for, whatever part is read', async () => {
    const bytes = zip([a, b]);
    bytes[34] ^= 1;
    expect(await refusalOfBytes(bytes)).toBe(accepted);
    expect(await refusalOfBytes(bytes, true)).toBe(
      'x.pth: x/a: the bytes do not fit their checksum; got 0x4ca7b15c, expected 0x55bc801d; the file is damaged: get it again',
    );
    const archive = await openZip(bufferSource(bytes), { verifyChecksums: true });
    await expect(archive.read('x/a', 0, 1)).rejects.toThrow(/checksum/);
    expect([...(await archive.read('x/b', 0, 2))]).toEqual([4, 5]);
  });

  test('an entry that is not there', async () => {
    const archive = await openZip(bufferSource(zip([a]), 'x.pth'));
    await expect(archive.read('x/c', 0, 0)).rejects.toThrow('x.pth: x/c: there is no such entry');
  });
});
