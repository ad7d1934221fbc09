// The commands that need a device, in this process, on the adapter of the tests.
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bench } from '../../cli/bench.ts';
import { info } from '../../cli/info.ts';
import { run } from '../../cli/run.ts';
import { selftest } from '../../cli/selftest.ts';
import { createFileSink, fileSource } from '../../loaders/node-source.ts';
import { openSafetensors } from '../../loaders/safetensors.ts';
import { writeSafetensors } from '../../loaders/safetensors-writer.ts';
import { syntheticTensor } from '../../loaders/synthetic.ts';
import { configFromMetadata } from '../../model/config.ts';
import { weightShapes } from '../../model/weights.ts';
import { expectClose } from '../close.ts';
import { longTest, sampleOf } from '../sample.ts';
import { call } from './call.ts';
import { shareDevice } from './shared-device.ts';

const adapter = ['--adapter', process.env['STAM_ADAPTER'] ?? 'software'];
const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}.io.safetensors`, import.meta.url));
let folder: string;

beforeAll(async () => {
  await shareDevice();
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'stam-test-'));
});
afterAll(() => fs.rm(folder, { recursive: true }));

test.each(sampleOf('models for run --dump', ['tiny-a', 'tiny-b', 'tiny-c'], 1))(
  'run --dump on %s gives every activation of the official code',
  async (name) => {
    const output = path.join(folder, `${name}.safetensors`);
    const args = [
      'run',
      '--weights',
      'synthetic:1',
      '--input',
      fixture(name),
      '--output',
      output,
      '--dump',
      ...adapter,
    ];
    const { code, stdout, stderr } = await call([run], args);
    expect({ code, stdout, stderr: stderr.includes('adapter: ') }).toEqual({ code: 0, stdout: '', stderr: true });
    const want = await openSafetensors(await fileSource(fixture(name)));
    const got = await openSafetensors(await fileSource(output));
    for (const tensor of [...want.tensors.keys()].filter((key) => key !== 'frames')) {
      expect(got.tensors.get(tensor)?.shape, tensor).toEqual(want.tensors.get(tensor)?.shape);
      expectClose(tensor, await got.read(tensor), await want.read(tensor), 1e-4);
    }
    await want.close();
    await got.close();
  },
);

test('run says what it makes up for a checkpoint of the first version, and what it ignores', async () => {
  const truth = await openSafetensors(await fileSource(fixture('tiny-a')));
  const config = configFromMetadata(truth.metadata);
  if (!config) throw new Error('the fixture has no configuration');
  const shapes = [...weightShapes(config), ['ema.decay', [1]] as const];
  const kept = shapes.filter(([name]) => !name.endsWith('.attn.qkv.bias'));
  const weights = path.join(folder, 'first-version.safetensors');
  const tensors = kept.map(([name, shape]) => ({
    name,
    dtype: 'F32' as const,
    shape,
    data: () => syntheticTensor(1, name, shape),
  }));
  await writeSafetensors(await createFileSink(weights), tensors, truth.metadata);
  await truth.close();
  const output = path.join(folder, 'first-version.io.safetensors');
  const args = ['run', '--weights', weights, '--input', fixture('tiny-a'), '--output', output, ...adapter];
  const { code, stderr } = await call([run], args);
  expect(code, stderr).toBe(0);
  expect(stderr).toMatch(/first-version\.safetensors: .* its qkv biases are taken as zeros\n/);
  expect(stderr).toMatch(
    /first-version\.safetensors: 1 tensor that STAM does not have is ignored: ema\.decay \(F32 \[1\]\)\n/,
  );
});

test('run writes what is no number, and says so', async () => {
  const input = path.join(folder, 'nan.io.safetensors');
  const truth = await openSafetensors(await fileSource(fixture('tiny-a')));
  const frames = await truth.read('frames');
  frames[0] = Number.NaN;
  const shape = truth.tensors.get('frames')?.shape ?? [];
  const tensors = [{ name: 'frames', dtype: 'F32', shape, data: () => frames } as const];
  await writeSafetensors(await createFileSink(input), tensors, truth.metadata);
  await truth.close();
  const output = path.join(folder, 'nan.safetensors');
  const { code, stderr } = await call(
    [run],
    ['run', '--weights', 'synthetic:1', '--input', input, '--output', output, ...adapter],
  );
  expect(code, stderr).toBe(0);
  expect(stderr).toMatch(/^warning: there is NaN or infinity in [^;]*\blogits\b[^;]*; the weights or the frames/m);
});

test('run refuses an input that does not fit, and writes nothing', async () => {
  const output = path.join(folder, 'none.safetensors');
  const args = [
    'run',
    '--model',
    'stam_8',
    '--weights',
    'synthetic:1',
    '--input',
    fixture('tiny-a'),
    '--output',
    output,
    ...adapter,
  ];
  const { code, stderr } = await call([run], args);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /frames: the frames do not fit the model; got \[4, 3, 32, 32\], expected \[V x 8, 3, 224, 224\]/,
  );
  await expect(fs.access(output)).rejects.toThrow();
});

test('run wants a model when nothing tells it', async () => {
  const args = [
    'run',
    '--weights',
    'synthetic:1',
    '--input',
    'synthetic:1',
    '--output',
    path.join(folder, 'x'),
    ...adapter,
  ];
  const { code, stderr } = await call([run], args);
  expect(code).toBe(2);
  expect(stderr).toMatch(/name the model/);
});

// Dawn writes to the process's own stderr
const isLinux = process.platform === 'linux';
if (!isLinux)
  process.stderr.write('skipped: a machine without Vulkan, which is looked for by this name on Linux only\n');
test.runIf(isLinux)('a machine without Vulkan is told nothing of it', async () => {
  await fs.writeFile(path.join(folder, 'libvulkan.so.1'), ''); // what the dynamic linker finds first, and cannot load
  const root = fileURLToPath(new URL('../..', import.meta.url));
  await promisify(execFile)(process.execPath, ['build.mjs', '--if-stale'], { cwd: root });
  const env = { ...process.env, LD_LIBRARY_PATH: folder, STAM_ADAPTER: 'auto' };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['dist/cli.js', 'info'], { cwd: root, env });
  expect(stdout).toContain('system adapters: none');
  expect(stderr).toMatch(/^adapter: \S* ?SwiftShader .+\n$/);
});

test('an adapter that is not there is named, with what there is', async () => {
  const { code, stderr } = await call([info], ['info', '--adapter', 'voodoo']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/no GPU adapter fits; got 'voodoo', expected a part of one of: .+/);
});

test('info --json names the adapter, its limits and the kernels of every operator', async () => {
  const { code, stdout } = await call([info], ['info', '--json', ...adapter]);
  expect(code).toBe(0);
  const report = JSON.parse(stdout) as {
    adapter: { software: boolean };
    kernels: { operator: string }[];
    why: string[];
  };
  expect(report.adapter.software).toBe(true);
  expect(new Set(report.kernels.map(({ operator }) => operator))).toEqual(
    new Set(['patchEmbed', 'linear', 'attention', 'layerNorm', 'assembleTokens']),
  );
  expect(report.why).toContainEqual(
    expect.stringMatching(/^frames: 16 at a time \(all there are\); at most 16 by rule: /),
  );
  expect(report.why).toContainEqual(expect.stringMatching(/^kernels: /));
});

longTest('selftest --compile-only says each kernel before it compiles it', async () => {
  const { code, stderr } = await call([selftest], ['selftest', '--compile-only', '--adapter', 'null']);
  expect(code).toBe(0);
  expect(stderr.match(/^compile matmul-tile /gm)?.length).toBeGreaterThan(10);
});

test.each([
  [
    [],
    /ceilings of the adapter: about \d+ s\nstam_16, 1 video in f32: about \d+ \w+, of which \d+ s to load and compile\n/,
  ],
  [
    ['--models', 'stam_8,stam_16', '--batch', '2'],
    /stam_8, 2 videos, 2 at a time, in f32: about .+\n.+\nin all about \d+ \w+\n/,
  ],
  [
    ['--table', 'paper'],
    /x3d_m, 1 view in f32: about .+\n(x3d.+\n){2}stam_16, 1 video in f32: .+\nin all about \d+ \w+\n/,
  ],
])('bench %j says what it is about to do and how long that takes', async (args, announcement) => {
  const signal = AbortSignal.abort(); // it ends where it would begin
  const { stdout, stderr } = await call([bench], ['bench', ...args, ...adapter], { signal });
  expect(stderr).toMatch(announcement);
  expect(stdout).toBe('');
});

test('bench refuses a model it does not know', async () => {
  const { code, stderr } = await call([bench], ['bench', '--models', 'stam_17', ...adapter]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/stam_17/);
});
