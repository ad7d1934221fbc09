// A source whose bytes are kept in blocks: what is fetched once is not fetched again, and what has changed is.
import { describe, expect, test } from 'vitest';
import type { BlockStore, StoredBlock } from '../../loaders/block-cache.ts';
import { browserBlockStore, cachedSource } from '../../loaders/block-cache.ts';
import type { ByteSource } from '../../loaders/source.ts';
import { recordedSource } from './recorded-source.ts';

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 13) & 255);

const recorded = (version = 'one', content = bytes) => recordedSource(content, { name: 'https://host/file', version });

function memoryStore(): BlockStore & { readonly blocks: Map<string, StoredBlock> } {
  const blocks = new Map<string, StoredBlock>();
  return {
    blocks,
    read: async (name) => blocks.get(name),
    write: async (name, block) => void blocks.set(name, { ...block, bytes: block.bytes.slice() }),
    async remove(prefix) {
      for (const name of [...blocks.keys()]) if (name.startsWith(prefix)) blocks.delete(name);
    },
  };
}

async function readAll(source: ByteSource, step = 70): Promise<Uint8Array> {
  const all = new Uint8Array(source.size);
  for (let start = 0; start < source.size; start += step) {
    all.set(await source.read(start, Math.min(source.size, start + step)), start);
  }
  return all;
}

const blockBytes = 256;

test('gives the bytes of the source, each block of which is read once, in this visit and the next', async () => {
  const store = memoryStore();
  const first = recorded();
  expect(await readAll(await cachedSource(first.source, { store, blockBytes }))).toEqual(bytes);
  expect(first.ranges).toEqual([
    [0, 256],
    [256, 512],
    [512, 768],
    [768, 1000],
  ]);
  const second = recorded();
  const cached = await cachedSource(second.source, { store, blockBytes });
  expect(await readAll(cached, 333)).toEqual(bytes);
  expect(await cached.read(250, 800)).toEqual(bytes.slice(250, 800));
  expect(second.ranges).toEqual([]);
});

test('goes on where a visit broke off', async () => {
  const store = memoryStore();
  await (await cachedSource(recorded().source, { store, blockBytes })).read(0, 300);
  const { source, ranges } = recorded();
  expect(await readAll(await cachedSource(source, { store, blockBytes }))).toEqual(bytes);
  expect(ranges).toEqual([
    [512, 768],
    [768, 1000],
  ]);
});

test.each([
  [
    'changed',
    ({ bytes: kept, hash }: StoredBlock) => ({ bytes: kept.map((byte, i) => (i === 7 ? byte ^ 1 : byte)), hash }),
  ],
  ['cut short', ({ bytes: kept, hash }: StoredBlock) => ({ bytes: kept.slice(1), hash })],
  ['without a hash', ({ bytes: kept }: StoredBlock) => ({ bytes: kept, hash: '' })],
])('reads a block again that has been %s', async (_, damage) => {
  const store = memoryStore();
  await readAll(await cachedSource(recorded().source, { store, blockBytes }));
  for (const [name, block] of store.blocks) if (name.endsWith(' 1')) store.blocks.set(name, damage(block));
  const { source, ranges } = recorded();
  expect(await readAll(await cachedSource(source, { store, blockBytes }))).toEqual(bytes);
  expect(ranges).toEqual([[256, 512]]);
});

test('keeps nothing of another version, of other blocks, or of another file', async () => {
  const store = memoryStore();
  await readAll(await cachedSource(recorded().source, { store, blockBytes }));
  const changed = recorded(
    'two',
    bytes.map((byte) => byte ^ 255),
  );
  expect(await readAll(await cachedSource(changed.source, { store, blockBytes }))).toEqual(
    bytes.map((byte) => byte ^ 255),
  );
  expect(changed.ranges.length).toBe(4);
  const wider = recorded(
    'two',
    bytes.map((byte) => byte ^ 255),
  );
  await readAll(await cachedSource(wider.source, { store, blockBytes: 300 }));
  expect(wider.ranges.length).toBe(4);
  expect(store.blocks.size).toBe(5); // four blocks and the version
});

test('leaves a source alone that cannot tell its version, for nobody could say what is still true', async () => {
  const store = memoryStore();
  const { source } = recordedSource(bytes);
  expect(await cachedSource(source, { store })).toBe(source);
  expect(store.blocks.size).toBe(0);
});

describe('a store that fails', () => {
  test.each(['read', 'write', 'remove'] as const)(
    'at %s is told of once, and the bytes come all the same',
    async (what) => {
      const problems: string[] = [];
      const failing = { ...memoryStore(), [what]: async () => Promise.reject(new Error('QuotaExceededError')) };
      const { source } = recorded();
      const cached = await cachedSource(source, {
        store: failing,
        blockBytes,
        onProblem: (text) => problems.push(text),
      });
      expect(await readAll(cached)).toEqual(bytes);
      expect(problems).toEqual(['https://host/file: not kept for the next time: Error: QuotaExceededError']);
    },
  );
});

test('an abort, a failure of the source and its closing come through', async () => {
  const { source } = recorded();
  const cached = await cachedSource(source, { store: memoryStore(), blockBytes });
  await expect(cached.read(0, 9, AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' });
  await cached.close();
  await expect(cached.read(0, 9)).rejects.toMatchObject({ code: 'disposed' });
  await expect(source.read(0, 9)).rejects.toMatchObject({ code: 'disposed' });
  await expect(cachedSource(recorded().source, { store: memoryStore(), blockBytes: 0 })).rejects.toMatchObject({
    code: 'bad-input',
  });
});

test('the store of browsers keeps blocks in the Cache API, under names of any characters', async () => {
  const kept = new Map<string, Response>();
  const cache = {
    match: async (url: string) => kept.get(url)?.clone(),
    put: async (url: string, response: Response) => void kept.set(url, response),
    keys: async () => [...kept.keys()].map((url) => ({ url })),
    delete: async ({ url }: { url: string }) => kept.delete(url),
  };
  const store = browserBlockStore({ open: async () => cache } as unknown as CacheStorage);
  const name = 'https://host/a file?x=1&y=ä 7';
  await store.write(name, { bytes, hash: 'abc' });
  expect(await store.read(name)).toEqual({ bytes, hash: 'abc' });
  expect(await store.read('https://host/another 7')).toBeUndefined();
  await store.remove('https://host/a file?x=1&y=ä ');
  expect(await store.read(name)).toBeUndefined();
});
