// Finds out by trying which kernels to choose: per device and problem, the fastest of the candidates that compute the same.
import type { Device } from './device.ts';
import { StamError, throwIfAborted } from './errors.ts';
import type { Graph, GraphNode } from './graph.ts';
import type { Kernel } from './kernel.ts';
import { kernelsOf, wayOf } from './kernel.ts';
import type { Contestant } from './trial.ts';
import { Trial } from './trial.ts';
import type { RefusedKernel, TunedProblem, Tuning } from './tuned.ts';
import { problemOf } from './tuned.ts';

export interface TuneOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called before each problem. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** A way slower than the winner by this factor is not tried again on smaller problems of the operator. */
const hopeless = 2;
/** Differences that two right kernels may have, of the largest element. */
const allowedError = { f32: 1e-4, f16: 2e-2, u32: 0 } as const;

/** What may be spent. */
interface Budget {
  /** Milliseconds after which no further problem is begun. */
  readonly ms: number;
  /** Floating-point operations of one run. */
  readonly flops: number;
  /** How often each candidate is timed; the least time counts. They take turns, so that a busy moment hits all alike. */
  readonly rounds: number;
  /** A way that is not faster than the best guess by this factor does not displace it: timing is noisy. */
  readonly margin: number;
}

const budgets: Readonly<Record<'software' | 'gpu', Budget>> = {
  // with less work one of two processors may be left without any
  software: { ms: 30_000, flops: 3e9, rounds: 3, margin: 0.9 },
  gpu: { ms: 6000, flops: 2e10, rounds: 5, margin: 0.97 },
};

/**
 * Tries the candidates of each distinct problem of a graph, the costliest first. Problems that the budget of time does not reach
 * take the winner of the costliest one of their operator. Losers are dropped from the device's pipelines.
 */
export async function tune(device: Device, graph: Graph, { signal, onProgress }: TuneOptions = {}): Promise<Tuning> {
  const begin = performance.now();
  const budget = device.capabilities.adapter.software ? budgets.software : budgets.gpu;
  const problems = distinctProblems(device, graph);
  const known: TunedProblem[] = [];
  for (const [done, node] of problems.entries()) {
    throwIfAborted(signal);
    onProgress?.(done, problems.length);
    if (performance.now() - begin > budget.ms) break;
    known.push(await tuneNode(device, node, known, budget, signal));
  }
  onProgress?.(problems.length, problems.length);
  const untried = problems.length - known.length;
  return { date: new Date().toISOString(), ms: performance.now() - begin, problems: known, untried };
}

/** One node for each problem that leaves a choice, the costliest first. */
function distinctProblems(device: Device, graph: Graph): GraphNode[] {
  const nodes = new Map<string, GraphNode>();
  for (const node of graph.nodes) {
    const key = `${node.operator} ${problemOf(node)}`;
    if (!nodes.has(key) && node.candidates(device.capabilities).length > 1) nodes.set(key, node);
  }
  return [...nodes.values()].sort((a, b) => b.flops - a.flops);
}

async function tuneNode(
  device: Device,
  node: GraphNode,
  before: readonly TunedProblem[],
  { flops, rounds, margin }: Budget,
  signal: AbortSignal | undefined,
): Promise<TunedProblem> {
  const all = node.candidates(device.capabilities);
  const promising = all.filter((kernel) => !isHopeless(node, wayOf(kernel), before));
  const candidates = promising.length > 0 ? promising : all;
  const trial = await Trial.create(device, node, flops);
  try {
    const { entered, refused } = await enterAll(device, trial, candidates);
    if (entered.length === 0) {
      throw new StamError('unsupported', {
        where: node.name,
        problem: `no kernel for ${node.operator} compiles on this device`,
        got: refused.map(({ why }) => why).join('; '),
      });
    }
    // the kernel that asks the least of a device is the one to believe
    const plainest = entered.toSorted((a, b) => a.kernel.features.length - b.kernel.features.length)[0];
    const tried = entered.map(({ kernel, sample, time }) => ({
      kernel,
      time,
      way: wayOf(kernel),
      ms: Number.POSITIVE_INFINITY,
      error: relativeError(sample, plainest.sample),
    }));
    for (let round = 0; round < rounds; round++) {
      for (const one of tried) {
        throwIfAborted(signal);
        one.ms = Math.min(one.ms, await one.time());
      }
    }
    const [output] = Object.values(node.outputs);
    const right = tried.filter(({ error }) => error <= allowedError[output.storage]);
    const guess = right[0];
    const fastest = right.toSorted((a, b) => a.ms - b.ms)[0];
    const winner = fastest.ms < guess.ms * margin ? fastest : guess;
    const losers = candidates.filter((kernel) => kernel !== winner.kernel).flatMap(kernelsOf);
    for (const kernel of losers) device.pipelines.forget(kernel);
    return {
      operator: node.operator,
      problem: problemOf(node),
      way: winner.way,
      tried: tried.map(({ way, ms, error }) => ({ way, ms, error })).sort((a, b) => a.ms - b.ms),
      wrong: tried.filter((one) => !right.includes(one)).map(({ way }) => way),
      refused,
      flops: node.flops,
    };
  } finally {
    trial.dispose();
  }
}

/** All candidates that the device takes, in their order, and why it refused the others. */
async function enterAll(
  device: Device,
  trial: Trial,
  candidates: readonly Kernel[],
): Promise<{ entered: Contestant[]; refused: RefusedKernel[] }> {
  // compiled all at once; what is refused shows below
  await Promise.allSettled(candidates.flatMap(kernelsOf).map((kernel) => device.pipelines.compile(kernel)));
  const entered: Contestant[] = [];
  const refused: RefusedKernel[] = [];
  for (const kernel of candidates) {
    try {
      entered.push(await trial.enter(kernel));
    } catch (error) {
      if (!(error instanceof StamError && (error.code === 'shader' || error.code === 'limit'))) throw error;
      refused.push({ way: wayOf(kernel), why: error.message });
    }
  }
  return { entered, refused };
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
