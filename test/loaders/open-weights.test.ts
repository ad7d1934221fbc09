// Whatever an app calls its weights, opened: the same tensors from all of them.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { StamError } from '../../engine/errors.ts';
import { loadStam } from '../../index.ts';
import { createFileSink } from '../../loaders/node-source.ts';
import type { WeightInput } from '../../loaders/open-weights.ts';
import { openWeights } from '../../loaders/open-weights.ts';
import { writeSafetensors } from '../../loaders/safetensors-writer.ts';
import type { FileServer } from './http-server.ts';
import { serveFile } from './http-server.ts';

const values = Float32Array.from({ length: 300 }, (_, i) => i / 7);
let folder: string;
let file: string;
let bytes: Uint8Array<ArrayBuffer>;
let server: FileServer;

async function write(target: string, names: readonly string[]): Promise<void> {
  const tensors = names.map((name) => ({ name, dtype: 'F32' as const, shape: [300], data: () => values }));
  await writeSafetensors(await createFileSink(target), tensors);
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'stam weights '));
  file = path.join(folder, 'a b#c%d.safetensors');
  await write(file, ['x', 'y']);
  bytes = new Uint8Array(await readFile(file));
  server = await serveFile(bytes);
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

afterEach(() => vi.unstubAllGlobals());

const inputs: [string, () => WeightInput][] = [
  ['a path', () => file],
  ['a relative path', () => path.relative(process.cwd(), file)],
  ['a file: address', () => pathToFileURL(file)],
  ['a file: address as text', () => pathToFileURL(file).href],
  ['an http: address', () => server.url],
  ['a URL', () => new URL(server.url)],
  ['a Request', () => new Request(server.url)],
  ['a data: address', () => `data:application/octet-stream;base64,${Buffer.from(bytes).toString('base64')}`],
  ['a blob: address', () => URL.createObjectURL(new Blob([bytes]))],
  ['a Blob', () => new Blob([bytes])],
  ['an ArrayBuffer', () => bytes.buffer],
  ['a Uint8Array', () => bytes],
  ['a stream', () => new Blob([bytes]).stream()],
];

describe.each(inputs)('%s', (_, input) => {
  test('opens, tells how far it has come, and is read', async () => {
    const progress: [number, number][] = [];
    const checkpoint = await openWeights(input(), { onRead: (loaded, total) => progress.push([loaded, total]) });
    expect([...checkpoint.tensors.keys()]).toEqual(['x', 'y']);
    for (const name of checkpoint.order()) expect(await checkpoint.read(name)).toEqual(values);
    expect(progress.at(-1)).toEqual([bytes.length, bytes.length]);
    expect(progress.every(([loaded], i) => loaded >= (progress[i - 1]?.[0] ?? 0))).toBe(true);
    await checkpoint.close();
  });

  test('is aborted', async () => {
    const error = await openWeights(input(), { signal: AbortSignal.abort() }).catch((reason) => reason);
    expect(error).toMatchObject({ name: 'AbortError' });
  });
});

test('an index opens the files beside it, from a folder and from a server', async () => {
  const place = path.join(folder, 'sharded');
  await mkdir(place);
  const names = ['part-1.safetensors', 'part-2.safetensors'];
  await write(path.join(place, names[0]), ['x']);
  await write(path.join(place, names[1]), ['y']);
  const index = path.join(place, 'model.safetensors.index.json');
  const text = JSON.stringify({ metadata: {}, weight_map: { x: names[0], y: names[1] } });
  await writeFile(index, text);
  for (const input of [index, pathToFileURL(index), pathToFileURL(index).href]) {
    const checkpoint = await openWeights(input);
    expect(await checkpoint.read('y')).toEqual(values);
    await checkpoint.close();
  }
  const shards = await serveFile(new TextEncoder().encode(text));
  const asked: string[] = [];
  shards.misbehave = (request) => {
    const name = decodeURIComponent(path.posix.basename(request.url ?? ''));
    asked.push(name);
    if (name.endsWith('.safetensors')) shards.file = name === names[0] ? first : second;
    return undefined;
  };
  const [first, second] = await Promise.all(
    names.map(async (name) => new Uint8Array(await readFile(path.join(place, name)))),
  );
  const checkpoint = await openWeights(new URL('/models/model.safetensors.index.json', shards.url));
  expect([...checkpoint.tensors.keys()].sort()).toEqual(['x', 'y']);
  expect(new Set(asked)).toEqual(new Set(['model.safetensors.index.json', ...names]));
  await checkpoint.close();
  await shards.close();
});

test.each([
  ['an address', (url: string) => url],
  ['a URL', (url: string) => new URL(url)],
  ['a Request', (url: string) => new Request(url)],
  ['a relative address of a page', (url: string) => new URL(url).pathname + new URL(url).search],
])('%s of an index may have a query, which its shards do not get', async (kind, input) => {
  const index = new TextEncoder().encode('{"weight_map":{"x":"part.safetensors","y":"part.safetensors"}}');
  const shards = await serveFile(index);
  if (kind.includes('page')) vi.stubGlobal('location', new URL('/page?of=app', shards.url));
  const asked: (string | undefined)[] = [];
  shards.misbehave = ({ url }) => {
    asked.push(url);
    if (url?.includes('part')) shards.file = bytes;
    return undefined;
  };
  const place = new URL('/models/model.safetensors.index.json?download=true&path=a/b', shards.url);
  const checkpoint = await openWeights(input(place.href));
  for (const name of checkpoint.order()) expect(await checkpoint.read(name)).toEqual(values);
  expect(asked).toEqual([place.pathname + place.search, '/models/part.safetensors']);
  await checkpoint.close();
  await shards.close();
});

test('what a data: address holds is no name, even where it ends like that of an index', async () => {
  await expect(openWeights('data:text/plain,/model.index.json')).rejects.toThrow(/^data:: /);
});

describe('bad-input', () => {
  test.each([
    ['no address', 'http:', 'http:: '],
    ['a host that is none', 'http://user:secret@[::1/x?token=secret', 'http://...@[::1/x?...: '],
    [
      'a scheme that nobody fetches',
      'ftp://user:secret@example.invalid/a?token=secret',
      'ftp://...@example.invalid/a?...: ',
    ],
    ['a scheme that nobody knows', 'foo:bar', 'foo:bar: '],
    ['a blob: address that nobody made', 'blob:nodedata:nothing', 'blob:nodedata:nothing: '],
    ['a data: address without data', `data:${'a'.repeat(1000)}`, `data:${'a'.repeat(95)}: `],
    ['a file: address of another machine', 'file://host/x', 'file://host/x: '],
    ['a file: address whose name has a slash', 'file:///a%2Fb', 'file:///a%2Fb: '],
  ])('%s', async (_, address, begin) => {
    for (const input of URL.canParse(address) ? [address, new URL(address)] : [address]) {
      const error = await openWeights(input).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(StamError);
      expect(error).toMatchObject({ code: 'bad-input', message: expect.not.stringContaining('secret') });
      expect(String(error)).toContain(`StamError: ${begin}`);
    }
  });

  test('an answer of the shell around a page that has no such file', async () => {
    vi.stubGlobal('fetch', async () => new Response('<html>', { status: 404, statusText: 'Not Found' }));
    await expect(openWeights('app://local/model.safetensors')).rejects.toMatchObject({
      code: 'bad-input',
      message: 'app://local/model.safetensors: the address cannot be fetched; got status 404 Not Found',
    });
  });

  test.each([
    ['null', null],
    ['undefined', undefined],
    ['a number', 5],
    ['a symbol', Symbol('x')],
    ['an object', {}],
    ['numbers of another type', new Float32Array(4)],
  ])('%s in place of weights', async (_, input) => {
    await expect(openWeights(input as never)).rejects.toMatchObject({
      code: 'bad-input',
      message: expect.stringContaining('weights: neither an address nor bytes; got'),
    });
  });

  test('null in place of a model', async () => {
    const device = { features: new Set(), limits: {} } as never;
    await expect(loadStam(null as never, { device })).rejects.toBeInstanceOf(StamError);
  });
});

test('an index without a place is refused, and so is what is no checkpoint', async () => {
  const index = new File(['{"weight_map":{"x":"a.safetensors"}}'], 'model.safetensors.index.json');
  await expect(openWeights(index)).rejects.toThrow(/an index without a place/);
  await expect(openWeights(path.join(folder, 'none'))).rejects.toMatchObject({ code: 'bad-input' });
  await expect(openWeights('data:text/plain,hello')).rejects.toMatchObject({ code: 'bad-checkpoint' });
});

test('a stream that stalls can be aborted', async () => {
  const controller = new AbortController();
  let cancelled = false;
  const stalled = new ReadableStream<Uint8Array>({
    pull: () => new Promise(() => controller.abort()),
    cancel() {
      cancelled = true;
    },
  });
  await expect(openWeights(stalled, { signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' });
  expect(cancelled).toBe(true);
});
