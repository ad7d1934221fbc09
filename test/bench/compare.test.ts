import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareReports, comparisonText, parseReport, regressions } from '../../bench/compare.ts';
import type { BenchReport, BenchRow, KernelRow } from '../../bench/report.ts';
import { coldStart, kernelTable } from '../../bench/tables.ts';
import { bench } from '../../cli/bench.ts';
import { call } from '../cli/call.ts';

const kernel = (name: string, ms: number): KernelRow => ({
  name,
  variant: 'f32',
  calls: 1,
  ms,
  gflops: 5,
  unit: 'f32',
  fraction: 0.5,
  gbps: 1,
  fractionOfBandwidth: 0.1,
});

const row = (changes: Partial<BenchRow> = {}): BenchRow => ({
  model: 'stam_16',
  frames: 16,
  batch: 1,
  dtype: 'f32',
  videosPerSecond: 10,
  msPerVideo: { median: 100, min: 99, max: 101, runs: 3 },
  gflopPerVideo: 1,
  gflopPerSecond: 1,
  fractionOfCeiling: 0.5,
  weightBytes: 1,
  peakBytes: 2,
  uploadMs: 1200.4,
  loadMs: 1300,
  compileMs: 300.2,
  pipelines: 17,
  tuneMs: 0,
  tuning: { origin: 'chosen by rule', problems: [] },
  firstVideoMs: 4000,
  encodeMs: 1,
  maxAbsError: 1e-6,
  kernels: [],
  ...changes,
});

const adapter = { vendor: 'v', architecture: 'a', device: 'd', description: 'x', software: false };
const report = (rows: readonly BenchRow[], changes: Partial<BenchReport> = {}): BenchReport => ({
  version: '0',
  date: '2026-01-01',
  adapter,
  features: [],
  ceiling: { gflops: 10, gbps: 10 },
  matrixCeilings: [],
  rows,
  ...changes,
});

test('checked and unchecked shaders are not compared', () => {
  const [checked, unchecked] = [report([row()]), report([row()], { unchecked: true })];
  expect(() => compareReports(checked, unchecked)).toThrow(/^--compare: only the later report is of unchecked shaders/);
  expect(() => compareReports(unchecked, checked)).toThrow(/only the earlier report/);
  expect(compareReports(unchecked, unchecked).rows).toHaveLength(1);
  expect(compareReports(checked, report([row()], { unchecked: false })).rows).toHaveLength(1);
});

test('rows are matched by model, batch and dtype, whatever their order', () => {
  const before = report([row(), row({ batch: 4, videosPerSecond: 20 }), row({ model: 'stam_8' })]);
  const after = report([row({ dtype: 'f16' }), row({ batch: 4, videosPerSecond: 30 }), row({ videosPerSecond: 5 })]);
  const { rows, unmatched } = compareReports(before, after);
  expect(rows.map(({ label, videosPerSecond }) => [label, videosPerSecond.speed])).toEqual([
    ['stam_16 batch 1 f32', 0.5],
    ['stam_16 batch 4 f32', 1.5],
  ]);
  expect(unmatched).toEqual(['stam_8 batch 1 f32', 'stam_16 batch 1 f16']);
});

test('a loss beyond the threshold is a regression, one within it is not', () => {
  const comparison = compareReports(report([row()]), report([row({ videosPerSecond: 8.9 })]));
  expect(regressions(comparison, 10)).toEqual(['stam_16 batch 1 f32 is 11.0 % slower']);
  expect(regressions(comparison, 12)).toEqual([]);
  expect(regressions(compareReports(report([row()]), report([row({ videosPerSecond: 20 })])), 0)).toEqual([]);
});

test('kernels are compared where both rows have a profile, the longest first', () => {
  const before = row({ kernels: [kernel('norm', 4), kernel('matmul', 10), kernel('gone', 20), kernel('short', 0)] });
  const after = row({ kernels: [kernel('norm', 8), kernel('matmul', 5), kernel('new', 1), kernel('short', 0)] });
  const [{ kernels }] = compareReports(report([before]), report([after])).rows;
  expect(kernels.map(({ kernel: name, ms }) => [name, ms.speed])).toEqual([
    ['gone f32', undefined],
    ['matmul f32', 2],
    ['norm f32', 0.5],
    ['new f32', undefined],
    ['short f32', undefined],
  ]);
  expect(comparisonText(compareReports(report([before]), report([after])))).toMatch(/^matmul f32 +10 +5 +2\.00x$/m);
  expect(compareReports(report([before]), report([row()])).rows[0].kernels).toEqual([]);
});

test('different adapters are refused, and what differs is named', () => {
  const other = report([row()], { adapter: { ...adapter, device: 'e', software: true } });
  expect(() => compareReports(report([row()]), other)).toThrow(
    /different adapters; got device 'd' and 'e', software 'false' and 'true'$/,
  );
});

test.each([
  ['{', /no JSON/],
  ['[]', /it has no adapter/],
  [JSON.stringify({ adapter: { vendor: 'v' }, rows: [] }), /its adapter has no architecture/],
  [JSON.stringify({ adapter }), /it has no rows/],
  [JSON.stringify(report([row(), row({ videosPerSecond: 0 })])), /its row 1 lacks/],
])('%s is no report', (text, message) => {
  expect(() => parseReport('a.json', text)).toThrow(message);
});

test('the table of kernels says which ceiling is the nearer one', () => {
  const memory = { ...kernel('copy', 1), fraction: 0.1, fractionOfBandwidth: 0.8 };
  expect(kernelTable([kernel('matmul', 1), memory])).toMatch(/50\.0 % +f32\ncopy.* 80\.0 % +memory$/);
});

test('the cold start is one line', () => {
  expect(coldStart(row())).toBe(
    'stam_16 cold start: upload 1,200, compile 300 (overlapping), tune 0, first logits 4,000 ms; 17 pipelines',
  );
});

describe('stam bench --compare', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await fs.mkdtemp(path.join(os.tmpdir(), 'stam-test-'));
    const reports = {
      old: report([row()]),
      slow: report([row({ videosPerSecond: 8 })]),
      other: report([row({ batch: 2 })]),
    };
    for (const [name, value] of Object.entries(reports)) {
      await fs.writeFile(path.join(folder, `${name}.json`), JSON.stringify(value));
    }
  });
  afterAll(() => fs.rm(folder, { recursive: true }));

  const compare = (...args: string[]) =>
    call(
      [bench],
      ['bench', '--compare', ...args.map((arg) => (arg.startsWith('-') ? arg : path.join(folder, `${arg}.json`)))],
    );

  test.each([
    [['old', 'slow'], 1, /^stam bench: stam_16 batch 1 f32 is 20\.0 % slower; allowed are 10 %\n$/],
    [['old', 'slow', '--threshold=25'], 0, /^$/],
    [['slow', 'old'], 0, /^$/],
    [['old', 'none'], 2, /none\.json: cannot be read; ENOENT/],
    [['old', 'other'], 2, /no row is in both reports/],
    [['old'], 2, /got 1 files, expected two reports/],
  ])('%j exits with %d', async (args, code, stderr) => {
    const outcome = await compare(...args);
    expect(outcome.code).toBe(code);
    expect(outcome.stderr).toMatch(stderr);
    expect(outcome.stdout).toMatch(code === 2 ? /^$/ : /^stam_16 batch 1 f32 /m);
  });

  test('files without it are refused before anything is measured', async () => {
    const { code, stderr } = await call([bench], ['bench', 'old.json']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/got 'old\.json' without --compare/);
  });
});
