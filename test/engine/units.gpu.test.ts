// How many units a GPU has: on made GPUs whose number is known, and the kernel that is timed for it on this adapter.
import { describe, expect, test } from 'vitest';
import { Clock } from '../../engine/clock.ts';
import { PassTimer } from '../../engine/pass-timer.ts';
import type { TimeWorkgroups } from '../../engine/units.ts';
import { busyKernel, countUnits, measureUnits } from '../../engine/units.ts';
import { defaultCapabilities } from '../capabilities.ts';
import { openOwnTestDevice } from '../device.ts';

interface MadeGpu {
  /** Milliseconds of a dispatch of so many workgroups, of which one takes `waveMs`. */
  readonly msOf: (workgroups: number) => number;
  /** Nanoseconds of which stamps are multiples; a wall clock has no stamps of the GPU's, but counts each submission. */
  readonly clock: 'exact' | 'rounded' | 'wall';
  /** By how much the GPU is slower than that, when it has computed for so many milliseconds. */
  readonly slowdown?: (ms: number) => number;
}

/** Times are off by up to 3 % of themselves, by a generator's numbers; a wall clock's by up to half a millisecond besides. */
function makeGpu({ msOf, clock: kind, slowdown = () => 1 }: MadeGpu) {
  const clock = new Clock(kind === 'wall' ? 'wall clock' : 'timestamps');
  const resolution = kind === 'rounded' ? 65_536n : 1n;
  let state = 7;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  let ns = 987_654_321n;
  let busyMs = 0;
  const stamp = () => ns - (ns % resolution);
  const pass = (ms: number) => {
    ns += BigInt(Math.round(ms * 1e6));
  };
  const time: TimeWorkgroups = async (workgroups, repeats) => {
    pass(0.1 + random() * 0.1);
    const begin = stamp();
    const ms = msOf(workgroups) * repeats * (1 + 0.06 * (random() - 0.5)) * slowdown(busyMs);
    busyMs += ms;
    pass(ms + (kind === 'wall' ? 0.2 + random() * 0.5 : 0));
    return clock.between({ begin, end: stamp() });
  };
  return { time, clock, busyMs: () => busyMs };
}

const waves = (units: number, waveMs: number) => (workgroups: number) => 0.003 + Math.ceil(workgroups / units) * waveMs;

/** Milliseconds that a GPU may be kept busy, if a workgroup takes a tenth of one. */
const mostMs = { exact: 70, rounded: 250, wall: 250 } as const;

describe.each(['exact', 'rounded', 'wall'] as const)('by a clock that is %s', (clock) => {
  test.each([132, 28, 8, 1])('%i units are counted exactly, in the time that there is for it', async (units) => {
    for (const waveMs of [0.03, 0.1, 0.7]) {
      const gpu = makeGpu({ msOf: waves(units, waveMs), clock });
      expect(await countUnits(gpu.time, gpu.clock), `a wave of ${waveMs} ms`).toBe(units);
      if (waveMs <= 0.1) expect(gpu.busyMs()).toBeLessThan(mostMs[clock]);
    }
  });
});

test('every number of units is counted exactly', async () => {
  for (let units = 1; units <= 400; units++) {
    const gpu = makeGpu({ msOf: waves(units, 0.1), clock: 'exact' });
    expect(await countUnits(gpu.time, gpu.clock)).toBe(units);
  }
});

test('a clock that rises to thrice its speed meanwhile does not change the number', async () => {
  const slowdown = (ms: number) => 1 + 2 * Math.exp(-ms / 20);
  const gpu = makeGpu({ msOf: waves(132, 0.1), clock: 'exact', slowdown });
  expect(await countUnits(gpu.time, gpu.clock)).toBe(132);
});

describe('no number is told where', () => {
  test.each<[string, (workgroups: number) => number]>([
    ['times rise evenly', (workgroups) => 0.1 * Math.max(1, workgroups / 132)],
    ['each workgroup adds to a time that there is in any case', (workgroups) => 0.1 + workgroups / 1000],
    ['any number takes the same time', () => 0.1],
    ['the first step is to four times the time', (workgroups) => 0.1 * Math.ceil(workgroups / 132) ** 2],
    ['the second wave is no plateau', (workgroups) => 0.1 * (workgroups > 132 ? 1 + workgroups / 132 : 1)],
  ])('%s', async (_, msOf) => {
    for (const clock of ['exact', 'rounded'] as const) {
      const gpu = makeGpu({ msOf, clock });
      expect(await countUnits(gpu.time, gpu.clock)).toBeUndefined();
    }
  });

  test('an error of the clock hides every time', async () => {
    expect(await countUnits(async () => 0, new Clock('timestamps'))).toBeUndefined();
  });
});

test('an abort ends it', async () => {
  const gpu = makeGpu({ msOf: waves(132, 0.1), clock: 'exact' });
  await expect(countUnits(gpu.time, gpu.clock, AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' });
});

describe('the kernel that keeps a unit busy', () => {
  test('is one workgroup as large as the device allows, up to 1024', () => {
    const invocationsOf = (workgroupInvocations: number) =>
      busyKernel({ limits: { ...defaultCapabilities.limits, workgroupInvocations } }).constants['INVOCATIONS'];
    expect([64, 256, 1024, 2048].map(invocationsOf)).toEqual([64, 256, 1024, 1024]);
  });

  test('runs on this adapter, stores nothing, and leaves nothing behind', async () => {
    const device = await openOwnTestDevice();
    const timer = await PassTimer.create(device);
    const before = device.memory.statistics().buffers;
    const units = await measureUnits(device, timer);
    expect(units ?? 1).toBeGreaterThan(0);
    expect(device.memory.statistics().buffers).toBe(before);
    expect(device.pipelines.size).toBe(0);
    timer.dispose();
    device.dispose();
  }, 60_000);

  test('tells no number where the device refuses it, and leaves nothing behind', async () => {
    const device = await openOwnTestDevice({});
    const { capabilities } = device;
    const limits = { ...capabilities.limits, workgroupInvocations: 1024 };
    const timer = await PassTimer.create(device);
    const before = device.memory.statistics().buffers;
    expect(await measureUnits(Object.assign(device, { capabilities: { ...capabilities, limits } }), timer)).toBe(
      undefined,
    );
    expect(device.memory.statistics().buffers).toBe(before);
    timer.dispose();
    device.dispose();
  });
});
