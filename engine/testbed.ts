// What the tuner needs of a device, and no more: so it can be tried on devices whose times are known, without a GPU or real time.
import type { Clock } from './clock.ts';
import type { Capabilities } from './device.ts';
import type { GraphNode } from './graph.ts';
import type { Kernel } from './kernel.ts';

/** Where kernels are tried. */
export interface Testbed {
  /** The device's; how many units it has, as measured once that was. */
  readonly capabilities: Capabilities;
  /** The clock of Contestant.time(). */
  readonly clock: Clock;
  /** Milliseconds since some moment, by which a budget is kept: compilation and waiting count. */
  now(): number;
  /**
   * Measures how many units the device has, which its capabilities say from then on. Undefined where that cannot be told: they say what
   * they said. Throws device-lost and the signal's reason.
   */
  measureUnits(signal?: AbortSignal): Promise<number | undefined>;
  /** Takes memory for a node's operands. Throws out-of-memory, limit and device-lost. */
  prepare(node: GraphNode): Promise<Trial>;
  /** Compiles kernels side by side and returns those that are compiled or refused before `ms` milliseconds are over. */
  compile(kernels: readonly Kernel[], ms: number): Promise<readonly Kernel[]>;
  /** Lets go of what was compiled of a kernel. */
  forget(kernel: Kernel): void;
}

/** The operands of one node. */
export interface Trial {
  /** Compiles a kernel, unless that is done, and binds the operands. Throws shader, limit, out-of-memory or device-lost. */
  enter(kernel: Kernel): Promise<Contestant>;
  dispose(): void;
}

/** A kernel ready to run on a trial's operands. A `fraction` is how much of the problem a run does, as partOf() cuts it. */
export interface Contestant {
  readonly kernel: Kernel;
  /** Runs it once and returns some of the output's elements, the same ones for every kernel. */
  sample(fraction: number): Promise<Float32Array>;
  /** Milliseconds that so many runs take, one right after another. */
  time(repeats: number, fraction: number): Promise<number>;
}
