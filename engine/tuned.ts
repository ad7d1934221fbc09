// What a tuning is, and how kernels are chosen by it. Making one is the tuner's, which is loaded when it is needed.
import type { ClockName } from './clock.ts';
import type { AnyValue, GraphNode } from './graph.ts';
import { wayOf } from './kernel.ts';
import type { Choose } from './plan.ts';
import { formatShape } from './shape.ts';

/** What became of one candidate. */
export interface TriedKernel {
  readonly way: string;
  /** Of one run of the whole problem, the median of the rounds; of one that was run in part, so much more. */
  readonly ms: number;
  /** Largest difference to the plainest candidate, as a fraction of the largest element. */
  readonly error: number;
}

/** A candidate that the device refused. */
export interface RefusedKernel {
  readonly way: string;
  readonly why: string;
}

/** The kernel chosen for one problem, and why. */
export interface TunedProblem {
  readonly operator: string;
  /** Shapes and storage of the operands. */
  readonly problem: string;
  readonly way: string;
  /** All that ran, the fastest first. */
  readonly tried: readonly TriedKernel[];
  /** Those among them that computed something else than the plainest, and could not win. */
  readonly wrong: readonly string[];
  readonly refused: readonly RefusedKernel[];
  /** Candidates for which there was no time. */
  readonly unreached: readonly string[];
  /** How much of the problem a run did at least, 1 unless that would have taken too long. */
  readonly fraction: number;
  /** Floating-point operations of the problem in full. */
  readonly flops: number;
}

/** How many items, of STAM frames, go through a network at a time, and why. */
export interface TunedPass {
  readonly items: number;
  /** Milliseconds for one item by passes of so many, the fewest items first. */
  readonly tried: readonly { readonly items: number; readonly ms: number }[];
  /** Passes for which there was no time or no memory. */
  readonly unreached: readonly number[];
}

/** The outcome of tuning: plain data, which is stored as JSON. */
export interface Tuning {
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly ms: number;
  /** How times were taken. */
  readonly clock: ClockName;
  /** That, what there was no time for, and the pass, in words. */
  readonly how: string;
  /** The costliest first. */
  readonly problems: readonly TunedProblem[];
  /** Problems for which there was no time. */
  readonly untried: number;
  /** How many units the device has, as measured before the candidates were ordered by it. Undefined where they were by a guess. */
  readonly units?: number | undefined;
  /** Undefined where there was no choice, or nothing was measured. */
  readonly pass?: TunedPass | undefined;
}

/** Of two problems of an operator, by how much one may cost more than the other for what is fastest at one to be it at the other, too. */
const alike = 8;

/**
 * Picks what a tuning found, or else what it found for the operator's problem that costs most nearly as much, or else the best guess. Where
 * that is no candidate any more, it is the next fastest of those that were right.
 */
export function chooseTuned(tuning: Pick<Tuning, 'problems'> | undefined): Choose {
  if (!tuning) return (_, candidates) => candidates[0];
  return (node, candidates) => {
    const ofOperator = tuning.problems.filter(({ operator }) => operator === node.operator);
    const problem = problemOf(node);
    const distance = ({ flops }: TunedProblem) => Math.abs(Math.log(flops / node.flops));
    const nearest = ofOperator.toSorted((a, b) => distance(a) - distance(b))[0];
    const isAlike = nearest && distance(nearest) <= Math.log(alike);
    const known = ofOperator.find((one) => one.problem === problem) ?? (isAlike ? nearest : undefined);
    if (!known) return candidates[0];
    const right = known.tried.map(({ way }) => way).filter((way) => !known.wrong.includes(way));
    for (const way of [known.way, ...right]) {
      const kernel = candidates.find((candidate) => wayOf(candidate) === way);
      if (kernel) return kernel;
    }
    return candidates.find((kernel) => !known.wrong.includes(wayOf(kernel))) ?? candidates[0];
  };
}

/** `input [16, 197, 768] f32, weight [768, 768] f32, ...` */
export function problemOf(node: GraphNode): string {
  const describe = ([name, { shape, storage }]: [string, AnyValue]) => `${name} ${formatShape(shape)} ${storage}`;
  return [...Object.entries(node.inputs), ...Object.entries(node.outputs)].map(describe).join(', ');
}

/** `linear input [...]: matmul-subgroup 32x64, 12.1 ms (matmul-tile 64x64 40.2 ms)`: a line that says what was chosen and why. */
export function formatTuned({ operator, problem, way, tried, wrong, unreached, fraction }: TunedProblem): string {
  const time = (one: TriedKernel | undefined) => `${one?.ms.toPrecision(3)} ms`;
  const note = (one: TriedKernel) => (wrong.includes(one.way) ? ', wrong' : '');
  const others = tried.filter((one) => one.way !== way).map((one) => `${one.way} ${time(one)}${note(one)}`);
  const chosen = tried.find((one) => one.way === way);
  const notes = [
    ...(fraction < 1 ? [`; by ${Math.round(fraction * 100)} % of it`] : []),
    ...(unreached.length > 0 ? [`; no time for ${unreached.join(', ')}`] : []),
  ];
  const text = `${operator} ${problem}: ${way}, ${time(chosen)}${others.length ? ` (${others.join(', ')})` : ''}`;
  return `${text}${notes.join('')}`;
}
