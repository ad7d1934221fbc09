// One candidate of the kernel laboratory on the operands of its problem: compiled, run once for its result, and timed.
import { unlessAborted } from '../engine/abort.ts';
import type { Device } from '../engine/device.ts';
import type { GraphNode } from '../engine/graph.ts';
import type { Kernel } from '../engine/kernel.ts';
import { kernelsOf } from '../engine/kernel.ts';
import { packParams, paramsBinding } from '../engine/wgsl.ts';
import type { Operands } from './operands.ts';
import { maxRepeats, nextRepeats, type PassTimer } from './pass-time.ts';
import { partOf } from './problems.ts';
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
/** Of kernels that add to their output, so that half precision does not overflow before it is put back: each adds less than 16. */
const maxAdditions = 512;

type Workgroups = Kernel['workgroups'];

/** One dispatch of a candidate: a split kernel has two. */
interface Step {
  readonly kernel: Kernel;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

export class KernelTrial {
  /** Milliseconds of single dispatches, one for each timed pass. */
  readonly times: number[] = [];
  repeats = 1;
  readonly #bench: Bench;
  readonly #kernel: Kernel;
  readonly #steps: readonly Step[];
  readonly #buffers: readonly GPUBuffer[];
  #fraction = 1;

  /** Compiles a kernel, the driver's part of that included. Throws shader, limit, device-lost, and the signal's reason. */
  static async create(bench: Bench, kernel: Kernel): Promise<KernelTrial> {
    const { device, node, operands, signal } = bench;
    const kernels = kernelsOf(kernel);
    const compiled = await unlessAborted(Promise.all(kernels.map((one) => device.pipelines.compile(one))), signal);
    const trial = await device.checked(node.name, () => {
      const { split } = kernel;
      const scratch = split && device.memory.create('bench scratch', 'staging', split.bytes, GPUBufferUsage.STORAGE);
      const buffers = scratch ? [scratch] : [];
      const steps = compiled.map(({ pipeline, layout, bindings, params }, i): Step => {
        const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
        const uniforms = device.memory.create('bench params', 'staging', 256, usage);
        buffers.push(uniforms);
        device.gpu.queue.writeBuffer(uniforms, 0, packParams(params, kernels[i].params));
        const bufferOf = (name: string) => {
          if (name === paramsBinding) return uniforms;
          return scratch && name === split?.scratch ? scratch : operands.buffer(name);
        };
        const bindGroup = device.gpu.createBindGroup({
          label: `stam: bench of ${node.name}`,
          layout,
          entries: bindings.map(({ name, index }) => ({ binding: index, resource: { buffer: bufferOf(name) } })),
        });
        return { kernel: kernels[i], pipeline, bindGroup };
      });
      return new KernelTrial(bench, kernel, steps, buffers);
    });
    // software drivers compile when a pipeline first runs: by one workgroup, so that no time has that in it
    await trial.#pass(() => [1, 1, 1], 1);
    return trial;
  }

  private constructor(bench: Bench, kernel: Kernel, steps: readonly Step[], buffers: readonly GPUBuffer[]) {
    this.#bench = bench;
    this.#kernel = kernel;
    this.#steps = steps;
    this.#buffers = buffers;
  }

  /** How much of the problem's work a dispatch does. */
  get fraction(): number {
    return partOf(this.#kernel, this.#fraction).fraction;
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
    const { timer, node } = this.#bench;
    if (this.times.length > 0) return;
    const most = node.takesOver ? maxAdditions : maxRepeats;
    for (let tries = 0; tries < 8; tries++) {
      const next = nextRepeats(await this.#run(this.repeats), this.repeats, timer.leastMs, most);
      if (next === this.repeats) return;
      this.repeats = next;
    }
  }

  /** A round that does not count. */
  async rehearse(): Promise<void> {
    await this.#run(this.repeats);
  }

  /** One round. */
  async time(): Promise<void> {
    this.times.push((await this.#run(this.repeats)) / this.repeats);
  }

  dispose(): void {
    for (const buffer of this.#buffers) this.#bench.device.memory.destroy(buffer);
  }

  async #run(repeats: number): Promise<number> {
    return await this.#pass((kernel) => partOf(kernel, this.#fraction).workgroups, repeats);
  }

  async #pass(workgroupsOf: (kernel: Kernel) => Workgroups, repeats: number): Promise<number> {
    const { timer, operands, signal } = this.#bench;
    const dispatch = (pass: GPUComputePassEncoder) => {
      for (const { kernel, pipeline, bindGroup } of this.#steps) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        pass.dispatchWorkgroups(...workgroupsOf(kernel));
      }
    };
    return await unlessAborted(
      timer.time(dispatch, repeats, (encoder) => operands.restore(encoder)),
      signal,
    );
  }
}
