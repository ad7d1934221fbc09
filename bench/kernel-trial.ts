// One candidate of the kernel laboratory on the operands of its problem: compiled, run once for its result, and timed.
import { unlessAborted } from '../engine/abort.ts';
import { BoundKernel } from '../engine/bound-kernel.ts';
import { maxRepeats, nextRepeats } from '../engine/clock.ts';
import type { Device } from '../engine/device.ts';
import type { GraphNode } from '../engine/graph.ts';
import type { Kernel } from '../engine/kernel.ts';
import { partOf } from '../engine/kernel.ts';
import type { PassTimer } from '../engine/pass-timer.ts';
import type { Operands } from './operands.ts';
import type { RowCheck, Verdict } from './row-check.ts';

/** The objects that all candidates of a problem share. */
export interface Bench {
  readonly device: Device;
  readonly node: GraphNode;
  readonly operands: Operands;
  readonly timer: PassTimer;
  readonly signal: AbortSignal;
}

/** The least part of a problem that a dispatch does is one in so many. */
const slices = 32;
/** Of one dispatch on a software adapter: its first run counts as a round, too. */
const longMs = 20;
/** A round that does not count is so many times as long, since between two passes the GPU waits for the host. */
const rehearsal = 8;
/** Of kernels that add to their output, so that half precision does not overflow before it is put back: each adds less than 16. */
const maxAdditions = 512;

type Workgroups = Kernel['workgroups'];

/** What a timed pass takes at least, in milliseconds: longer than the tuner's, for these figures are compared between days. */
const leastMs = ({ clock }: PassTimer) => Math.max(4, clock.leastMs);

export class KernelTrial {
  /** Milliseconds of single dispatches, one for each timed pass. */
  readonly times: number[] = [];
  repeats = 1;
  readonly #bench: Bench;
  readonly #kernel: Kernel;
  readonly #bound: BoundKernel;
  #fraction = 1;

  /** Compiles a kernel, the driver's part of that included. Throws shader, limit, device-lost, and the signal's reason. */
  static async create(bench: Bench, kernel: Kernel): Promise<KernelTrial> {
    const { device, node, operands, signal } = bench;
    const bufferOf = (binding: string) => operands.buffer(binding);
    const trial = new KernelTrial(bench, kernel, await BoundKernel.create(device, kernel, node.name, bufferOf, signal));
    // software drivers compile when a pipeline first runs: by one workgroup, so that no time has that in it
    try {
      await trial.#pass(() => [1, 1, 1], 1);
      return trial;
    } catch (error) {
      trial.dispose();
      throw error;
    }
  }

  private constructor(bench: Bench, kernel: Kernel, bound: BoundKernel) {
    this.#bench = bench;
    this.#kernel = kernel;
    this.#bound = bound;
  }

  /** How much of the problem's work a dispatch does. */
  get fraction(): number {
    return partOf(this.#kernel, this.#fraction).fraction;
  }

  get #mostRepeats(): number {
    return this.#bench.node.takesOver ? maxAdditions : maxRepeats;
  }

  /** Runs a slice of the problem, by which a dispatch does so much of it from now on that it takes no longer than about `passMs`. */
  async fit(passMs: number): Promise<void> {
    const slice = partOf(this.#kernel, 1 / slices);
    const whole = (await this.#pass((kernel) => partOf(kernel, 1 / slices).workgroups, 1)) / slice.fraction;
    this.#fraction = whole > passMs ? Math.max(1 / slices, passMs / whole) : 1;
  }

  /** Poisons the output, runs once, and compares. */
  async check(rows: RowCheck): Promise<Verdict> {
    const { operands, signal } = this.#bench;
    operands.poison(rows.rows);
    const ms = await this.#run(1);
    const verdict = rows.verdict(await unlessAborted(operands.rows(rows.rows), signal), this.fraction === 1);
    // a GPU that was idle is slow at first, and an adapter that takes so long for one dispatch is not asked in vain
    if (ms >= longMs && this.#bench.device.capabilities.adapter.software) this.times.push(ms);
    return verdict;
  }

  /** Finds out how often to repeat the dispatch within a pass. */
  async calibrate(): Promise<void> {
    if (this.times.length > 0) return;
    for (let tries = 0; tries < 8; tries++) {
      const ms = await this.#run(this.repeats);
      const next = nextRepeats(ms, this.repeats, leastMs(this.#bench.timer), this.#mostRepeats);
      if (next === this.repeats) return;
      this.repeats = next;
    }
  }

  /** A round that does not count. */
  async rehearse(): Promise<void> {
    await this.#run(Math.min(this.#mostRepeats, this.repeats * rehearsal));
  }

  /** One round. */
  async time(): Promise<void> {
    this.times.push((await this.#run(this.repeats)) / this.repeats);
  }

  dispose(): void {
    this.#bound.dispose();
  }

  async #run(repeats: number): Promise<number> {
    return await this.#pass((kernel) => partOf(kernel, this.#fraction).workgroups, repeats);
  }

  async #pass(workgroupsOf: (kernel: Kernel) => Workgroups, repeats: number): Promise<number> {
    const { timer, operands, signal } = this.#bench;
    const dispatch = (pass: GPUComputePassEncoder) => this.#bound.record(pass, workgroupsOf);
    return await unlessAborted(
      timer.time(dispatch, repeats, (encoder) => operands.restore(encoder)),
      signal,
    );
  }
}
