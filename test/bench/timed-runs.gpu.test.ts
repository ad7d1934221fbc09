// Timed runs of a small network, and of one that computes nothing.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Runnable, TimedRuns } from '../../bench/timed-runs.ts';
import { timeRuns } from '../../bench/timed-runs.ts';
import type { Device } from '../../engine/device.ts';
import { fileSource } from '../../loaders/node-source.ts';
import { openSafetensors } from '../../loaders/safetensors.ts';
import { openSynthetic } from '../../loaders/synthetic.ts';
import { configFromMetadata } from '../../model/config.ts';
import { StamModel } from '../../model/stam-model.ts';
import { weightShapes } from '../../model/weights.ts';
import { openTestDevice } from '../device.ts';

const { signal } = new AbortController();
const base: Omit<TimedRuns, 'inputElements' | 'perRun' | 'reference'> = {
  model: 'tiny',
  runs: 3,
  warmUps: 2,
  relative: false,
  signal,
  onRun: () => undefined,
};

describe('a network that computes nothing', () => {
  function fake(logitsOf: (run: number) => readonly number[]) {
    const seen: number[] = [];
    let waiting = 0;
    let most = 0;
    const run = async (frames: Float32Array) => {
      most = Math.max(most, ++waiting);
      const number = seen.push(frames.length) - 1;
      await new Promise((resolve) => setTimeout(resolve, 1));
      waiting--;
      return new Map([['logits', Float32Array.from(logitsOf(number))]]);
    };
    const program = async () => ({ plan: { commands: [] }, warmUp: async () => undefined });
    const network = { storage: 'f32', run, program, dispose: () => undefined } as unknown as Runnable;
    return { network, seen, most: () => most };
  }
  const options = { ...base, inputElements: 6, perRun: 2, reference: Float32Array.of(1, -2000) };

  test('gets every run, two at a time, and warm-up runs are not timed', async () => {
    const { network, seen, most } = fake(() => [1, -2000, 1, -2000]);
    const { times, error } = await timeRuns(network, options);
    expect(seen).toEqual([12, 12, 12, 12, 12]);
    expect(most()).toBe(2);
    expect(times.length).toBe(3);
    expect(error).toBe(0);
  });

  test('is checked in every run, the last and the warm-up runs too', async () => {
    for (const wrong of [0, 4]) {
      const { network } = fake((run) => [1, -2000, run === wrong ? 1.001 : 1, -2000]);
      await expect(timeRuns(network, options)).rejects.toThrow(/tiny: the logits are not those of the official code/);
    }
    await expect(timeRuns(fake(() => [1, Number.NaN]).network, options)).rejects.toThrow(/no time is reported/);
    await expect(timeRuns(fake(() => []).network, options)).rejects.toThrow(/got 0 logits/);
  });

  test('may be off relative to the largest logit', async () => {
    const { network } = fake(() => [1, -2000.1]);
    await expect(timeRuns(network, options)).rejects.toThrow(/a difference of 0\.09/);
    const { error } = await timeRuns(network, { ...options, relative: true });
    expect(error).toBeCloseTo(0.1 / 2000, 7);
    await expect(timeRuns(fake(() => [1, -2000.3]).network, { ...options, relative: true })).rejects.toThrow(
      /of the largest, expected at most 0\.0001 in f32/,
    );
  });
});

describe('on a device', () => {
  let device: Device;
  beforeAll(async () => {
    device = await openTestDevice();
  });
  afterAll(() => device.dispose());

  test('a small STAM has the official logits', async () => {
    const fixture = await openSafetensors(
      await fileSource(new URL('../fixtures/tiny-a.io.safetensors', import.meta.url).pathname),
    );
    const config = configFromMetadata(fixture.metadata);
    if (!config) throw new Error('the fixture has no configuration');
    const network = await StamModel.load(device, config, openSynthetic(1, weightShapes(config)), { dtype: 'f32' });
    const inputElements = config.frames * 3 * config.imageSize ** 2;
    const reference = await fixture.read('logits');
    const { storage, gmacs, times, error } = await timeRuns(network, { ...base, inputElements, perRun: 1, reference });
    expect({ storage, runs: times.length }).toEqual({ storage: 'f32', runs: 3 });
    expect(error).toBeLessThan(1e-4);
    expect(gmacs).toBeGreaterThan(0);
    network.dispose();
    await fixture.close();
  });
});
