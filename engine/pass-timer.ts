// The time of a pass of dispatches: by the GPU's own clock where the device has timestamp-query, else by that of the host.
import type { Stamps } from './clock.ts';
import { Clock } from './clock.ts';
import type { Device } from './device.ts';

export type RecordDispatch = (pass: GPUComputePassEncoder) => void;

/** Times passes, one after another, with the same few objects. */
export class PassTimer {
  readonly clock: Clock;
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
    this.clock = new Clock(hasTimestamps ? 'timestamps' : 'wall clock');
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
    return this.clock.between(await this.#stamps(dispatch, repeats, before));
  }

  dispose(): void {
    if (!this.#queries) return;
    const { set, resolved, staging } = this.#queries;
    for (const buffer of [resolved, staging]) this.#device.memory.destroy(buffer);
    set.destroy();
  }

  async #stamps(
    dispatch: RecordDispatch,
    repeats: number,
    before?: (encoder: GPUCommandEncoder) => void,
  ): Promise<Stamps> {
    const { gpu } = this.#device;
    const queries = this.#queries;
    const begin = hostNs();
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
      return { begin, end: hostNs() };
    }
    const [first, last] = new BigUint64Array(await this.#device.read('timed pass', queries.staging));
    return { begin: first, end: last };
  }
}

function hostNs(): bigint {
  return BigInt(Math.round(performance.now() * 1e6));
}
