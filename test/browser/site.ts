// The page under test, served from this machine: the library bundled for browsers, and a fixture to fetch.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export interface Site {
  readonly url: string;
  close(): Promise<void>;
}

/** Bundles page.ts in memory and serves it with a fixture on a free port of 127.0.0.1. */
export async function serveSite(): Promise<Site> {
  const files = await siteFiles();
  const server = createServer((request, response) => {
    const file = files.get(request.url ?? '');
    if (file) response.writeHead(200, { 'content-type': file.type }).end(file.body);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new Error(`the server listens on ${address}, not on a port`);
  return {
    url: `http://127.0.0.1:${address.port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections(); // a browser keeps its connections open
      }),
  };
}

interface ServedFile {
  readonly type: string;
  readonly body: string | Uint8Array;
}

/** By path. */
async function siteFiles(): Promise<Map<string, ServedFile>> {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: ['test/browser/page.ts'],
    outdir: '/',
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    // as build.mjs bundles index.ts: what Node alone can load stays outside, and stays apart when it is imported on demand
    splitting: true,
    external: ['webgpu', 'node:*'],
    loader: { '.wgsl': 'text', '.txt': 'text' },
    define: { __VERSION__: '"browser test"' },
    logLevel: 'warning',
  });
  const page = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>';
  const fixture = await readFile(path.join(root, 'test/fixtures/tiny-a.io.safetensors'));
  return new Map<string, ServedFile>([
    ['/', { type: 'text/html', body: page }],
    ['/tiny-a.io.safetensors', { type: 'application/octet-stream', body: fixture }],
    ...outputFiles.map(({ path: name, contents }) => [name, { type: 'text/javascript', body: contents }] as const),
  ]);
}
