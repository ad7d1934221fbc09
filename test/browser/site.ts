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

/** Bundles page.ts in memory and serves it with a fixture. */
export async function serveSite(): Promise<Site> {
  return await serveFiles(await siteFiles());
}

/** Serves files by path on a free port of 127.0.0.1, each with these headers. */
export async function serveFiles(
  files: ReadonlyMap<string, ServedFile>,
  headers: Readonly<Record<string, string>> = {},
): Promise<Site> {
  const server = createServer((request, response) => {
    const file = files.get(request.url ?? '');
    if (file) response.writeHead(200, { ...headers, 'content-type': file.type }).end(file.body);
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

export interface ServedFile {
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
    // as build.mjs bundles index.ts for browsers
    define: { __VERSION__: '"browser test"', process: 'undefined' },
    loader: { '.wgsl': 'text', '.txt': 'text' },
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
