// npm run demo [-- --port 8080] [--connect https://host] [--out FOLDER]: builds the page and serves it on this machine alone.
//   --connect   lets the page fetch weights from there; may be repeated
//   --out       where the build goes: dist/demo by default
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildDemo } from './build.mjs';

const types = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.map': 'application/json',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};

try {
  const { port, connect, out } = readArguments();
  await buildDemo(out);
  const files = await readFiles(out);
  const server = createServer((request, response) => answer(files, request, response, policy(connect)));
  server.once('error', (error) => fail(error.message));
  server.listen(port, '127.0.0.1', () => process.stdout.write(`http://127.0.0.1:${server.address().port}/\n`));
} catch (error) {
  // esbuild has printed its own errors, with the lines they are in
  if (error.errors) process.exitCode = 1;
  else fail(error.message);
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '8080' },
      connect: { type: 'string', multiple: true, default: [] },
      out: { type: 'string', default: join(dirname(fileURLToPath(import.meta.url)), '..', 'dist', 'demo') },
    },
  });
  const port = Number(values.port);
  if (!/^\d+$/.test(values.port) || port > 65535) {
    throw new Error(`--port: no port; got '${values.port}', expected 0 to 65535`);
  }
  return { ...values, port, connect: values.connect.map((text) => originOf(text)) };
}

/** Only an origin may go into a header. */
function originOf(text) {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return url.origin;
  throw new Error(`--connect: no origin; got '${text}', expected one such as https://example.org`);
}

function policy(connect) {
  const fetched = connect.length ? `; connect-src 'self' ${connect.join(' ')}` : '';
  return `default-src 'self'; media-src 'self' blob:${fetched}`;
}

/** Every file of the folder by its path in addresses, in memory: a request is looked up, and never becomes a path on disk. */
async function readFiles(folder) {
  const files = new Map();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const type = types[extname(entry.name)];
    if (!entry.isFile() || !type) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    files.set(`/${relative(folder, path).split(sep).join('/')}`, { type, body: await readFile(path) });
  }
  files.set('/', files.get('/index.html'));
  return files;
}

function answer(files, { method, url = '/' }, response, contentPolicy) {
  const file = files.get(url.split('?')[0]);
  const isRead = method === 'GET' || method === 'HEAD';
  if (!file || !isRead) {
    response
      .writeHead(isRead ? 404 : 405, { 'content-type': 'text/plain' })
      .end(isRead ? 'not found\n' : 'read only\n');
    return;
  }
  response.writeHead(200, {
    'content-type': file.type,
    'content-length': file.body.byteLength,
    'content-security-policy': contentPolicy,
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-cache',
  });
  response.end(method === 'GET' ? file.body : undefined);
}

function fail(message) {
  process.stderr.write(`demo: ${message}\n`);
  process.exitCode = 1;
}
