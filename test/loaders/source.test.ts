// Bytes by range, from memory, blobs and files; and files that appear whole or not at all.
import { mkdir, mkdtemp, open, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createFileSink, fileSource } from '../../loaders/node-source.ts';
import { type ByteSource, blobSource, bufferSource, rangedSource } from '../../loaders/source.ts';

const bytes = Uint8Array.from({ length: 300 }, (_, i) => (i * 7) & 255);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stam-source-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function writtenFile(name: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

const kinds: [string, () => Promise<ByteSource>][] = [
  ['an ArrayBuffer', async () => bufferSource(bytes.buffer, 'some bytes')],
  ['a view with an offset', async () => bufferSource(new Uint8Array([9, 9, 9, ...bytes, 9]).subarray(3, 303))],
  ['a Blob', async () => blobSource(new Blob([bytes]))],
  ['a file', async () => fileSource(await writtenFile('bytes.bin'))],
];

describe.each(kinds)('%s', (_, open) => {
  test('gives any range', async () => {
    const source = await open();
    expect(source.size).toBe(300);
    for (const [start, end] of [
      [0, 300],
      [0, 1],
      [17, 133],
      [299, 300],
      [5, 5],
      [300, 300],
    ] as const) {
      expect(await source.read(start, end)).toEqual(bytes.slice(start, end));
    }
    await source.close();
  });

  test('hands out memory of its own', async () => {
    const source = await open();
    (await source.read(0, 300)).fill(0);
    expect(await source.read(0, 300)).toEqual(bytes);
    await source.close();
  });

  test('refuses ranges that are none', async () => {
    const source = await open();
    for (const [start, end] of [
      [-1, 4],
      [4, 3],
      [0, 301],
      [0.5, 2],
      [0, Number.NaN],
    ] as const) {
      await expect(source.read(start, end)).rejects.toMatchObject({ name: 'StamError', code: 'bad-input' });
    }
    await source.close();
  });

  test('refuses to read once closed, and closes twice', async () => {
    const source = await open();
    await source.close();
    await source.close();
    await expect(source.read(0, 1)).rejects.toMatchObject({ name: 'StamError', code: 'disposed' });
  });

  test('rejects with the reason of an aborted signal', async () => {
    const source = await open();
    await expect(source.read(0, 1, AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' });
    const controller = new AbortController();
    const reading = source.read(0, 300, controller.signal);
    controller.abort();
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
    await source.close();
  });
});

describe('names', () => {
  test('come from the file or the caller', async () => {
    expect(blobSource(new File([bytes], 'weights.safetensors')).name).toBe('weights.safetensors');
    expect(blobSource(new Blob([bytes])).name).toBe('blob');
    expect(blobSource(new Blob([bytes]), 'given').name).toBe('given');
    expect(bufferSource(bytes).name).toBe('buffer');
    const path = await writtenFile('named.bin');
    const source = await fileSource(path);
    expect(source.name).toBe(path);
    await source.close();
  });
});

describe('a source that becomes shorter', () => {
  test('file: bad-checkpoint with both sizes', async () => {
    const path = await writtenFile('shrinking.bin');
    const source = await fileSource(path);
    await truncate(path, 100);
    const reading = source.read(50, 300);
    await expect(reading).rejects.toMatchObject({ name: 'StamError', code: 'bad-checkpoint' });
    await expect(reading).rejects.toThrow(/shrinking\.bin: .*got 50 bytes at offset 50, expected 250/);
    await source.close();
  });

  test('buffer that was transferred away: bad-checkpoint', async () => {
    const buffer = bytes.slice().buffer;
    const source = bufferSource(buffer, 'moved');
    structuredClone(buffer, { transfer: [buffer] });
    await expect(source.read(0, 10)).rejects.toMatchObject({ code: 'bad-checkpoint' });
  });

  test('blob that can no longer be read: bad-checkpoint with the cause', async () => {
    const blob = new Blob([bytes]);
    const cause = new DOMException('gone', 'NotReadableError');
    blob.slice = () => Object.assign(new Blob(), { arrayBuffer: () => Promise.reject(cause) });
    await expect(blobSource(blob).read(0, 10)).rejects.toMatchObject({ code: 'bad-checkpoint', cause });
  });

  test('any reader: too many bytes are as wrong as too few', async () => {
    const source = rangedSource({ name: 'generous', size: 4, readRange: async () => new Uint8Array(4) });
    await expect(source.read(0, 3)).rejects.toMatchObject({ code: 'bad-checkpoint' });
  });
});

describe('what is no file', () => {
  test.each([
    ['missing', 'no such file', /missing: the file cannot be opened: no such file or directory/],
    ['a directory', '.', /got a directory, expected a regular file/],
  ])('%s: bad-input with the path', async (_, name, message) => {
    const path = name === '.' ? folder : join(folder, 'missing');
    await expect(fileSource(path)).rejects.toMatchObject({ name: 'StamError', code: 'bad-input' });
    await expect(fileSource(path)).rejects.toThrow(message);
    await expect(fileSource(path)).rejects.toThrow(path);
  });
});

describe('a file sink', () => {
  const left = async () => (await readdir(folder)).filter((name) => name.includes('.partial'));

  test('shows nothing before it is finished, then everything', async () => {
    const path = await writtenFile('replaced.bin');
    const sink = await createFileSink(path);
    await sink.write(new Uint8Array([1, 2]));
    await sink.write(new Uint8Array([0, 3, 4, 0]).subarray(1, 3));
    expect(await readFile(path)).toHaveLength(300);
    expect(await left()).toHaveLength(1);
    await sink.finish();
    expect([...(await readFile(path))]).toEqual([1, 2, 3, 4]);
    expect(await left()).toEqual([]);
    await expect(sink.write(new Uint8Array(1))).rejects.toMatchObject({ code: 'disposed' });
    await sink.abort();
    expect(await readFile(path)).toHaveLength(4);
  });

  test('makes few writes of many small ones, in their order, from memory that is used again', async () => {
    const path = join(folder, 'gathered.bin');
    const sink = await createFileSink(path);
    const handle = await open(path, 'w');
    const write = vi.spyOn(Object.getPrototypeOf(handle) as typeof handle, 'write');
    await handle.close();
    const memory = new Uint8Array(100);
    for (let i = 0; i < 5000; i++) await sink.write(memory.fill(i));
    await sink.write(new Uint8Array(300_000).fill(7));
    await sink.write(memory.fill(8));
    await sink.finish();
    expect(write.mock.calls.length).toBeLessThan(6);
    write.mockRestore();
    const wanted = Buffer.concat([
      ...Array.from({ length: 5000 }, (_, i) => Buffer.alloc(100, i & 255)),
      Buffer.alloc(300_000, 7),
      Buffer.alloc(100, 8),
    ]);
    expect(Buffer.compare(await readFile(path), wanted)).toBe(0);
  });

  test('leaves nothing behind when aborted, not even twice', async () => {
    const path = join(folder, 'aborted.bin');
    const sink = await createFileSink(path);
    await sink.write(bytes);
    await sink.abort();
    await sink.abort();
    expect(await readdir(folder)).not.toContain('aborted.bin');
    expect(await left()).toEqual([]);
    await expect(sink.finish()).rejects.toMatchObject({ code: 'disposed' });
  });

  test('leaves nothing behind when it cannot finish', async () => {
    const path = join(folder, 'taken');
    const sink = await createFileSink(path);
    await sink.write(bytes);
    await mkdir(path); // a directory has come into the way since
    await expect(sink.finish()).rejects.toMatchObject({ name: 'StamError', code: 'bad-input' });
    expect(await left()).toEqual([]);
  });

  test('writes through a symbolic link', async () => {
    const path = await writtenFile('linked-to.bin');
    await symlink(path, join(folder, 'link'));
    const sink = await createFileSink(join(folder, 'link'));
    await sink.write(new Uint8Array([5]));
    await sink.finish();
    expect([...(await readFile(path))]).toEqual([5]);
  });

  test.each([
    ['a folder that is missing', 'none/out.bin', /cannot be created: no such file or directory/],
    ['a directory', '.', /got a directory of that name/],
  ])('%s: bad-input with the path', async (_, name, message) => {
    const path = join(folder, name);
    await expect(createFileSink(path)).rejects.toMatchObject({ name: 'StamError', code: 'bad-input' });
    await expect(createFileSink(path)).rejects.toThrow(message);
  });

  const hasDevices = process.platform !== 'win32';
  if (!hasDevices) process.stderr.write('skipped: never replaces a device, for want of /dev/null on Windows\n');
  test.skipIf(!hasDevices)('never replaces a device', async () => {
    await expect(createFileSink('/dev/null')).rejects.toThrow(/\/dev\/null: .*got a device/);
  });
});
