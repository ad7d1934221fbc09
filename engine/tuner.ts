// Finds out by trying which kernels to choose: per device and problem, the fastest of the candidates that compute the same; and how many
// items to take at a time.

import { runContest } from './contest.ts';
import { throwIfAborted } from './errors.ts';
import type { Graph } from './graph.ts';
import type { PassChoice } from './pass-size.ts';
import { choosePass } from './pass-size.ts';
import type { Problem } from './problems.ts';
import { distinctProblems } from './problems.ts';
import type { Testbed } from './testbed.ts';
import type { TunedProblem, Tuning } from './tuned.ts';
import { chooseTuned } from './tuned.ts';
import { howText } from './tuning-text.ts';

export interface TuneOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called before each problem. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** The passes in which the network can run. Left out, there is no choice. A software adapter does not measure them: few items fill it. */
  readonly passes?: PassChoice | undefined;
}

/** What may be spent. */
interface Budget {
  /** Milliseconds after which nothing more is begun, but for what a best guess takes; on a software adapter, no further problem. */
  readonly ms: number;
  /** Of these, what is left for passes to choose from. */
  readonly passMs: number;
  /**
   * Of each problem, how many candidates are tried before any others are. An H200 that met 35 candidates of the costliest problem had time for
   * 14 of them and for no other problem.
   */
  readonly front: number;
  /** How often each candidate is timed. */
  readonly rounds: number;
  /** A way that is not faster than the best guess by this factor does not displace it: timing is noisy. */
  readonly margin: number;
  /** A run that takes no longer than so many milliseconds is not worth cutting: what is timed takes as long in any case. */
  readonly shortMs: number;
}

const budgets: Readonly<Record<'software' | 'gpu', Budget>> = {
  software: { ms: 30_000, passMs: 0, front: Number.POSITIVE_INFINITY, rounds: 3, margin: 0.9, shortMs: 100 },
  // six seconds, with what is under way at the end
  gpu: { ms: 5900, passMs: 1000, front: 6, rounds: 5, margin: 0.97, shortMs: 5 },
};

/**
 * Measures how many units a GPU has, by which candidates are ordered; a software adapter has none that would be worth the time. Tries the
 * candidates of each distinct problem of a graph, the costliest first, each for as much of the time as it is of the graph: on a GPU the
 * likeliest few of every problem, then, in what time is left, the others. Problems that the time does not reach take the winner of the
 * costliest one of their operator. Then times passes, if there are several to choose from. Losers are dropped from the device's pipelines.
 * Throws unsupported where no kernel of a problem compiles, and device-lost.
 */
export async function tune(
  testbed: Testbed,
  graph: Graph,
  { signal, onProgress, passes }: TuneOptions = {},
): Promise<Tuning> {
  const begin = testbed.now();
  const { software } = testbed.capabilities.adapter;
  const budget = budgets[software ? 'software' : 'gpu'];
  const choice = !software && passes && passes.counts.length > 1 ? passes : undefined;
  const units = software ? undefined : await testbed.measureUnits(signal);
  const end = begin + budget.ms;
  const kernelsEnd = choice ? end - budget.passMs : end;
  const problems = distinctProblems(graph)
    .filter(({ node }) => node.candidates(testbed.capabilities).length > 1)
    .sort((a, b) => b.node.flops - a.node.flops);
  const outcomes = new Map<Problem, TunedProblem>();
  const known = () => problems.flatMap((problem) => outcomes.get(problem) ?? []);
  for (const most of Number.isFinite(budget.front) ? [budget.front, undefined] : [undefined]) {
    const open = problems.filter((problem) => outcomes.get(problem)?.unreached.length !== 0);
    let left = open.reduce((sum, { flops }) => sum + flops, 0);
    for (const problem of open) {
      const { node, flops } = problem;
      throwIfAborted(signal);
      onProgress?.(outcomes.size, problems.length);
      const now = testbed.now();
      if (now > kernelsEnd) break;
      const shareMs = (kernelsEnd - now) * (left > 0 ? Math.min(1, flops / left) : 1);
      // a software adapter's compilers cannot be left behind: they would take the processors from what is timed next
      const until = software ? Number.POSITIVE_INFINITY : now + shareMs;
      left -= flops;
      const options = { ...budget, shareMs, until, most, earlier: outcomes.get(problem), signal };
      const outcome = await runContest(testbed, node, known(), options);
      if (outcome) outcomes.set(problem, outcome);
    }
  }
  onProgress?.(problems.length, problems.length);
  const until = Math.min(end, testbed.now() + budget.passMs);
  const options = { choose: chooseTuned({ problems: known() }), until, signal };
  const pass = choice && (await choosePass(testbed, choice, options));
  const tuning = {
    date: new Date().toISOString(),
    ms: testbed.now() - begin,
    clock: testbed.clock.name,
    problems: known(),
    untried: problems.length - outcomes.size,
    ...(units && { units }),
    ...(pass && { pass }),
  };
  return { ...tuning, how: howText(tuning) };
}
