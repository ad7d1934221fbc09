// How many frames go through the spatial transformer at a time: asked for, measured, or by rule, and always what the device can bind.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { framesReason } from '../../cli/frames-reason.ts';
import type { Capabilities, Device } from '../../engine/device.ts';
import { KernelTexts } from '../../engine/kernel-texts.ts';
import { choosePass } from '../../engine/pass-size.ts';
import { formatPlan } from '../../engine/plan.ts';
import { DeviceTestbed } from '../../engine/trial.ts';
import type { TunedPass, Tuning } from '../../engine/tuned.ts';
import { namedConfig } from '../../model/config.ts';
import { Planner } from '../../model/planner.ts';
import { defaultCapabilities } from '../capabilities.ts';
import { openTestDevice } from '../device.ts';
import { smallestConfig } from './fixtures.ts';

const large = withBindings(4 * 2 ** 30);
const software = { ...large, adapter: { ...large.adapter, software: true } };

function withBindings(bytes: number): Capabilities {
  const limits = { ...defaultCapabilities.limits, storageBufferBindingBytes: bytes, bufferBytes: bytes };
  return { ...defaultCapabilities, limits };
}

/** What planners need of a device. */
const without = (capabilities: Capabilities) => ({ capabilities, pipelines: new KernelTexts() }) as unknown as Device;

/** Planners plan for what a device can do, without it. */
const plannerOn = (capabilities: Capabilities, wanted?: number, model = 'stam_16') =>
  new Planner(without(capabilities), namedConfig(model), 'f16', { wanted });

const tuned = (items: number, ...tried: number[]): Tuning => {
  const pass: TunedPass = { items, tried: tried.map((count) => ({ items: count, ms: 1 })), unreached: [] };
  return { date: '', ms: 1, clock: 'timestamps', how: '', problems: [], untried: 0, pass };
};

/** Frames of the passes over V videos. */
const passesOf = (planner: Planner, videos: number) =>
  planner
    .graph(videos)
    .nodes.filter(({ operator }) => operator === 'patchEmbed')
    .map(({ inputs }) => inputs['frames'].shape[0]);

describe('the frames of a pass', () => {
  test('are by rule what the largest GPU takes, and fewer on a processor', () => {
    expect(passesOf(plannerOn(large), 10)).toEqual([128, 32]);
    expect(passesOf(plannerOn(software), 2)).toEqual([16, 16]);
    expect(framesReason(plannerOn(large), 1)).toMatch(/^16 at a time \(all there are\); at most 128 by rule: eight/);
    expect(framesReason(plannerOn(software), 3)).toMatch(/^16 at a time; at most 16 by rule: a processor/);
  });

  test('are what was measured, unless a number was asked for', () => {
    const planner = plannerOn(large);
    planner.adopt(tuned(32, 16, 32, 64));
    expect(passesOf(planner, 5)).toEqual([32, 32, 16]);
    expect(framesReason(planner, 5)).toBe('32 at a time; at most 32 as measured');
    planner.adopt(undefined);
    expect(passesOf(planner, 5)).toEqual([80]);
    const asked = plannerOn(large, 48);
    asked.adopt(tuned(32, 16, 32, 64));
    expect(passesOf(asked, 5)).toEqual([48, 32]);
    expect(framesReason(asked, 5)).toBe('48 at a time; at most 48 as asked for');
    expect(asked.passes(5)).toBeUndefined();
  });

  test('are no fewer than by rule in a larger batch where the most that were measured are fastest', () => {
    const planner = plannerOn(large);
    planner.adopt(tuned(64, 16, 32, 64));
    expect(passesOf(planner, 4)).toEqual([64]);
    expect(passesOf(planner, 12)).toEqual([128, 64]);
  });

  test('to choose from are as many as the batch has and as a binding holds', () => {
    expect(plannerOn(large).passes(16)?.counts).toEqual([16, 32, 64, 128, 256]);
    expect(plannerOn(large).passes(3)?.counts).toEqual([16, 32, 48]);
    expect(plannerOn(large).passes(1)?.counts).toEqual([16]);
    const widest = 197 * 3072 * 2;
    const bound = plannerOn(withBindings(100 * widest));
    expect(bound.passes(16)?.counts).toEqual([16, 32, 64, 100]);
    bound.adopt(tuned(128, 64, 128));
    expect(framesReason(bound, 16)).toBe(
      '100 at a time (no more fit a binding of this device); at most 128 as measured',
    );
  });

  test('and a name under which they are found again, whatever was measured', () => {
    const planner = plannerOn(large);
    const use = planner.use(8);
    planner.adopt(tuned(32, 16, 32, 64));
    expect(planner.use(8)).toBe(use);
    expect(plannerOn(large, 32).use(8)).not.toBe(use);
  });
});

test('kernels are those of a device of as many units as were measured, also by a tuning that tried none', async () => {
  const withUnits = (units: number) => ({ ...large, units });
  const kernelsOf = (planner: Planner) => formatPlan(planner.plan(planner.graph(1)));
  const [few, many] = [kernelsOf(plannerOn(withUnits(8))), kernelsOf(plannerOn(withUnits(132)))];
  expect(few).not.toBe(many);
  const planner = new Planner(without(withUnits(132)), namedConfig('stam_16'), 'f16', {
    selfCheck: { enabled: false },
  });
  const { pass: _, ...untuned } = tuned(16);
  planner.adopt({ ...untuned, units: 8 });
  expect(kernelsOf(planner)).toBe(few);
  expect(formatPlan(await planner.rightPlan(planner.graph(1)))).toBe(few);
  planner.adopt(untuned);
  expect(kernelsOf(planner)).toBe(many);
});

describe('passes of a network', () => {
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

  test('have the same nodes whatever the count, and run on the operands of the largest', async () => {
    const planner = new Planner(device, smallestConfig, 'f32');
    const graph = planner.passes(1)?.graph;
    if (!graph) throw new Error('there are no passes');
    const counts = [1, 2, 3];
    const names = counts.map((count) => graph(count).nodes.map(({ name }) => name));
    expect(names[1]).toEqual(names[0]);
    expect(names[2]).toEqual(names[0]);
    const before = device.memory.statistics().buffers;
    const until = Number.POSITIVE_INFINITY;
    const pass = await choosePass(testbed, { counts, graph }, { choose: (_, [first]) => first, until });
    expect(pass?.tried.map(({ items }) => items)).toEqual(counts);
    expect(counts).toContain(pass?.items);
    expect(device.memory.statistics().buffers).toBe(before);
  });
});
