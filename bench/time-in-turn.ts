// Times of runs as a stream of videos takes them: from one result to the next, a second run being submitted while the first computes.
import type { Outputs } from '../engine/read-back.ts';

/** Runs submitted at a time. */
const inFlight = 2;

/** Milliseconds of each of `runs` runs. Each result is given to `check`, whose time is part of the next run's. */
export async function timeInTurn(
  runs: number,
  run: () => Promise<Outputs>,
  check: (outputs: Outputs) => void,
): Promise<number[]> {
  const times: number[] = [];
  const pending: Promise<Outputs>[] = [];
  let last = performance.now();
  for (let begun = 0; times.length < runs; ) {
    while (begun < runs && pending.length < inFlight) {
      const running = run();
      running.catch(() => undefined); // awaited below, unless one before it fails
      pending.push(running);
      begun++;
    }
    const outputs = await pending.shift();
    times.push(performance.now() - last);
    last = performance.now();
    if (outputs) check(outputs);
  }
  return times;
}
