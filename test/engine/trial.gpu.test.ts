// The testbed that is a device: what is timed there stays what it is, however often it runs.
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Clock } from '../../engine/clock.ts';
import type { Device } from '../../engine/device.ts';
import { Graph } from '../../engine/graph.ts';
import type { Kernel } from '../../engine/kernel.ts';
import { DeviceTestbed } from '../../engine/trial.ts';
import { openTestDevice } from '../device.ts';
import { doubling, rows } from './doubling.ts';

let device: Device;
let testbed: DeviceTestbed;
beforeAll(async () => {
  device = await openTestDevice();
  testbed = await DeviceTestbed.create(device);
});
afterAll(() => {
  testbed.dispose();
  device.dispose();
});

/** output += input, as a layer adds to the stream that it branches off. */
const adding: Kernel = {
  ...doubling('adding'),
  source: doubling('adding').source.replace('output[id.x] = value', 'output[id.x] += input[id.x]'),
};

function addition() {
  const graph = new Graph();
  const shape = [rows, 4];
  const inputs = { input: graph.input('input', shape, 'f32'), stream: graph.activation('stream', shape, 'f32') };
  const outputs = { output: graph.activation('output', shape, 'f32') };
  const takesOver = { output: 'stream' };
  graph.add({ name: 'add', operator: 'add', inputs, outputs, takesOver, flops: rows, candidates: () => [adding] });
  return graph.nodes[0];
}

test('what a kernel adds to is put back: many runs do not grow beyond what halves hold, and the result is that of one', async () => {
  const trial = await testbed.prepare(addition());
  const contestant = await trial.enter(adding);
  const once = await contestant.sample(1);
  const largest = Math.max(...once.map(Math.abs));
  expect(largest).toBeGreaterThan(0);
  // a sum of 3072 products of such numbers, 1024 times
  expect(1024 * 3072 * largest ** 2).toBeLessThan(65_504);
  await contestant.time(64, 1);
  expect(await contestant.sample(1)).toEqual(once);
  trial.dispose();
});

test('its capabilities say how many units were measured, and those of the device stay', async () => {
  const { capabilities } = device;
  const own = await DeviceTestbed.create(device);
  const units = await own.measureUnits();
  expect(own.capabilities).toEqual({ ...capabilities, units: units ?? capabilities.units });
  expect(device.capabilities).toBe(capabilities);
  own.dispose();
});

test('inputs of any length are filled to their end', async () => {
  const graph = new Graph();
  const long = 2 ** 19 + 12;
  const inputs = { input: graph.input('input', [long, 4], 'f32') };
  const outputs = { output: graph.activation('output', [long, 4], 'f32') };
  const kernel: Kernel = { ...doubling('copy'), workgroups: [Math.ceil(long / 64), 1, 1] };
  graph.add({ name: 'copy', operator: 'double', inputs, outputs, flops: long, candidates: () => [kernel] });
  const trial = await testbed.prepare(graph.nodes[0]);
  const sample = await (await trial.enter(kernel)).sample(1);
  expect(sample.filter((value) => value === 0).length).toBeLessThan(sample.length / 100);
  trial.dispose();
});

test('it waits for compilers no longer than it is told', async () => {
  const kernels = [doubling('a', { turns: 31 }), doubling('b', { turns: 32 })];
  const compile = vi.spyOn(device.pipelines, 'compile').mockReturnValue(new Promise(() => undefined));
  expect(await testbed.compile(kernels, 10)).toEqual([]);
  compile.mockRestore();
  expect(await testbed.compile(kernels, 60_000)).toEqual(kernels);
  for (const kernel of kernels) testbed.forget(kernel);
});

test('a trial and the testbed free what they took', async () => {
  const before = device.memory.statistics();
  const own = await DeviceTestbed.create(device);
  const trial = await own.prepare(addition());
  await (await trial.enter(adding)).time(2, 0.5);
  trial.dispose();
  own.dispose();
  expect(device.memory.statistics()).toEqual({ ...before, peak: expect.any(Number) });
});

test('a clock is taken for rounded until a reading says otherwise', () => {
  const step = 65_536n;
  const clock = new Clock('timestamps');
  expect(clock.between({ begin: 3n * step, end: 5n * step })).toBeCloseTo(0.131072);
  expect(clock.between({ begin: 5n * step, end: 5n * step })).toBe(0);
  expect(clock.name).toBe('timestamps rounded to 65536 ns');
  expect(clock.leastMs).toBeCloseTo(6.5536);
  expect(clock.between({ begin: 7n * step, end: 7n * step + 1000n })).toBeCloseTo(0.001);
  clock.between({ begin: 8n * step, end: 9n * step });
  expect(clock.name).toBe('timestamps');
  expect(clock.leastMs).toBe(2);
  // drivers that count backwards are not believed
  expect(clock.between({ begin: 2n, end: 1n })).toBe(0);
  expect(new Clock('wall clock').name).toBe('wall clock');
});
