// Makes what the package is: the library for browsers (dist/index.js) and for Node (dist/node.js), its types (dist/index.d.ts), the
// command (dist/cli.js) and what that runs beside a peer (dist/peer.js).
//   node build.mjs              all of it
//   node build.mjs --if-stale   the bundles without the types, and only when a source is newer than the last build
//   node build.mjs --docs       docs/api.md
// Silent unless something is wrong.
import { existsSync, statSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { strippedWgsl } from './build/strip-wgsl.mjs';

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, 'dist');
const cliFile = join(dist, 'cli.js');

try {
  if (process.argv.includes('--docs')) await writeApiPage();
  else if (!process.argv.includes('--if-stale')) await buildAll({ types: true });
  else if (await isStale()) await buildAll({ types: false });
} catch (error) {
  // esbuild has printed its own errors, with the lines they are in
  if (!(error instanceof Error)) throw error;
  if (!('errors' in error)) process.stderr.write(`build: ${error.message}\n`);
  process.exitCode = 1;
}

/** @param {{ types: boolean }} options */
async function buildAll({ types }) {
  const begin = new Date();
  const files = await Promise.all([types ? declarationFiles() : [], bundleAll()]);
  await replace(files.flat(), begin);
}

async function bundleAll() {
  for (const entry of ['index.ts', 'cli/main.ts', 'bench/peers/child.ts']) {
    if (!existsSync(join(root, entry))) throw new Error(`${entry}: missing; it is what the bundle begins with`);
  }
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const define = { __VERSION__: JSON.stringify(version) };
  const common = /** @type {const} */ ({
    absWorkingDir: root,
    outdir: dist,
    bundle: true,
    write: false,
    format: 'esm',
    loader: { '.wgsl': 'text', '.txt': 'text' },
    logLevel: 'warning',
    define,
  });
  // not minified: whoever bundles an app minifies it, and whoever reads a stack trace or an audit wants names
  const library = { ...common, sourcemap: /** @type {const} */ ('linked'), plugins: [strippedWgsl] };
  const node = /** @type {const} */ ({ platform: 'node', target: 'node20' });
  const bundles = await Promise.all([
    build({
      ...library,
      entryPoints: [{ in: 'index.ts', out: 'index' }],
      // Nothing is external, and there is no `process`: esbuild leaves out what stands behind `if (typeof process !== 'undefined' ...)`,
      // the imports of Node's modules included. One that stands elsewhere is an error, with the line it is in.
      platform: 'browser',
      target: 'es2022',
      define: { ...define, process: 'undefined' },
      // what is imported on demand is loaded on demand
      splitting: true,
      chunkNames: 'chunks/[name]-[hash]',
    }),
    build({ ...library, ...node, entryPoints: [{ in: 'index.ts', out: 'node' }], external: ['webgpu'] }),
    build({
      ...common,
      ...node,
      entryPoints: [
        { in: 'cli/main.ts', out: 'cli' },
        { in: 'bench/peers/child.ts', out: 'peer' },
      ],
      sourcemap: 'external',
      banner: { js: '#!/usr/bin/env node' },
      external: ['webgpu', '@sparticuz/chromium', 'playwright-core'],
    }),
  ]);
  return bundles.flatMap(({ outputFiles }) => outputFiles);
}

async function declarationFiles() {
  // on demand, as it loads two compilers that --if-stale has no use for
  const { rollUpDeclarations, withoutArrayParameters } = await import('./build/declarations.mjs');
  return [{ path: join(dist, 'index.d.ts'), contents: withoutArrayParameters(await rollUpDeclarations()) }];
}

async function writeApiPage() {
  const [{ rollUpDeclarations }, { apiPage }] = await Promise.all([
    import('./build/declarations.mjs'),
    import('./build/api-page.mjs'),
  ]);
  await writeFile(join(root, 'docs/api.md'), apiPage(await rollUpDeclarations()).text);
}

/**
 * Renames the files into place one by one, so that a build or a command running beside this one reads the old or the
 * new file and never half of one. The temporary folder lies in dist, where git and the tests do not look.
 * @param {readonly { path: string, contents: string | Uint8Array }[]} files
 * @param {Date} begin
 */
async function replace(files, begin) {
  await mkdir(dist, { recursive: true });
  const folder = await mkdtemp(join(dist, '.building-'));
  try {
    // chunks before what imports them, the command last: it is what --if-stale looks at
    const rank = (/** @type {string} */ path) => (path === cliFile ? 2 : dirname(path) === dist ? 1 : 0);
    for (const { path, contents } of files.toSorted((a, b) => rank(a.path) - rank(b.path))) {
      const temporary = join(folder, basename(path));
      await writeFile(temporary, contents);
      if (path === cliFile) await chmod(temporary, 0o755);
      // dated when the sources were read: one that is saved during the build must count as newer
      await utimes(temporary, begin, begin);
      await mkdir(dirname(path), { recursive: true });
      await rename(temporary, path);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  await removeOldChunks(new Set(files.map(({ path }) => path)));
}

/** Chunks carry hashes, so that each build leaves those of the one before behind. @param {ReadonlySet<string>} current */
async function removeOldChunks(current) {
  const folder = join(dist, 'chunks');
  for (const name of existsSync(folder) ? await readdir(folder) : []) {
    if (!current.has(join(folder, name))) await rm(join(folder, name), { force: true });
  }
}

async function isStale() {
  if (!['cli.js', 'peer.js', 'index.js', 'node.js'].every((name) => existsSync(join(dist, name)))) return true;
  const built = statSync(cliFile).mtimeMs;
  for await (const file of sourceFiles(root)) if (statSync(file).mtimeMs > built) return true;
  return false;
}

/**
 * @param {string} folder
 * @returns {AsyncGenerator<string>}
 */
async function* sourceFiles(folder) {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const place = relative(root, path);
    if (entry.isDirectory()) {
      const skipped = entry.name.startsWith('.') || ['node_modules', 'dist', 'test'].includes(place);
      if (!skipped) yield* sourceFiles(path);
    } else if (/\.(ts|mjs|wgsl|txt)$/.test(place) || place === 'package.json') yield path;
  }
}
