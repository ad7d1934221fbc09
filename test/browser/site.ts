// The page under test, served from this machine: the library bundled for browsers, and a fixture to fetch.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { openSafetensors } from '../../loaders/safetensors.ts';
import { writeSafetensors } from '../../loaders/safetensors-writer.ts';
import { bufferSource } from '../../loaders/source.ts';
import { openSynthetic, syntheticTensor } from '../../loaders/synthetic.ts';
import type { StamConfig } from '../../model/config.ts';
import { configFromMetadata } from '../../model/config.ts';
import { weightShapes } from '../../model/weights.ts';
import { type Bytes, dict, orderedDict, tensor, zip, zipFiles } from '../loaders/pytorch/torch-files.ts';

export interface Site {
  readonly url: string;
  /** Set, no byte of a range is sent any more: whoever reads one waits for ever. */
  silent: boolean;
  close(): Promise<void>;
}

/** Bundles page.ts in memory and serves it with a fixture. */
export async function serveSite(): Promise<Site> {
  return await serveFiles(await siteFiles());
}

/** Serves files by path, and by ranges, on a free port of 127.0.0.1, each with these headers. */
export async function serveFiles(
  files: ReadonlyMap<string, ServedFile>,
  headers: Readonly<Record<string, string>> = {},
): Promise<Site> {
  const site: Site = { url: '', silent: false, close: async () => {} };
  const server = createServer((request, response) => {
    const file = files.get(request.url ?? '');
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const start = Number(first ?? Number.NaN);
    if (!file) response.writeHead(404).end();
    else if (Number.isNaN(start)) response.writeHead(200, { ...headers, 'content-type': file.type }).end(file.body);
    else {
      const size = file.body.length;
      const end = last ? Math.min(size, Number(last) + 1) : size;
      const range = { 'content-range': `bytes ${start}-${end - 1}/${size}`, 'content-length': end - start };
      response.writeHead(206, { ...headers, 'content-type': file.type, etag: '"one"', ...range });
      if (site.silent) response.flushHeaders();
      else response.end(file.body.slice(start, end));
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new Error(`the server listens on ${address}, not on a port`);
  return Object.assign(site, {
    url: `http://127.0.0.1:${address.port}/`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections(); // a browser keeps its connections open
      }),
  });
}

async function configOf(io: Uint8Array<ArrayBuffer>): Promise<StamConfig> {
  const { metadata } = await openSafetensors(bufferSource(io));
  const config = configFromMetadata(metadata);
  if (!config) throw new Error('the metadata of the fixture tell no configuration');
  return config;
}

/** The weights of a fixture as a file, by the rule that made them. */
async function weightFile(io: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const config = await configOf(io);
  const weights = openSynthetic(1, weightShapes(config));
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  const sink = {
    name: 'memory',
    write: async (piece: Uint8Array<ArrayBuffer>) => void pieces.push(piece.slice()),
    finish: async () => {},
    abort: async () => {},
  };
  const tensors = [...weights.tensors.values()].map(({ name, shape }) => ({
    name,
    dtype: 'F32' as const,
    shape,
    data: () => weights.read(name),
  }));
  await writeSafetensors(sink, tensors, new Map([['heads', `${config.heads}`]]));
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

/** The same weights as torch.save writes them. */
async function pthFile(io: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const config = await configOf(io);
  const storages: Record<string, Uint8Array> = {};
  const state = [...weightShapes(config)].map(([name, shape], key): [string, Bytes] => {
    const values = syntheticTensor(1, name, shape);
    storages[key] = new Uint8Array(values.buffer);
    const stride = shape.map((_, i) => shape.slice(i + 1).reduce((product, size) => product * size, 1));
    return [name, tensor({ key: `${key}`, elements: values.length, size: [...shape], stride })];
  });
  return zip(zipFiles(dict(['model', orderedDict(...state)]), storages));
}

export interface ServedFile {
  readonly type: string;
  readonly body: string | Uint8Array;
}

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The script of a page, by path in the repository, bundled as build.mjs bundles index.ts for browsers: files by their paths on a server. */
export async function bundledPage(script: string): Promise<Map<string, ServedFile>> {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [script],
    outdir: '/',
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    define: { __VERSION__: '"browser test"', process: 'undefined' },
    loader: { '.wgsl': 'text', '.txt': 'text' },
    logLevel: 'warning',
  });
  return new Map(outputFiles.map(({ path: name, contents }) => [name, { type: 'text/javascript', body: contents }]));
}

/** By path. */
async function siteFiles(): Promise<Map<string, ServedFile>> {
  const page = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>';
  const fixture = new Uint8Array(await readFile(path.join(root, 'test/fixtures/tiny-a.io.safetensors')));
  return new Map<string, ServedFile>([
    ['/', { type: 'text/html', body: page }],
    ['/tiny-a.io.safetensors', { type: 'application/octet-stream', body: fixture }],
    ['/tiny-a.pth', { type: 'application/octet-stream', body: await pthFile(fixture) }],
    ['/tiny-a.safetensors', { type: 'application/octet-stream', body: await weightFile(fixture) }],
    ...(await bundledPage('test/browser/page.ts')),
  ]);
}
