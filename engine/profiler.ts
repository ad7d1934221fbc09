// Times of single kernels by GPU timestamps, and a trace that chrome://tracing and Perfetto read.
import type { Device } from './device.ts';
import { StamError } from './errors.ts';
import { kernelLabel } from './kernel.ts';
import type { Dispatch } from './plan.ts';

/** One dispatch as it ran. Times are in milliseconds, `start` counted from the first dispatch. */
export interface Timing {
  readonly name: string;
  readonly kernel: string;
  readonly start: number;
  readonly ms: number;
  readonly flops: number;
  readonly bytes: number;
}

/** Sums over all dispatches of one kernel variant. */
export interface KernelSummary {
  readonly name: string;
  readonly variant: string;
  readonly calls: number;
  readonly ms: number;
  readonly flops: number;
  readonly bytes: number;
}

const queriesPerSet = 4096; // WebGPU's limit

/** Hand one to Program.run(); it then puts each dispatch into a pass of its own. Needs the feature timestamp-query. */
export class Profiler {
  readonly #device: Device;
  readonly #dispatches: Dispatch[] = [];
  readonly #sets: { queries: GPUQuerySet; resolved: GPUBuffer }[] = [];
  #resolvedUpTo = 0;

  constructor(device: Device) {
    if (!device.capabilities.features.has('timestamp-query')) {
      throw new StamError('feature', { where: 'profiler', problem: 'the device has no timestamp-query' });
    }
    this.#device = device;
  }

  /** The descriptor of the pass that runs `dispatch` and nothing else. */
  pass(dispatch: Dispatch): GPUComputePassDescriptor {
    const index = this.#dispatches.push(dispatch) - 1;
    const perSet = queriesPerSet / 2;
    const querySet = this.#set(Math.floor(index / perSet)).queries;
    const at = (index % perSet) * 2;
    return {
      label: dispatch.name,
      timestampWrites: { querySet, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 },
    };
  }

  /** Records the resolution of all passes since the last call. */
  resolve(encoder: GPUCommandEncoder): void {
    const perSet = queriesPerSet / 2;
    while (this.#resolvedUpTo < this.#dispatches.length) {
      const set = Math.floor(this.#resolvedUpTo / perSet);
      // destinations stand at multiples of 256 bytes: begin where the block of 32 queries begins
      const first = Math.floor(((this.#resolvedUpTo % perSet) * 2) / 32) * 32;
      const end = Math.min(this.#dispatches.length - set * perSet, perSet);
      const { queries, resolved } = this.#set(set);
      encoder.resolveQuerySet(queries, first, end * 2 - first, resolved, first * 8);
      this.#resolvedUpTo = set * perSet + end;
    }
  }

  /** Waits for the GPU and returns every dispatch in order. Frees the profiler's buffers, whatever comes of it: call it once. */
  async finish(): Promise<Timing[]> {
    const times: bigint[] = [];
    try {
      for (const { resolved } of this.#sets) times.push(...(await this.#read(resolved)));
    } finally {
      this.dispose();
    }
    return this.#dispatches.map(({ name, kernel, flops, bytes }, i) => ({
      name,
      kernel: kernelLabel(kernel),
      start: Number(times[2 * i] - times[0]) / 1e6,
      ms: Number(times[2 * i + 1] - times[2 * i]) / 1e6,
      flops,
      bytes,
    }));
  }

  /** For a run that went wrong, of which there is nothing to finish. */
  dispose(): void {
    for (const { queries, resolved } of this.#sets) {
      this.#device.memory.destroy(resolved);
      queries.destroy();
    }
    this.#sets.length = 0;
  }

  async #read(resolved: GPUBuffer): Promise<BigUint64Array> {
    const { gpu, memory } = this.#device;
    const size = queriesPerSet * 8;
    const staging = await this.#device.checked('timestamps', () => {
      const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
      const buffer = memory.create('timestamps', 'staging', size, usage);
      const encoder = gpu.createCommandEncoder({ label: 'stam: timestamps' });
      encoder.copyBufferToBuffer(resolved, 0, buffer, 0, size);
      gpu.queue.submit([encoder.finish()]);
      return buffer;
    });
    try {
      return new BigUint64Array(await this.#device.read('timestamps', staging));
    } finally {
      memory.destroy(staging);
    }
  }

  #set(index: number): { queries: GPUQuerySet; resolved: GPUBuffer } {
    this.#sets[index] ??= {
      queries: this.#device.gpu.createQuerySet({ label: 'stam', type: 'timestamp', count: queriesPerSet }),
      resolved: this.#device.memory.create(
        'timestamps',
        'staging',
        queriesPerSet * 8,
        GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
      ),
    };
    return this.#sets[index];
  }
}

/** Sums by kernel variant, longest first. */
export function summarize(timings: readonly Timing[]): KernelSummary[] {
  const sums = new Map<string, KernelSummary>();
  for (const { kernel, ms, flops, bytes } of timings) {
    const [name, ...variant] = kernel.split(' ');
    const sum = sums.get(kernel) ?? { name, variant: variant.join(' '), calls: 0, ms: 0, flops: 0, bytes: 0 };
    sums.set(kernel, {
      ...sum,
      calls: sum.calls + 1,
      ms: sum.ms + ms,
      flops: sum.flops + flops,
      bytes: sum.bytes + bytes,
    });
  }
  return [...sums.values()].sort((a, b) => b.ms - a.ms);
}

/** The timings as a Chrome trace (JSON text). */
export function chromeTrace(timings: readonly Timing[], adapter: string): string {
  const events = timings.map(({ name, kernel, start, ms, flops, bytes }) => ({
    name,
    cat: kernel.split(' ')[0],
    ph: 'X',
    ts: start * 1000,
    dur: ms * 1000,
    pid: 1,
    tid: 1,
    args: { kernel, gflop: flops / 1e9, gflops: ms ? flops / ms / 1e6 : 0, megabytes: bytes / 1e6 },
  }));
  const names = [{ name: 'process_name', ph: 'M', pid: 1, args: { name: adapter } }];
  return JSON.stringify({ traceEvents: [...names, ...events], displayTimeUnit: 'ms' });
}
