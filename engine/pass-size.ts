// How many items go through a network at a time: a large device is filled by many, and the last wave of its workgroups may be nearly empty.
import { StamError } from './errors.ts';
import type { Graph, GraphNode } from './graph.ts';
import type { Choose } from './plan.ts';
import type { Problem } from './problems.ts';
import { distinctProblems } from './problems.ts';
import { timeInRounds } from './rounds.ts';
import type { Contestant, Testbed } from './testbed.ts';
import type { TunedPass } from './tuned.ts';

/** The passes to choose from. */
export interface PassChoice {
  /** How many items a pass may have, the fewest first. */
  readonly counts: readonly number[];
  /** One pass over so many. All graphs have the same nodes in the same order, with larger and smaller operands. */
  readonly graph: (count: number) => Graph;
}

export interface PassOptions {
  /** The kernels with which a pass is to run. */
  readonly choose: Choose;
  /** Moment of the testbed's clock after which nothing more is begun. */
  readonly until: number;
  readonly signal?: AbortSignal | undefined;
}

/** Fewer items take less memory: more have to be faster by this factor. */
const margin = 0.97;
const rounds = 3;
/** Problems are timed, the costliest first, until they are so much of a pass. */
const enough = 0.95;

/**
 * Times the costliest problems of a pass at each count and picks the least time for an item. Counts for which there is no memory are left
 * out, and so are those that would take too long: a device that slow is filled by fewer. Undefined where that leaves no choice.
 */
export async function choosePass(
  testbed: Testbed,
  { counts, graph }: PassChoice,
  { choose, until, signal }: PassOptions,
): Promise<TunedPass | undefined> {
  const graphs = counts.map((count) => ({ count, graph: graph(count) }));
  const sums = new Map(counts.map((count) => [count, 0]));
  const problems = costliest(graphs[graphs.length - 1].graph);
  for (const [done, { index, calls }] of problems.entries()) {
    if (sums.size < 2) return undefined;
    const nodes = graphs
      .filter(({ count }) => sums.has(count))
      .map(({ count, graph }) => ({ count, node: graph.nodes[index] }));
    const times = await timesOf(testbed, nodes, 1 / (problems.length - done), { choose, until, signal });
    for (const [count, sum] of sums) {
      const ms = times.get(count);
      if (ms === undefined) sums.delete(count);
      else sums.set(count, sum + calls * ms);
    }
  }
  const tried = [...sums].map(([items, ms]) => ({ items, ms }));
  if (tried.length < 2) return undefined;
  const least = Math.min(...tried.map(({ ms }) => ms));
  const { items } = tried.find(({ ms }) => ms * margin <= least) ?? tried[0];
  return { items, tried, unreached: counts.filter((count) => !sums.has(count)) };
}

/** The same node in a pass of so many items. */
interface Sized {
  readonly count: number;
  readonly node: GraphNode;
}

/** The problems that are most of the arithmetic, the costliest first. */
function costliest(graph: Graph): Problem[] {
  const all = distinctProblems(graph).sort((a, b) => b.flops - a.flops);
  const total = all.reduce((sum, { flops }) => sum + flops, 0);
  let sum = 0;
  return all.filter(({ flops }) => {
    const isWanted = sum < enough * total;
    sum += flops;
    return isWanted;
  });
}

/**
 * Milliseconds for an item, by count, found in this share of the time that is left. All run on the operands of the largest: the others
 * leave some of them alone.
 */
async function timesOf(
  testbed: Testbed,
  nodes: readonly Sized[],
  share: number,
  { choose, until, signal }: PassOptions,
): Promise<Map<number, number>> {
  const largest = nodes.at(-1);
  if (!largest) return new Map();
  try {
    const trial = await testbed.prepare(largest.node);
    try {
      const entered: { count: number; contestant: Contestant }[] = [];
      for (const { count, node } of nodes) {
        const contestant = await trial.enter(choose(node, node.candidates(testbed.capabilities)));
        entered.push({ count, contestant });
      }
      const runners = entered.map(({ count, contestant }) => ({
        work: count,
        run: (repeats: number) => contestant.time(repeats, 1),
      }));
      const now = () => testbed.now();
      const ownUntil = now() + (until - now()) * share; // from here: what compiles would have to anyway
      const times = await timeInRounds(runners, { clock: testbed.clock, rounds, now, until: ownUntil, signal });
      return new Map(
        entered.flatMap(({ count }, i): [number, number][] => {
          const ms = times[i];
          return ms === undefined ? [] : [[count, ms]];
        }),
      );
    } finally {
      trial.dispose();
    }
  } catch (error) {
    const isRefused = error instanceof StamError && ['out-of-memory', 'limit', 'shader'].includes(error.code);
    if (!isRefused) throw error;
    return await timesOf(testbed, nodes.slice(0, -1), share, { choose, until, signal });
  }
}
