// Bundles the command (dist/cli.js), what it runs beside a peer (dist/peer.js) and the library (dist/index.js).
//   node build.mjs              builds
//   node build.mjs --if-stale   builds only when a source is newer than the last build
// Silent unless something is wrong.
import { existsSync, statSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, 'dist');
const cliFile = join(dist, 'cli.js');
const libraryFile = join(dist, 'index.js');

try {
  const ifStale = process.argv.includes('--if-stale');
  if (!ifStale || (await isStale())) await buildAll();
} catch (error) {
  // esbuild has printed its own errors, with the lines they are in
  if (!error.errors) process.stderr.write(`build: ${error.message}\n`);
  process.exitCode = 1;
}

async function buildAll() {
  for (const entry of ['index.ts', 'cli/main.ts', 'bench/peers/child.ts']) {
    if (!existsSync(join(root, entry))) throw new Error(`${entry}: missing; it is what the bundle begins with`);
  }
  const begin = new Date();
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const common = {
    absWorkingDir: root,
    outdir: dist,
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    sourcemap: 'external',
    loader: { '.wgsl': 'text', '.txt': 'text' },
    define: { __VERSION__: JSON.stringify(version) },
    logLevel: 'warning',
  };
  const results = await Promise.all([
    build({
      ...common,
      entryPoints: [
        { in: 'cli/main.ts', out: 'cli' },
        { in: 'bench/peers/child.ts', out: 'peer' },
      ],
      platform: 'node',
      target: 'node20',
      banner: { js: '#!/usr/bin/env node' },
      external: ['webgpu', '@sparticuz/chromium', 'playwright-core'],
    }),
    build({
      ...common,
      entryPoints: [{ in: 'index.ts', out: 'index' }],
      platform: 'neutral',
      // without splitting, what index.ts imports on demand (files on disk) would be imported at once, in browsers too
      splitting: true,
      chunkNames: 'chunks/[name]-[hash]',
      external: ['webgpu', 'node:*'],
    }),
  ]);
  refuseNodeInBrowser(results[1].metafile);
  await replace(
    results.flatMap(({ outputFiles }) => outputFiles),
    begin,
  );
}

/** Throws when the library cannot be loaded by a browser: when it imports a Node module other than on demand. */
function refuseNodeInBrowser({ inputs, outputs }) {
  const atOnce = ({ kind }) => kind === 'import-statement';
  const pending = ['dist/index.js'];
  const seen = new Set(pending);
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    for (const { path, external } of outputs[file].imports.filter(atOnce)) {
      if (external) {
        const isGuilty = (source) => inputs[source].imports.some((entry) => atOnce(entry) && entry.path === path);
        const guilty = Object.keys(outputs[file].inputs).filter(isGuilty).join(', ');
        throw new Error(
          `${guilty}: imports ${path} at once; the library has to reach it through import() for browsers`,
        );
      }
      if (!seen.has(path)) pending.push(path);
      seen.add(path);
    }
  }
}

/**
 * Renames the files into place one by one, so that a build or a command running beside this one reads the old or the
 * new file and never half of one. The temporary folder lies in dist, where git and the tests do not look.
 */
async function replace(files, begin) {
  await mkdir(dist, { recursive: true });
  const folder = await mkdtemp(join(dist, '.building-'));
  try {
    // chunks before what imports them, the command last: it is what --if-stale looks at
    const rank = (path) => (path === cliFile ? 2 : dirname(path) === dist ? 1 : 0);
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
  await removeOldChunks(new Set(files.map(({ path }) => path)), begin);
}

/** Chunks carry hashes, so each build leaves the last one's behind. Young ones may belong to a build beside this one. */
async function removeOldChunks(current, begin) {
  const folder = join(dist, 'chunks');
  for (const name of existsSync(folder) ? await readdir(folder) : []) {
    const path = join(folder, name);
    if (!current.has(path) && statSync(path).mtimeMs < begin - 60_000) await rm(path, { force: true });
  }
}

async function isStale() {
  if (!existsSync(cliFile) || !existsSync(libraryFile)) return true;
  const built = statSync(cliFile).mtimeMs;
  for await (const file of sourceFiles(root)) if (statSync(file).mtimeMs > built) return true;
  return false;
}

async function* sourceFiles(folder) {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const place = relative(root, path);
    if (entry.isDirectory()) {
      const skipped = entry.name.startsWith('.') || ['node_modules', 'dist', 'test'].includes(place);
      if (!skipped) yield* sourceFiles(path);
    } else if (/\.(ts|wgsl|txt)$/.test(place) || place === 'package.json' || place === 'build.mjs') yield path;
  }
}
