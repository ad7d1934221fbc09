// The time of a pass of dispatches: by the GPU's own clock where the device has timestamp-query, else by that of the host.
import type { Device } from '../engine/device.ts';

export type RecordDispatch = (pass: GPUComputePassEncoder) => void;

/** Times passes, one after another, with the same few objects. */
export class PassTimer {
  /** What a timed pass should take at least, in milliseconds: timestamps may be rounded to 65.5 us, the host's clock counts a submission. */
  readonly leastMs: number;
  readonly #device: Device;
  readonly #queries:
    | { readonly set: GPUQuerySet; readonly resolved: GPUBuffer; readonly staging: GPUBuffer }
    | undefined;

  /** Throws out-of-memory or limit. */
  static async create(device: Device): Promise<PassTimer> {
    return await device.checked('pass timer', () => new PassTimer(device));
  }

  private constructor(device: Device) {
    this.#device = device;
    const hasTimestamps = device.capabilities.features.has('timestamp-query');
    this.leastMs = hasTimestamps ? 4 : 20;
    if (!hasTimestamps) return;
    const [read, resolve] = [GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, GPUBufferUsage.QUERY_RESOLVE];
    this.#queries = {
      set: device.gpu.createQuerySet({ label: 'stam: pass timer', type: 'timestamp', count: 2 }),
      resolved: device.memory.create('pass timer', 'staging', 16, resolve | GPUBufferUsage.COPY_SRC),
      staging: device.memory.create('pass timer', 'staging', 16, read),
    };
  }

  /**
   * Milliseconds that `repeats` times `dispatch` take in one pass; 0 where the clock is too coarse to tell. `before` records what comes in
   * front of the pass and is not timed, unless by the host's clock. Throws limit for what WebGPU refuses, and device-lost.
   */
  async time(
    dispatch: RecordDispatch,
    repeats: number,
    before?: (encoder: GPUCommandEncoder) => void,
  ): Promise<number> {
    const { gpu } = this.#device;
    const queries = this.#queries;
    const begin = performance.now();
    const { accepted } = this.#device.scoped('timed pass', () => {
      const encoder = gpu.createCommandEncoder({ label: 'stam: timed pass' });
      before?.(encoder);
      const pass = encoder.beginComputePass({
        label: 'stam: timed pass',
        ...(queries && {
          timestampWrites: { querySet: queries.set, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
        }),
      });
      for (let i = 0; i < repeats; i++) dispatch(pass);
      pass.end();
      if (queries) {
        encoder.resolveQuerySet(queries.set, 0, 2, queries.resolved, 0);
        encoder.copyBufferToBuffer(queries.resolved, 0, queries.staging, 0, 16);
      }
      gpu.queue.submit([encoder.finish()]);
    });
    await accepted;
    if (!queries) {
      await this.#device.finished();
      return performance.now() - begin;
    }
    const [first, last] = new BigUint64Array(await this.#device.read('timed pass', queries.staging));
    return last > first ? Number(last - first) / 1e6 : 0;
  }

  dispose(): void {
    if (!this.#queries) return;
    const { set, resolved, staging } = this.#queries;
    for (const buffer of [resolved, staging]) this.#device.memory.destroy(buffer);
    set.destroy();
  }
}

/** The most dispatches of one pass. */
export const maxRepeats = 1024;

/**
 * How many dispatches make a pass of `leastMs`, if one took `ms` out of a pass of `repeats`: never fewer than before, at most eight times as
 * many, since a short pass tells little.
 */
export function nextRepeats(ms: number, repeats: number, leastMs: number, most = maxRepeats): number {
  if (ms >= leastMs) return repeats;
  const wanted = ms > 0 ? Math.ceil((repeats * leastMs * 1.1) / ms) : Number.POSITIVE_INFINITY;
  return Math.min(most, Math.max(repeats, Math.min(wanted, repeats * 8)));
}
