// stam bench --kernels and --unchecked: what they refuse, and a whole run.
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { KernelReport } from '../../bench/kernel-report.ts';
import { bench } from '../../cli/bench.ts';
import { selftest } from '../../cli/selftest.ts';
import { longTest } from '../sample.ts';
import { call } from './call.ts';

const adapter = ['--adapter', process.env['STAM_ADAPTER'] ?? 'software'];
let folder: string;
beforeAll(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'stam-bench-kernels-'));
});
afterAll(() => fs.rm(folder, { recursive: true }));

test.each([
  [['--kernels', '--table', 'paper'], /--table: not with --kernels/],
  [['--kernels', '--profile', 'x.json'], /--profile: not with --kernels/],
  [['--kernels', '--videos', '2'], /--videos: not with --kernels/],
  [['--kernels', '--weights', 'synthetic:2'], /--weights: not with --kernels/],
  [['--kernels', '--tune', 'off'], /--tune: not with --kernels/],
  [['--kernels', '--seconds', '0'], /--seconds/],
  [['--seconds', '5'], /--seconds: only with --kernels/],
  [['--table', 'paper', '--unchecked'], /--unchecked: not with --table/],
])('bench refuses %j before it opens a device', async (args, message) => {
  const { code, stdout, stderr } = await call([bench], ['bench', '--adapter', 'voodoo', ...args]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(message);
});

test.each([
  ['bench', []],
  ['bench', ['--kernels']],
  ['selftest', []],
])('%s %j runs nothing unchecked on a software adapter', async (name, args) => {
  const { code, stderr } = await call([bench, selftest], [name, ...args, '--unchecked', ...adapter]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/--unchecked: not on a software adapter; got .*\(software\)/);
});

longTest('selftest compiles unchecked shaders where none runs', async () => {
  const { code, stderr } = await call([selftest], ['selftest', '--compile-only', '--unchecked', '--adapter', 'null']);
  expect(code).toBe(0);
  expect(stderr).toMatch(/^adapter: .*, indices unchecked$/m);
  expect(stderr).toMatch(/^compile matmul-tile /m);
});

test('unchecked shaders have a Dawn of their own, made once', async () => {
  const made: string[][] = [];
  vi.resetModules();
  vi.doMock('webgpu', async (original) => {
    const dawn = await original<typeof import('webgpu')>();
    return { ...dawn, create: (flags: string[]) => made.push(flags) && dawn.create(flags) };
  });
  const { requestNodeAdapter } = await import('../../engine/node-adapter.ts');
  for (const unchecked of [false, true, true, false]) await requestNodeAdapter('null', { unchecked });
  vi.doUnmock('webgpu');
  vi.resetModules();
  expect(made).toHaveLength(2);
  expect(made.map((flags) => /disable_robustness,disable_workgroup_init/.test(flags.join(' ')))).toEqual([false, true]);
});

test('a run of a moment has every problem and every kernel in its report, reached or not', async () => {
  const file = path.join(folder, 'kernels.json');
  const args = ['bench', '--kernels', '--models', 'stam_8', '--dtype', 'f32', '--seconds', '1', '--json', file];
  const { code, stdout, stderr } = await call([bench], [...args, ...adapter]);
  expect(code, stderr).toBe(0);
  const report = JSON.parse(await fs.readFile(file, 'utf8')) as KernelReport;
  expect(report).toMatchObject({
    version: expect.any(String),
    date: expect.stringMatching(/^\d{4}-/),
    adapter: { software: true },
    features: expect.any(Array),
    unchecked: false,
    dtype: 'f32',
    batch: 1,
    ceilings: { gflops: expect.any(Number), gbps: expect.any(Number), matrices: [] },
  });
  expect(new Set(report.rows.map(({ operator }) => operator))).toEqual(
    new Set(['patchEmbed', 'linear', 'attention', 'layerNorm', 'assembleTokens']),
  );
  const problems = new Set(report.rows.map(({ operator, problem }) => `${operator} ${problem}`));
  expect(report.rows.filter(({ chosen }) => chosen).length).toBe(problems.size);
  expect(report.rows.filter(({ status }) => /^(?:wrong|refused|lost)/.test(status))).toEqual([]);
  expect(stdout).toMatch(/; kernels of stam_8 in f32, batch 1\n/);
  expect(stdout).toContain('not reached, ');
  for (const { kernel } of report.rows) expect(stdout).toContain(kernel);
  expect(stderr).toMatch(
    /kernels of stam_8 in f32, batch 1: \d+ for \d+ problems, at most 1 s \(--seconds\)\nmeasuring the ceilings .+: about \d+ s\n/,
  );
});

test('Ctrl-C ends it', async () => {
  const controller = new AbortController();
  controller.abort(new DOMException('interrupted', 'AbortError'));
  const { code, stdout } = await call([bench], ['bench', '--kernels', ...adapter], { signal: controller.signal });
  expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
});
