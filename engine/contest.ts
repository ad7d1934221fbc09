// The candidates of one problem against each other: which of those that compute the same is the fastest.
import { StamError, throwIfAborted } from './errors.ts';
import type { GraphNode } from './graph.ts';
import type { Kernel } from './kernel.ts';
import { partOf, wayOf } from './kernel.ts';
import { hopeless, timeInRounds } from './rounds.ts';
import type { Contestant, Testbed, Trial } from './testbed.ts';
import type { RefusedKernel, TunedProblem } from './tuned.ts';
import { problemOf } from './tuned.ts';

export interface ContestOptions {
  /** Milliseconds that this problem should take. */
  readonly shareMs: number;
  /** Moment of the testbed's clock after which nothing more is begun, but for the best guess. */
  readonly until: number;
  /** A run that takes no longer than so many milliseconds is not worth cutting. */
  readonly shortMs: number;
  readonly rounds: number;
  /** A way that is not faster than the best guess by this factor does not displace it. */
  readonly margin: number;
  /** How many of the likeliest candidates are tried, beside the plainest; the others are unreached. All, where it is left out. */
  readonly most?: number | undefined;
  /** What an earlier contest of this problem found: its winner meets those that it did not reach. */
  readonly earlier?: TunedProblem | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Differences that two right kernels may have, of the largest element. */
const allowedError = { f32: 1e-4, f16: 2e-2, u32: 0 } as const;
/** Of a problem's time, what compiling and first runs may take; the rest is for the rounds. */
const enteringShare = 0.7;
/** Kernels compiled side by side: as many as a browser has threads for it, so that the time can end between them. */
const batchSize = 4;
/** A problem is run in part where running it whole, twice by each candidate, would take more than this of its time. */
const runningShare = 0.5;
/** Of a problem, what is run first to find that out, and by which factor at most and at least it is more the next time. */
const leastFraction = 1 / 32;
const mostStep = 4;
const leastStep = 1.2;

/**
 * Tries candidates of a node: the best guess, or who won before, the plainest, which the others have to agree with, then others, best guess
 * first, while there is time. `before` are problems that were tried already: what was hopeless there is not tried again. Undefined where the time
 * was enough for the best guess only, and where the plainest gives no numbers. Throws unsupported where no kernel compiles.
 */
export async function runContest(
  testbed: Testbed,
  node: GraphNode,
  before: readonly TunedProblem[],
  options: ContestOptions,
): Promise<TunedProblem | undefined> {
  const { until, rounds, margin, earlier, signal } = options;
  const all = node.candidates(testbed.capabilities);
  const promising = all.filter((kernel) => !isHopeless(node, wayOf(kernel), before));
  const open = openTo(promising.length > 0 ? promising : all, earlier);
  const candidates = frontOf(open, options.most);
  let winner: Kernel | undefined;
  const trial = await testbed.prepare(node);
  try {
    const { entered, refused, unreached, fraction } = await enterAll(testbed, trial, candidates, options);
    if (entered.length === 0) {
      throw new StamError('unsupported', {
        where: node.name,
        problem: `no kernel for ${node.operator} compiles on this device`,
        got: refused.map(({ why }) => why).join('; '),
      });
    }
    winner = entered[0].kernel;
    if (entered.length === 1 && unreached.length > 0) return undefined;
    const runners = entered.map(({ contestant }) => ({
      work: partOf(contestant.kernel, fraction).fraction,
      run: (repeats: number) => contestant.time(repeats, fraction),
    }));
    const { clock } = testbed;
    const times = await timeInRounds(runners, { clock, rounds, now: () => testbed.now(), until, signal });
    const plainest = plainestOf(entered);
    const tried = entered.flatMap(({ kernel, sample }, i) => {
      const [way, ms] = [wayOf(kernel), times[i]];
      if (ms === undefined) unreached.push(kernel);
      return ms === undefined ? [] : [{ kernel, way, ms, error: relativeError(sample, plainest.sample) }];
    });
    const [output] = Object.values(node.outputs);
    const right = tried
      .filter(({ error }) => error <= allowedError[output.storage])
      .sort((a, b) => candidates.indexOf(a.kernel) - candidates.indexOf(b.kernel));
    const guess = right[0];
    if (!guess) return undefined;
    const fastest = right.toSorted((a, b) => a.ms - b.ms)[0];
    const chosen = fastest.ms < guess.ms * margin ? fastest : guess;
    winner = chosen.kernel;
    const triedEarlier = earlier?.tried.filter(({ way }) => tried.every((one) => one.way !== way)) ?? [];
    return {
      operator: node.operator,
      problem: problemOf(node),
      way: chosen.way,
      tried: [...triedEarlier, ...tried.map(({ way, ms, error }) => ({ way, ms, error }))].sort((a, b) => a.ms - b.ms),
      wrong: [...(earlier?.wrong ?? []), ...tried.filter((one) => !right.includes(one)).map(({ way }) => way)],
      refused: [...(earlier?.refused ?? []), ...refused],
      unreached: open.filter((kernel) => unreached.includes(kernel) || !candidates.includes(kernel)).map(wayOf),
      fraction,
      flops: node.flops,
    };
  } finally {
    trial.dispose();
    for (const kernel of candidates) if (kernel !== winner) testbed.forget(kernel);
  }
}

/** Those that an earlier contest did not reach, behind its winner. */
function openTo(kernels: readonly Kernel[], earlier: TunedProblem | undefined): readonly Kernel[] {
  if (!earlier) return kernels;
  const named = (ways: readonly string[]) => kernels.filter((kernel) => ways.includes(wayOf(kernel)));
  return [...named([earlier.way]), ...named(earlier.unreached)];
}

/** The likeliest so many, and the plainest. */
function frontOf(kernels: readonly Kernel[], most = kernels.length): readonly Kernel[] {
  const plainest = plainestOf(kernels.map((kernel) => ({ kernel }))).kernel;
  return kernels.filter((kernel, place) => place < most || kernel === plainest);
}

/** A candidate that the device takes. */
interface Entered {
  readonly kernel: Kernel;
  readonly contestant: Contestant;
  readonly sample: Float32Array;
}

/** The candidates that the device takes, those that it refuses, and those for which there was no time; the best guess is none of these. */
async function enterAll(
  testbed: Testbed,
  trial: Trial,
  candidates: readonly Kernel[],
  { shareMs, until, shortMs, signal }: ContestOptions,
) {
  const begin = testbed.now();
  const enterUntil = begin + (until - begin) * enteringShare;
  const mostMs = Math.max(shortMs, (shareMs * runningShare) / (2 * candidates.length));
  const entered: Entered[] = [];
  const refused: RefusedKernel[] = [];
  const unreached: Kernel[] = [];
  let fraction = 1;
  const enter = async (kernel: Kernel) => {
    try {
      const contestant = await trial.enter(kernel);
      if (entered.length === 0) fraction = await fractionWithin(mostMs, contestant);
      entered.push({ kernel, contestant, sample: await contestant.sample(fraction) });
    } catch (error) {
      if (!(error instanceof StamError && (error.code === 'shader' || error.code === 'limit'))) throw error;
      refused.push({ way: wayOf(kernel), why: error.message });
    }
  };
  for (const batch of batchesOf(candidates)) {
    const isGuess = entered.length === 0;
    const compiled = isGuess ? batch : await testbed.compile(batch, Math.max(0, enterUntil - testbed.now()));
    for (const kernel of batch) {
      throwIfAborted(signal);
      const isLate = !compiled.includes(kernel) || testbed.now() > until;
      if (isLate && entered.length > 0) unreached.push(kernel);
      else await enter(kernel);
    }
  }
  return { entered, refused, unreached, fraction };
}

/** The best guess alone, then a few at a time, of them the plainest first. */
function batchesOf([guess, ...others]: readonly Kernel[]): Kernel[][] {
  const plainest = plainestOf([guess, ...others].map((kernel) => ({ kernel }))).kernel;
  const rest = [...others.filter((kernel) => kernel === plainest), ...others.filter((kernel) => kernel !== plainest)];
  const batches = [[guess]];
  for (let at = 0; at < rest.length; at += batchSize) batches.push(rest.slice(at, at + batchSize));
  return batches;
}

/** The one whose kernel asks the least of a device, one that adds in f16 after all others: it is the one to believe. */
function plainestOf<T extends { readonly kernel: Kernel }>(all: readonly T[]): T {
  const inHalves = ({ kernel }: T) => kernel.shortSum ?? 0;
  const needs = ({ kernel }: T) => kernel.features.length;
  return all.toSorted((a, b) => inHalves(a) - inHalves(b) || needs(a) - needs(b))[0];
}

/**
 * How much of the problem may be run so that a run takes no more than so many milliseconds: all of it if it can be, for a part has other
 * waves. Larger parts are tried step by step, since a part that leaves a device half empty takes as long as a larger one.
 */
async function fractionWithin(mostMs: number, contestant: Contestant): Promise<number> {
  let fraction = leastFraction;
  await contestant.time(1, fraction); // software drivers compile when a pipeline first runs
  while (fraction < 1) {
    const ms = await contestant.time(1, fraction);
    if (ms <= mostMs * fraction) return 1;
    const step = Math.min(mostMs / ms, mostStep);
    if (step < leastStep) return Math.max(leastFraction, fraction * Math.min(1, step));
    fraction = Math.min(1, fraction * step);
  }
  return 1;
}

function isHopeless(node: GraphNode, way: string, before: readonly TunedProblem[]): boolean {
  return before.some(({ operator, tried }) => {
    const time = tried.find((one) => one.way === way)?.ms ?? 0;
    return operator === node.operator && time > hopeless * tried[0].ms;
  });
}

/** JSON has no infinity: 1e30 where something is no number, so that a kernel that leaves elements unwritten cannot win. */
function relativeError(got: Float32Array, expected: Float32Array): number {
  let largest = Number.MIN_VALUE;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(got[i] - expected[i]);
    if (!(difference >= 0)) return 1e30;
    worst = Math.max(worst, difference);
    largest = Math.max(largest, Math.abs(expected[i]));
  }
  return worst / largest;
}
