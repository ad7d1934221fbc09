// The package as an app gets it: packed, installed in an empty folder, type-checked, bundled, run in Node and in a browser.
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import type { BuildOptions } from 'esbuild';
import { build } from 'esbuild';
import { build as buildWithVite, createLogger } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { unpackBundledDriver } from '../../engine/node-adapter.ts';
import { createFileSink } from '../../loaders/node-source.ts';
import { writeSafetensors } from '../../loaders/safetensors-writer.ts';
import { launchChromium } from '../browser/chromium.ts';
import type { ServedFile } from '../browser/site.ts';
import { serveFiles } from '../browser/site.ts';
import { expectClose } from '../close.ts';
import { ffmpeg, pictures } from '../loaders/video/video-files.ts';
import { modelTolerance, openFixture } from '../model/fixtures.ts';
import { longTest } from '../sample.ts';
import type { Answer } from './app/check.ts';
import type {} from './app/page.ts';
import type { Scratch } from './scratch.ts';
import { createScratch, documentedFiles, root, run } from './scratch.ts';

const maxBundleBytes = 61_000;

/** In kB, of the app: the demuxer alone is past the limit at which Vite warns. */
const chunkSizeWarningLimit = 1500;

let scratch: Scratch;
const inScratch = (...parts: string[]) => path.join(scratch.folder, ...parts);

beforeAll(async () => {
  scratch = await createScratch(['webgpu', 'mediabunny', '@types/node']);
  await cp(path.join(root, 'test/package/app'), inScratch('check'), { recursive: true });
  for (const [file, code] of await documentedFiles()) {
    await mkdir(path.dirname(inScratch(file)), { recursive: true });
    await writeFile(inScratch(file), code);
  }
  await mkdir(inScratch('public'));
  await writeWeights(inScratch('public/stam_16.safetensors'));
  // ten seconds, from which the small model takes four frames
  ffmpeg(...pictures('320x240', '25', 10.2), '-pix_fmt', 'yuv420p', inScratch('public/video.mp4'));
  await cp(path.join(root, 'test/fixtures/tiny-a.io.safetensors'), inScratch('public/truth.safetensors'));
  await cp(inScratch('public/stam_16.safetensors'), inScratch('stam_16.safetensors'));
});

afterAll(() => scratch?.remove());

/** The tiny model under the name that the README has. */
async function writeWeights(file: string): Promise<void> {
  const { truth, weights } = await openFixture('tiny-a');
  const tensors = [...weights.tensors.values()].map(({ name, shape }) => ({
    name,
    shape,
    dtype: 'F32' as const,
    data: () => weights.read(name),
  }));
  await writeSafetensors(await createFileSink(file), tensors, weights.metadata);
  await truth.close();
}

test('the tarball holds what an app or the command reads, and nothing else', () => {
  const { files, size } = scratch.packed;
  process.stdout.write(`stam-webgpu.tgz: ${size} bytes\n`);
  const models = ['stam_8', 'stam_16', 'stam_32', 'stam_64', 'x3d_m.256', 'x3d_l.356', 'x3d_xl.356'].map(
    (model) => `bench/reference/${model}.io.safetensors`,
  );
  const built = ['cli.js', 'index.d.ts', 'index.js', 'index.js.map', 'node.js', 'node.js.map', 'peer.js'];
  const wanted = [
    ...[
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'package.json',
      'bench/reference/README.md',
      'bench/reference/SHA256SUMS',
    ],
    ...models,
    ...built.map((name) => `dist/${name}`),
  ];
  const chunk = /^dist\/chunks\/[a-z-]+-[A-Z\d]+\.js(?:\.map)?$/;
  const names = files.map((file) => file.path).filter((name) => !chunk.test(name));
  expect(names.sort()).toEqual(wanted.sort());
});

test('nothing runs while it is installed', async () => {
  const { scripts } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8')) as { scripts: object };
  const installing = ['preinstall', 'install', 'postinstall', 'prepublish', 'preprepare', 'prepare', 'postprepare'];
  expect(Object.keys(scripts).filter((name) => installing.includes(name))).toEqual([]);
});

test('the installed command answers', async () => {
  expect(await run(inScratch('node_modules/.bin/stam'), ['--help'], scratch.folder)).toContain('bench');
});

test.each([
  ['bundlers for browsers', { platform: 'browser' }, 'index.js'],
  ['workers', { platform: 'neutral', conditions: ['worker', 'node'] }, 'index.js'],
  ['Node', { platform: 'node' }, 'node.js'],
  ['anything else', { platform: 'neutral' }, 'index.js'],
] as const)('%s get their file, and nothing of other packages', async (_, { ...options }, file) => {
  const { warnings, inputs } = await bundle(options as BuildOptions);
  expect(warnings).toEqual([]);
  const own = 'node_modules/stam-webgpu/dist/';
  expect(inputs.filter((name) => !name.startsWith(`${own}chunks/`))).toEqual([own + file]);
});

test('what a browser loads is small', async () => {
  const { outputs, files } = await bundle({ platform: 'browser', minify: true, splitting: true });
  const sizeOf = (name: string) => gzipSync(files.get(name) ?? '', { level: 9 }).byteLength;
  const atOnce = new Set(['app.js']);
  for (const name of atOnce) {
    for (const { path: target, kind } of outputs[name].imports) if (kind === 'import-statement') atOnce.add(target);
  }
  const names = Object.keys(outputs);
  const later = names.filter((name) => !atOnce.has(name)).map((name) => `${name} ${sizeOf(name)}`);
  const bytes = [...atOnce].map(sizeOf).reduce((a, b) => a + b);
  process.stdout.write(
    `in a browser, minified and gzipped: ${bytes} bytes; on demand: ${later.join(', ') || 'nothing'}\n`,
  );
  expect(bytes).toBeLessThan(maxBundleBytes);
});

/** All of the package in an app that leaves nothing outside of the bundle. */
async function bundle(options: BuildOptions) {
  const { warnings, metafile, outputFiles } = await build({
    ...options,
    stdin: { contents: "export * from 'stam-webgpu';", resolveDir: scratch.folder },
    absWorkingDir: scratch.folder,
    outdir: scratch.folder,
    entryNames: 'app',
    bundle: true,
    format: 'esm',
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  const inputs = Object.keys(metafile.inputs).filter((name) => name !== '<stdin>');
  const files = new Map(outputFiles.map(({ path: file, contents }) => [path.relative(scratch.folder, file), contents]));
  return { warnings, inputs, outputs: metafile.outputs, files };
}

test.each([
  // nothing is skipped: the declarations of the package have to hold by themselves, on TypeScript's own WebGPU types
  ['a bundler', { module: 'esnext', moduleResolution: 'bundler', types: [] }, ['check/page.ts']],
  ['Node in a browser app', { module: 'nodenext', types: [] }, ['check/page.ts']],
  // the types of WebCodecs that the demuxer brings contradict TypeScript's own, as Vite's own tsconfig expects
  ['Vite', { module: 'esnext', moduleResolution: 'bundler', types: [], skipLibCheck: true }, ['src/main.ts']],
  // the types of the package `webgpu` contradict TypeScript's own
  ['Node', { module: 'nodenext', types: ['node'], skipLibCheck: true }, ['classify.ts', 'check/node.ts']],
])('what an app imports type-checks as %s resolves', async (_, compilerOptions, files) => {
  const common = {
    target: 'es2024',
    lib: ['es2024', 'esnext.disposable', 'dom'], // the demuxer's types name Disposable
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
  };
  const config = { compilerOptions: { ...common, ...compilerOptions }, files };
  await writeFile(inScratch('tsconfig.json'), JSON.stringify(config));
  await run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'], scratch.folder);
});

test('no internal name can be imported', async () => {
  const declarations = await readFile(inScratch('node_modules/stam-webgpu/dist/index.d.ts'), 'utf8');
  // what is not in an export list is private to the file as long as there is one
  expect(declarations.match(/^export .*/gm)?.map((line) => line.replace(/\{.*/, ''))).toEqual([
    'export ',
    'export type ',
  ]);
  expect(declarations.match(/\.ts['"]|\bprivate (?!constructor\b)|import\(/g)).toBeNull();
});

test('the README runs in Node, and the logits are right', async () => {
  const driver = unpackBundledDriver();
  if (driver === undefined) throw new Error('the package @sparticuz/chromium carries no driver for this machine');
  const env = {
    ...process.env,
    VK_DRIVER_FILES: path.join(driver, 'vk_swiftshader_icd.json'),
    LD_LIBRARY_PATH: driver, // for libvulkan.so.1, which small machines lack
    XDG_CACHE_HOME: inScratch('cache'),
  };
  await build({
    entryPoints: { classify: inScratch('classify.ts'), node: inScratch('check/node.ts') },
    outdir: scratch.folder,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    logLevel: 'silent',
  });
  expect(await run(process.execPath, ['classify.js'], scratch.folder, env)).toMatch(/^\d: 0\.\d+\n$/);
  const { got, want } = JSON.parse(await run(process.execPath, ['node.js'], scratch.folder, env)) as Answer;
  expectClose('logits', got, want, modelTolerance.f32);
});

longTest('the README runs in a Vite app under a strict Content-Security-Policy, and the logits are right', async () => {
  expect(await buildApp()).toEqual([]);
  const site = await serveFiles(await builtFiles(inScratch('dist')), {
    'content-security-policy': "default-src 'self'",
  });
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
    });
    await page.goto(site.url);
    const answered = page.locator('body', { hasText: ':' }).waitFor({ timeout: 60_000 });
    await answered.catch((cause: unknown) => {
      throw new Error(`the app did not answer: ${complaints.join('; ') || 'it says nothing'}`, { cause });
    });
    expect(await page.evaluate(() => document.body.innerText)).toMatch(/^\d: 0\.\d+$/);
    const { got, want } = await page.evaluate(() => window.answer);
    expectClose('logits', got, want, modelTolerance.f32);
    expect(complaints).toEqual([]);
  } finally {
    await Promise.allSettled([browser.close(), site.close()]);
  }
});

/** Builds the app as `vite build` does, and returns what Vite complained of. */
async function buildApp(): Promise<string[]> {
  const scripts = ['src/main.ts', 'check/page.ts'].map((file) => `<script type="module" src="/${file}"></script>`);
  const icon = '<link rel="icon" href="/icon.svg">'; // asked for in any case
  await writeFile(inScratch('index.html'), `<!doctype html><title>app</title>${icon}<body>${scripts.join('')}`);
  await writeFile(inScratch('public/icon.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>');
  const complaints: string[] = [];
  const logger = createLogger('warn');
  for (const level of ['warn', 'warnOnce', 'error'] as const) logger[level] = (message) => complaints.push(message);
  await buildWithVite({
    root: scratch.folder,
    configFile: false,
    customLogger: logger,
    logLevel: 'warn',
    build: { chunkSizeWarningLimit },
  });
  return complaints;
}

/** Files of a folder by the path under which a server has them. */
async function builtFiles(folder: string): Promise<Map<string, ServedFile>> {
  const types: Readonly<Record<string, string>> = {
    '.html': 'text/html',
    '.js': 'text/javascript',
    '.svg': 'image/svg+xml',
  };
  const files = new Map<string, ServedFile>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const url = `/${path.relative(folder, file)}`;
    const type = types[path.extname(file)] ?? 'application/octet-stream';
    files.set(url === '/index.html' ? '/' : url, { type, body: await readFile(file) });
  }
  return files;
}
