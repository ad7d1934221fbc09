// Times of several kernels side by side: they take turns, each repeats its dispatch until the clock can tell, and the median counts.
import type { Clock } from './clock.ts';
import { maxRepeats, nextRepeats } from './clock.ts';
import { throwIfAborted } from './errors.ts';
import { median } from './median.ts';

/** Something to be timed. */
export interface Runner {
  /** How much a run does, in any unit; runners are compared by their time for one unit. */
  readonly work: number;
  /** Milliseconds that so many runs take, one right after another. */
  run(repeats: number): Promise<number>;
}

export interface RoundOptions {
  readonly clock: Clock;
  readonly rounds: number;
  /** The host's clock, and the moment on it after which nothing more is begun. */
  readonly now: () => number;
  readonly until: number;
  readonly signal?: AbortSignal | undefined;
}

/** Slower than the fastest by this factor, a runner is not timed again. */
export const hopeless = 2;
/** A pass that takes longer on the host's clock is not repeated more often, whatever the device's clock says. */
const patienceMs = 250;

interface Timed extends Runner {
  /** Milliseconds of a unit of work, one for each round. */
  readonly times: number[];
  repeats: number;
}

/**
 * Milliseconds of a unit of work by each runner: the median of its rounds, or undefined where there was no time for one. The first is
 * timed in any case; those that come after one that would take too long are not.
 */
export async function timeInRounds(
  runners: readonly Runner[],
  { clock, rounds, now, until, signal }: RoundOptions,
): Promise<(number | undefined)[]> {
  const all = runners.map((runner): Timed => ({ work: runner.work, run: (n) => runner.run(n), times: [], repeats: 1 }));
  const leader = () => Math.min(...all.map(timeOf));
  for (const [i, one] of all.entries()) {
    throwIfAborted(signal);
    const expected = i > 0 ? leader() * one.work : 0;
    if (i > 0 && now() + expected > until) break;
    if (expected > 0) one.repeats = Math.max(1, Math.min(maxRepeats, Math.ceil(clock.leastMs / expected)));
    await calibrate(one, clock, now);
  }
  // each round begins with another, so that none always follows the same
  for (let round = 1; round < rounds; round++) {
    for (const one of all.map((_, i) => all[(i + round) % all.length])) {
      throwIfAborted(signal);
      if (one.times.length === 0 || timeOf(one) > hopeless * leader()) continue;
      if (now() + timeOf(one) * one.work * one.repeats > until) continue;
      one.times.push((await one.run(one.repeats)) / one.repeats / one.work);
    }
  }
  return all.map(({ times }) => (times.length > 0 ? median(times) : undefined));
}

function timeOf({ times }: Timed): number {
  return times.length > 0 ? median(times) : Number.POSITIVE_INFINITY;
}

/** Finds out how often to repeat a run within a pass, beginning with what the others make likely; the pass that is long enough is the first round. */
async function calibrate(one: Timed, clock: Clock, now: () => number): Promise<void> {
  for (;;) {
    const begin = now();
    const ms = await one.run(one.repeats);
    const next = now() - begin > patienceMs ? one.repeats : nextRepeats(ms, one.repeats, clock.leastMs);
    if (next === one.repeats) {
      one.times.push(ms / one.repeats / one.work);
      return;
    }
    one.repeats = next;
  }
}
