import { afterAll, beforeAll, expect, test } from 'vitest';
import { measureCeiling } from '../../bench/ceiling.ts';
import type { Measurement } from '../../bench/harness.ts';
import { measure } from '../../bench/harness.ts';
import { benchTable, kernelTable, paperTable } from '../../bench/tables.ts';
import type { Device } from '../../engine/device.ts';
import type { Checkpoint } from '../../loaders/checkpoint.ts';
import { fileSource } from '../../loaders/node-source.ts';
import { openSafetensors } from '../../loaders/safetensors.ts';
import { openSynthetic } from '../../loaders/synthetic.ts';
import { configFromMetadata } from '../../model/config.ts';
import { weightShapes } from '../../model/weights.ts';
import { openTestDevice } from '../device.ts';

let device: Device;
let fixture: Checkpoint;
let measurement: Measurement;
const notices: string[] = [];

beforeAll(async () => {
  device = await openTestDevice();
  fixture = await openSafetensors(
    await fileSource(new URL('../fixtures/tiny-a.io.safetensors', import.meta.url).pathname),
  );
  const config = configFromMetadata(fixture.metadata);
  if (!config) throw new Error('the fixture has no configuration');
  measurement = {
    model: 'tiny-a',
    config,
    checkpoint: openSynthetic(1, new Map([...weightShapes(config), ['ema.decay', [1]]])),
    dtype: 'f32',
    tune: 'off',
    batch: 2,
    runs: 3,
    warmUps: 1,
    ceilings: { basic: { gflops: 10, gbps: 10 }, matrices: [] },
    reference: await fixture.read('logits'),
    signal: new AbortController().signal,
    onLoad: () => undefined,
    onNotice: (text) => notices.push(text),
    onRun: () => undefined,
  };
});
afterAll(async () => {
  await fixture.close();
  device.dispose();
});

test('a measured row has every field, checked logits and the kernels that ran', async () => {
  const { row, timings } = await measure(device, measurement);
  expect(row).toMatchObject({ model: 'tiny-a', frames: 4, batch: 2, dtype: 'f32', tuneMs: 0 });
  expect(row.msPerVideo.runs).toBe(3);
  expect(notices).toEqual([
    expect.stringMatching(/^synthetic:1: 1 tensor that STAM does not have is ignored: ema\.decay /),
  ]);
  expect(row.maxAbsError).toBeLessThan(1e-4);
  for (const value of [
    row.videosPerSecond,
    row.gflopPerSecond,
    row.loadMs,
    row.firstVideoMs,
    row.encodeMs,
    row.weightBytes,
    row.uploadMs,
    row.pipelines,
  ]) {
    expect(value).toBeGreaterThan(0);
  }
  expect(row.peakBytes).toBeGreaterThan(row.weightBytes);
  expect(row.kernels.reduce((calls, kernel) => calls + kernel.calls, 0)).toBe(timings.length);
  // what earlier kernels compiled is not counted again
  expect(row.pipelines).toBeLessThanOrEqual(device.pipelines.size);
  for (const { gbps, fractionOfBandwidth } of row.kernels) expect(fractionOfBandwidth).toBeCloseTo(gbps / 10);
  const text = benchTable([row]) + kernelTable(row.kernels) + paperTable();
  expect(text).toContain('tiny-a');
  expect(text).toContain('not measured here');
});

test('wrong logits stop the measurement before a time is reported', async () => {
  const wrong = measurement.reference?.map((value, i) => (i === 3 ? value + 2e-4 : value));
  await expect(measure(device, { ...measurement, reference: wrong })).rejects.toThrow(/not those of the official code/);
});

test('without a reference the error is null, not zero', async () => {
  const { row } = await measure(device, { ...measurement, reference: undefined, warmUps: 0, runs: 1 });
  expect(row.maxAbsError).toBeNull();
});

test('the ceilings are positive', async () => {
  const { gflops, gbps } = await measureCeiling(device);
  expect(gflops).toBeGreaterThan(0);
  expect(gbps).toBeGreaterThan(0);
});
