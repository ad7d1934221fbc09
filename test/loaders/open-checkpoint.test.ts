// Which format a file is taken for, and what is said of files that are none.
import { describe, expect, test } from 'vitest';
import { StamError } from '../../engine/errors.ts';
import { httpSource } from '../../loaders/http-source.ts';
import { openCheckpoint } from '../../loaders/open-checkpoint.ts';
import { openPth } from '../../loaders/pytorch/pth.ts';
import { type ByteSource, bufferSource } from '../../loaders/source.ts';
import { serveFile } from './http-server.ts';
import { dict, legacyFile, tensor, zip, zipFiles } from './pytorch/torch-files.ts';

const ascii = (text: string) => [...text].map((character) => character.charCodeAt(0));
const source = (bytes: readonly number[]) => bufferSource(Uint8Array.from(bytes), 'x');

const header = '{"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}';
const safetensors = [header.length, 0, 0, 0, 0, 0, 0, 0, ...ascii(header), 1, 2];
const root = dict(['w', tensor()]);

describe('opened by their first bytes', () => {
  test.each<[string, readonly number[], string]>([
    ['safetensors', safetensors, 'U8'],
    ['the zip form of torch.save', [...zip(zipFiles(root))], 'F32'],
    ['the legacy form of torch.save', [...legacyFile(root)], 'F32'],
  ])('%s', async (_, bytes, dtype) => {
    const checkpoint = await openCheckpoint(source(bytes));
    expect(checkpoint.tensors.get('w')?.dtype).toBe(dtype);
  });

  test.each([
    // each begins like an ONNX file, a gzip file, or a zip
    ['a header of 8 + 0x12 * 65536 bytes', [8, 0, 0x12, 0, 0, 0, 0, 0], /the header does not fit into the file/],
    ['text', ascii('hello world, this is text'), /the header is too long/],
    ['text in lines', ascii('copyright\nnobody\nat all\n'), /the header is too long/],
  ])('%s is taken for safetensors', async (_, bytes, message) => {
    await expect(openCheckpoint(source(bytes))).rejects.toThrow(message);
  });
});

/** Two tensors, of 4 bytes and of as many as fill the file, behind a header that is padded to so many bytes. */
function padded(headerBytes: number): Uint8Array<ArrayBuffer> {
  const infos = {
    first: { dtype: 'U8', shape: [4], data_offsets: [0, 4] },
    second: { dtype: 'U8', shape: [996], data_offsets: [4, 1000] },
  };
  const text = JSON.stringify(infos).padEnd(headerBytes);
  const data = Uint8Array.from({ length: 1000 }, (_, i) => i * 7);
  return Uint8Array.from([headerBytes & 255, headerBytes >> 8, 0, 0, 0, 0, 0, 0, ...ascii(text), ...data]);
}

// shorter than what the format is told by, just as long, and longer
describe.each([200, 504, 505, 3000])('a header of %i bytes', (headerBytes) => {
  const file = padded(headerBytes);
  const first = file.slice(8 + headerBytes, 12 + headerBytes);
  const second = file.slice(12 + headerBytes);

  test('a file that is read front to back is one request', async () => {
    const server = await serveFile(file);
    const checkpoint = await openCheckpoint(await httpSource(server.url));
    expect(await checkpoint.readBytes('first')).toEqual(first);
    expect(await checkpoint.readBytes('second')).toEqual(second);
    expect(server.ranges).toEqual(['bytes=0-']);
    await checkpoint.close();
    await server.close();
  });

  test('no byte is read twice, and what is read may be changed', async () => {
    const bytes = bufferSource(file);
    const read: number[] = [];
    const counting: ByteSource = {
      ...bytes,
      read(start, end, ...rest) {
        for (let at = start; at < end; at++) read.push(at);
        return bytes.read(start, end, ...rest);
      },
    };
    const checkpoint = await openCheckpoint(counting);
    (await checkpoint.readBytes('first')).fill(0);
    await checkpoint.readBytes('second');
    expect(read).toEqual([...file.keys()]);
    expect(await checkpoint.readBytes('first')).toEqual(first);
  });
});

test.each([128, 384, 640, 896, 640 + 2 ** 16])(
  'a header of %i bytes, whose length begins like a pickle',
  async (length) => {
    const entry = { dtype: 'F32', shape: [1], data_offsets: [0, 4] };
    const header = ascii(JSON.stringify({ one: entry }).padEnd(length));
    const whole = new Uint8Array(8 + length + 4);
    new DataView(whole.buffer).setBigUint64(0, BigInt(length), true);
    whole.set(header, 8);
    const checkpoint = await openCheckpoint(bufferSource(whole));
    expect([...(await checkpoint.readBytes('one'))]).toEqual([0, 0, 0, 0]);
    await checkpoint.close();
    const cut = openCheckpoint(bufferSource(whole.slice(0, -1)));
    await expect(cut).rejects.toThrow(expect.objectContaining({ message: expect.not.stringContaining('pickle') }));
  },
);

describe('known to be something else', () => {
  const magic = [0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, ...ascii('.')];
  const tar = new Array<number>(512).fill(0);
  tar.splice(257, 5, ...ascii('ustar'));
  test.each<[string, readonly number[], RegExp, string?]>([
    ['nothing', [], /got an empty file/],
    ['HTML', ascii('\n <!DOCTYPE html><html>'), /got an HTML page, expected .*; a download has brought an error page/],
    ['XML', ascii('<?xml version="1.0"?><Error>'), /got an HTML page/],
    [
      'a git-lfs pointer',
      ascii('version https://git-lfs.github.com/spec/v1\noid'),
      /got a pointer of git-lfs, .*; run `git lfs pull`/,
    ],
    ['gzip', [0x1f, 0x8b, 8, 0], /got a gzip file, .*; unpack it first/],
    ['xz', [0xfd, ...ascii('7zXZ'), 0], /got an xz file/],
    ['zstd', [0x28, 0xb5, 0x2f, 0xfd], /got a zstd file/],
    ['tar', tar, /got a tar archive, .*before PyTorch 0\.1\.12/, 'unsupported'],
    ['HDF5', [0x89, ...ascii('HDF\r\n\u001a\n')], /got an HDF5 file/],
    ['GGUF', ascii('GGUF\u0003'), /got a GGUF file/],
    ['NumPy', [0x93, ...ascii('NUMPY\u0001')], /got a NumPy array/],
    ['an empty zip', [0x50, 0x4b, 5, 6, ...new Array<number>(18).fill(0)], /got an empty zip archive/],
    ...[0, 1, 3, 4, 5].map((protocol): [string, readonly number[], RegExp] => [
      `a pickle that says protocol ${protocol}`,
      [0x80, protocol, 0x95],
      new RegExp(`got a pickle of protocol ${protocol}, which torch\\.save did not write, .*; if you trust it`),
    ]),
    ['a dict of protocol 0', ascii('(dp0\nVa\n'), /got a pickle of protocol 0 or 1, which torch\.save did not write/],
    ['a list of protocol 1', [...ascii(']q'), 0, 0x4b, 1], /got a pickle of protocol 0 or 1, which/],
    ['a class of protocol 0', ascii('ccollections\nOrderedDict\np0\n'), /got a pickle of protocol 0 or 1, which/],
    ...[
      ['protocol 0 or 1', ascii('L119547037146038801333356L\n.I1001\n.')],
      ['protocol 3', [0x80, 3, ...magic]],
      ['protocol 4', [0x80, 4, 0x95, 13, 0, 0, 0, 0, 0, 0, 0, ...magic]],
    ].map(([protocol, bytes]): [string, readonly number[], RegExp, string] => [
      `torch.save with pickle_protocol: ${protocol}`,
      bytes as readonly number[],
      new RegExp(
        `got a pickle of ${protocol}, expected protocol 2, .*; save it again in PyTorch, without pickle_protocol`,
      ),
      'unsupported',
    ]),
    ['ONNX', [8, 7, 0x12, 7, ...ascii('pytorch')], /got an ONNX model/],
    ['a short ONNX', [8, 7, 0x3a], /got an ONNX model/],
  ])('%s', async (_, bytes, message, code = 'bad-checkpoint') => {
    for (const open of [openCheckpoint, openPth]) {
      const opened = source(bytes);
      const error = await open(opened).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(StamError);
      expect(error).toMatchObject({ code });
      expect(String(error)).toMatch(message);
      expect(String(error)).toMatch(/StamError: x: not a checkpoint that can be read; got/);
      await expect(opened.read(0, 0)).rejects.toMatchObject({ code: 'disposed' });
    }
  });

  test('safetensors, where torch.save was expected', async () => {
    await expect(openPth(source(safetensors))).rejects.toThrow('x: the file does not begin as torch.save begins one');
  });
});

test('a signal that was aborted closes the source', async () => {
  const opened = source(safetensors);
  await expect(openCheckpoint(opened, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
  await expect(opened.read(0, 1)).rejects.toMatchObject({ code: 'disposed' });
});

describe('the option `key`', () => {
  const names = { 'net.w': [0, 1], 'net.b': [1, 3], w: [3, 4], 'network.w': [4, 5] };
  const infos = Object.entries(names).map(([name, [from, to]]) => [
    name,
    { dtype: 'U8', shape: [to - from], data_offsets: [from, to] },
  ]);
  const json = ascii(JSON.stringify({ ...Object.fromEntries(infos), __metadata__: { heads: '4' } }));
  const bytes = [json.length & 255, json.length >> 8, 0, 0, 0, 0, 0, 0, ...json, 10, 11, 12, 13, 14];

  test('gives the tensors of a safetensors file that begin so, by what follows', async () => {
    const checkpoint = await openCheckpoint(source(bytes), { key: 'net' });
    expect([...checkpoint.tensors.values()]).toMatchObject([
      { name: 'w', shape: [1] },
      { name: 'b', shape: [2] },
    ]);
    expect(checkpoint.order()).toEqual(['w', 'b']);
    expect([...(await checkpoint.readBytes('w')), ...(await checkpoint.readBytes('b'))]).toEqual([10, 11, 12]);
    expect(checkpoint.leftOut).toEqual(['w', 'network.w']);
    expect(checkpoint.metadata.get('heads')).toBe('4');
  });

  test('is refused where no name begins so, and closes the source', async () => {
    const opened = source(bytes);
    const opening = openCheckpoint(opened, { key: 'ne' });
    await expect(opening).rejects.toMatchObject({ code: 'bad-input' });
    await expect(opening).rejects.toThrow(
      'x: no tensors lie under the key; got ne, expected the beginning of names such as net.w',
    );
    await expect(opened.read(0, 1)).rejects.toMatchObject({ code: 'disposed' });
  });
});

test('options reach the format', async () => {
  const limits = { maxHeaderBytes: 4, maxPickleBytes: 4 };
  await expect(openCheckpoint(source(safetensors), limits)).rejects.toThrow('the header is too long');
  await expect(openCheckpoint(source([...zip(zipFiles(root))]), limits)).rejects.toThrow('the pickle is too long');
  await expect(openCheckpoint(source([...legacyFile(root)]), limits)).rejects.toThrow('the pickles are too long');
});
