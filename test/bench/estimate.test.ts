// What a bench says before it begins, held against the benches that are written down.
import fs from 'node:fs';
import { expect, test } from 'vitest';
import { about, estimateLines, estimateMs } from '../../bench/estimate.ts';
import type { BenchReport } from '../../bench/report.ts';

const reportOf = (name: string) =>
  JSON.parse(fs.readFileSync(new URL(`../../bench/results/${name}.json`, import.meta.url), 'utf8')) as BenchReport;

test.each(['llvmpipe.f32', 'llvmpipe.f16', 'swiftshader.f32'])(
  'the estimate of %s is right to a factor of 1.5',
  (name) => {
    const { adapter, ceiling, rows } = reportOf(name);
    const [{ gflopPerVideo, loadMs, firstVideoMs, tuneMs }] = rows;
    const task = { flops: 1e9 * gflopPerVideo, family: 'stam', isTuned: tuneMs > 0 } as const;
    const factor = estimateMs(task, adapter, ceiling.gflops).ms / (loadMs + firstVideoMs);
    expect(factor).toBeGreaterThan(1 / 1.5);
    expect(factor).toBeLessThan(1.5);
  },
);

test('several models have a line each and one for all', () => {
  const { adapter, ceiling } = reportOf('swiftshader.f32');
  const task = { name: 'stam_16, 1 video in f32', flops: 563e9, family: 'stam', isTuned: false } as const;
  const line = 'stam_16, 1 video in f32: about 2 minutes, of which 8 s to load and compile';
  expect(estimateLines([task], adapter, ceiling.gflops)).toEqual([line]);
  expect(estimateLines([task, task], adapter, ceiling.gflops)).toEqual([line, line, 'in all about 5 minutes']);
});

test('a guess is told in words of its own size', () => {
  expect([200, 4400, 47_000, 95_000, 315_000, 9e6].map(about)).toEqual([
    '1 s',
    '4 s',
    '45 s',
    '2 minutes',
    '5 minutes',
    '2.5 hours',
  ]);
});
