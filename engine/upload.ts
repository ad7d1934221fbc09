// Inputs of a plan that lie in the host's memory, on their way to the GPU.
import type { Device } from './device.ts';
import type { Load } from './plan.ts';

type HostInput = ArrayBufferView<ArrayBuffer>;
type Inputs = Readonly<Record<string, GPUBuffer | HostInput>>;

/** Loads of inputs that lie in the host's memory, each with where its bytes begin in the buffer that stages them. */
export type HostLoads = ReadonlyMap<Load, number>;

/** Where the bytes of a load begin in GPU memory. */
export type SourceOf = (load: Load) => { readonly buffer: GPUBuffer; readonly offset: number };

/** Buffers of a size: the host fills one while the GPU reads the other. */
const maxBuffers = 2;

/**
 * Copies inputs into mapped buffers, which serve again and again: writeBuffer() takes several times as long for a video, because Dawn makes
 * a new buffer for each large write. Small inputs take the same way, in the same buffer: a second way would save them nothing.
 */
export class Upload {
  readonly #device: Device;
  /** Mapped, for submissions to come. */
  readonly #free: GPUBuffer[] = [];
  /** Submitted, each with what settles when the buffer is back or given up. */
  readonly #lent = new Map<GPUBuffer, Promise<void>>();

  constructor(device: Device) {
    this.#device = device;
  }

  /** Settles when submit() has a buffer of `size` bytes, or may make one. Whoever waits is the next to submit. */
  async room(size: number): Promise<void> {
    if (this.#free.some((buffer) => buffer.size === size)) return;
    const lent = [...this.#lent].flatMap(([buffer, back]) => (buffer.size === size ? [back] : []));
    if (lent.length >= maxBuffers) await Promise.race(lent);
  }

  /**
   * Copies `loads` of `inputs`, if there are any, into a buffer of `size` bytes, stagedBytes() of them or more, and calls `work`, which
   * submits what reads them there, or other inputs where they are. The buffer is mapped again when that has run. `accepted` as Device.scoped() has it.
   */
  submit(
    size: number,
    loads: HostLoads,
    inputs: Inputs,
    work: (sourceOf: SourceOf) => void,
  ): { readonly accepted: Promise<void> } {
    if (loads.size === 0) return this.#device.scoped('run', () => work(sourceIn(inputs)));
    const known = this.#take(size);
    try {
      const { result, accepted } = this.#device.scoped('run', () => {
        const usage = GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC;
        const staging = known ?? this.#device.memory.create('inputs', 'staging', size, usage, true);
        fill(staging, loads, inputs);
        work((load) => {
          const offset = loads.get(load);
          return offset === undefined ? sourceIn(inputs)(load) : { buffer: staging, offset };
        });
        return { staging, mapped: staging.mapAsync(GPUMapMode.WRITE) };
      });
      const mapped = Promise.all([accepted, this.#device.settle(result.mapped)]);
      this.#lent.set(result.staging, this.#giveBack(result.staging, mapped));
      return { accepted };
    } catch (error) {
      if (known) this.#device.memory.destroy(known); // what was made just now is freed already
      throw error;
    }
  }

  dispose(): void {
    for (const buffer of [...this.#free, ...this.#lent.keys()]) this.#device.memory.destroy(buffer);
    this.#free.length = 0;
    this.#lent.clear();
  }

  #take(size: number): GPUBuffer | undefined {
    const index = this.#free.findIndex((buffer) => buffer.size === size);
    return index < 0 ? undefined : this.#free.splice(index, 1)[0];
  }

  /** Takes a buffer back when it is mapped, to be filled again if the submission that read it went well. */
  async #giveBack(staging: GPUBuffer, mapped: Promise<unknown>): Promise<void> {
    const wentWell = await mapped.then(
      () => true,
      () => false, // the run tells why
    );
    if (this.#lent.delete(staging) && wentWell) this.#free.push(staging);
    else this.#device.memory.destroy(staging);
  }
}

export function isOnGpu(input: GPUBuffer | HostInput): input is GPUBuffer {
  return !ArrayBuffer.isView(input);
}

/** Of inputs in GPU memory. */
export function sourceIn(inputs: Inputs): SourceOf {
  return ({ input, offset }) => ({ buffer: inputs[input] as GPUBuffer, offset });
}

/** Bytes of a buffer that holds such loads: a multiple of 16, like all sizes of buffers. */
export function stagedBytes(loads: HostLoads): number {
  const total = [...loads.keys()].reduce((sum, { size }) => sum + size, 0);
  return Math.ceil(total / 16) * 16;
}

/** Copies loads into a mapped buffer, and unmaps it. */
function fill(staging: GPUBuffer, loads: HostLoads, inputs: Inputs): void {
  const bytes = new Uint8Array(staging.getMappedRange());
  for (const [{ input, offset, size }, at] of loads) {
    const source = inputs[input];
    if (!isOnGpu(source)) bytes.set(new Uint8Array(source.buffer, source.byteOffset + offset, size), at);
  }
  staging.unmap();
}
