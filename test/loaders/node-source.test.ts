// Files that change under a reader: replaced, written to, between any two steps of reading.
import { mkdtemp, type open, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { fileSource } from '../../loaders/node-source.ts';

/** What happens in the test at hand right before a file is opened and right before it is read. */
const meanwhile: { open?: () => Promise<void>; read?: () => Promise<void> } = {};

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const openWatched: typeof open = async (path, flags, mode) => {
    if (flags !== 'r') return await real.open(path, flags, mode);
    await meanwhile.open?.();
    const file = await real.open(path, flags, mode);
    const read = file.read.bind(file) as (...rest: unknown[]) => Promise<never>;
    const watched = async (...rest: unknown[]) => {
      await meanwhile.read?.();
      return await read(...rest);
    };
    return Object.assign(file, { read: watched });
  };
  return { ...real, open: openWatched };
});

const old = Uint8Array.from({ length: 300 }, (_, i) => i & 127);
const other = Uint8Array.from(old, (byte) => byte + 128);
let folder: string;
let path: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stam-changes-'));
  path = join(folder, 'model.safetensors');
});
afterEach(() => {
  delete meanwhile.open;
  delete meanwhile.read;
});
afterAll(() => rm(folder, { recursive: true }));

/** The file as it was long ago: what is written now has another time, however coarse the clock of the file system. */
async function writeOld(): Promise<void> {
  await writeFile(path, old);
  await utimes(path, 1e9, 1e9);
}

const hasChanged = expect.objectContaining({
  code: 'bad-checkpoint',
  message: expect.stringMatching(
    /model\.safetensors: the file changed while it was read; got \d+ bytes of .*, expected 300/,
  ),
});

test.each([
  ['written anew in place', async () => writeFile(path, other)],
  ['appended to', async () => writeFile(path, old, { flag: 'a' })],
  ['given the bytes of an older one', async () => writeFile(path, other).then(() => utimes(path, 1e8, 1e8))],
])('%s between two reads: bad-checkpoint', async (_, change) => {
  await writeOld();
  const source = await fileSource(path);
  expect(await source.read(0, 100)).toEqual(old.slice(0, 100));
  await change();
  await expect(source.read(100, 300)).rejects.toEqual(hasChanged);
  await source.close();
});

test('written to in the middle of the only read: bad-checkpoint', async () => {
  await writeOld();
  const source = await fileSource(path);
  meanwhile.read = () => writeFile(path, other);
  await expect(source.read(0, 300)).rejects.toEqual(hasChanged);
  await source.close();
});

test('replaced by a file of its name: read on as it was', async () => {
  await writeOld();
  const source = await fileSource(path);
  await writeFile(`${path}.new`, other);
  await rename(`${path}.new`, path);
  expect(await source.read(0, 300)).toEqual(old);
  await source.close();
});

test('replaced by a longer one right before it is opened: the size is that of what is read', async () => {
  await writeOld();
  meanwhile.open = async () => {
    await writeFile(`${path}.new`, new Uint8Array([...old, ...other]));
    await rename(`${path}.new`, path);
  };
  const source = await fileSource(path);
  expect(source.size).toBe(600);
  expect(await source.read(300, 600)).toEqual(other);
  await source.close();
});
