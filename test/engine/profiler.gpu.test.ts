// Timestamps of dispatches, their sums, and the trace. The times themselves are nobody's promise; that there is one each is.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import type { Timing } from '../../engine/profiler.ts';
import { chromeTrace, Profiler, summarize } from '../../engine/profiler.ts';
import { Program } from '../../engine/program.ts';
import { Weights } from '../../engine/weights.ts';
import { openOwnTestDevice, openTestDevice } from '../device.ts';
import { sumExpected, sumInput, sumPlan, sumSource } from './small-program.ts';

describe('on a device with timestamps', () => {
  let device: Device;
  beforeAll(async () => {
    device = await openTestDevice();
  });
  afterAll(() => device.dispose());

  async function profile(times: number, runs: number): Promise<{ timings: Timing[]; program: Program }> {
    const plan = sumPlan(device, times);
    const weights = await Weights.upload(device, sumSource(), plan.weights);
    const program = await Program.create(device, plan, weights);
    const profiler = new Profiler(device);
    for (let run = 0; run < runs; run++) {
      const outputs = await program.run({ x: sumInput(run) }, { profiler });
      expect(outputs.get('last')).toEqual(sumExpected(run, times));
    }
    const timings = await profiler.finish();
    program.dispose();
    weights.dispose();
    return { timings, program };
  }

  // more dispatches than one query set holds, resolved in pieces that end inside a block of queries
  test.each([
    [5, 1],
    [5, 4],
    [1033, 2],
  ])('%i dispatches in %i runs give an entry each, in order', async (times, runs) => {
    if (!device.capabilities.features.has('timestamp-query')) {
      process.stderr.write(
        'the adapter under test has no timestamp-query: the profiler refuses, and nothing more is tested\n',
      );
      expect(() => new Profiler(device)).toThrow(expect.objectContaining({ code: 'feature' }));
      return;
    }
    const { timings } = await profile(times, runs);
    const names = Array.from({ length: runs }, () => Array.from({ length: times }, (_, i) => `sum ${i}`)).flat();
    expect(timings.map(({ name }) => name)).toEqual(names);
    const wrong = timings.filter(({ start, ms }) => !(Number.isFinite(start) && start >= 0 && ms >= 0));
    expect(wrong).toEqual([]);
    expect(timings[0]).toMatchObject({ kernel: 'add f32', start: 0, flops: 30, bytes: 3 * 5 * 8 * 4 });
    expect(device.memory.statistics()).toMatchObject({ weights: 0, activations: 0, staging: 0, buffers: 0 });
  });
});

test('a device without timestamps is refused', async () => {
  const device = await openOwnTestDevice({});
  expect(() => new Profiler(device)).toThrow(expect.objectContaining({ code: 'feature' }));
  device.dispose();
});

const timings: readonly Timing[] = [
  { name: 'a.fc1', kernel: 'matmul-tile 64x64 f32', start: 0, ms: 2, flops: 4e9, bytes: 1e6 },
  { name: 'a.norm', kernel: 'layer-norm shared f32 64', start: 2, ms: 7, flops: 10, bytes: 2e6 },
  { name: 'b.fc1', kernel: 'matmul-tile 64x64 f32', start: 9, ms: 3, flops: 6e9, bytes: 3e6 },
  { name: 'b.add "x"', kernel: 'add f32', start: 12, ms: 0, flops: 1, bytes: 1 },
];

test('summarize adds up by kernel variant, longest first', () => {
  expect(summarize(timings)).toEqual([
    { name: 'layer-norm', variant: 'shared f32 64', calls: 1, ms: 7, flops: 10, bytes: 2e6 },
    { name: 'matmul-tile', variant: '64x64 f32', calls: 2, ms: 5, flops: 10e9, bytes: 4e6 },
    { name: 'add', variant: 'f32', calls: 1, ms: 0, flops: 1, bytes: 1 },
  ]);
  expect(summarize([])).toEqual([]);
});

test('chromeTrace is JSON with a complete event a dispatch, in microseconds', () => {
  const trace = JSON.parse(chromeTrace(timings, 'the adapter'));
  expect(trace.traceEvents[0]).toMatchObject({ ph: 'M', name: 'process_name', args: { name: 'the adapter' } });
  const events = trace.traceEvents.slice(1);
  expect(events.length).toBe(timings.length);
  expect(events[2]).toEqual({
    name: 'b.fc1',
    cat: 'matmul-tile',
    ph: 'X',
    ts: 9000,
    dur: 3000,
    pid: 1,
    tid: 1,
    args: { kernel: 'matmul-tile 64x64 f32', gflop: 6, gflops: 2000, megabytes: 3 },
  });
  expect(events[3]).toMatchObject({ name: 'b.add "x"', args: { gflops: 0 } });
});
