// Inputs of a plan that lie in the host's memory, on their way to the GPU.
import type { Device } from './device.ts';
import type { Command, Load } from './plan.ts';

type HostInput = ArrayBufferView<ArrayBuffer>;
type Inputs = Readonly<Record<string, GPUBuffer | HostInput>>;

/** Loads of inputs that lie in the host's memory, each with its input. */
type HostLoads = ReadonlyMap<Load, HostInput>;

/** Where the bytes of loads begin in GPU memory. */
export type StagedLoads = ReadonlyMap<Load, { readonly buffer: GPUBuffer; readonly offset: number }>;

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
   * Copies `loads`, if there are any, into a buffer of `size` bytes, a stagedBytes() of at least theirs, and calls `work`, which submits
   * what reads them there. The buffer is mapped again when that has run. `accepted` as Device.scoped() has it.
   */
  submit(size: number, loads: HostLoads, work: (staged: StagedLoads) => void): { readonly accepted: Promise<void> } {
    if (loads.size === 0) return this.#device.scoped('run', () => work(new Map()));
    const known = this.#take(size);
    try {
      const { result, accepted } = this.#device.scoped('run', () => {
        const usage = GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC;
        const staging = known ?? this.#device.memory.create('inputs', 'staging', size, usage, true);
        work(fill(staging, loads));
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

/** Among the loads of `steps` those of inputs in the host's memory. */
export function hostLoads(steps: readonly { readonly command: Command }[], inputs: Inputs): HostLoads {
  const loads = new Map<Load, HostInput>();
  for (const { command } of steps) {
    if (command.kind !== 'load') continue;
    const input = inputs[command.input];
    if (!isOnGpu(input)) loads.set(command, input);
  }
  return loads;
}

export function isOnGpu(input: GPUBuffer | HostInput): input is GPUBuffer {
  return !ArrayBuffer.isView(input);
}

/** Bytes of a buffer that holds such loads one after another: a multiple of 16, like all sizes of buffers. */
export function stagedBytes(loads: HostLoads): number {
  const total = [...loads.keys()].reduce((sum, { size }) => sum + size, 0);
  return Math.ceil(total / 16) * 16;
}

/** Copies loads into a mapped buffer, and unmaps it. */
function fill(staging: GPUBuffer, loads: HostLoads): StagedLoads {
  const bytes = new Uint8Array(staging.getMappedRange());
  const staged = new Map<Load, { buffer: GPUBuffer; offset: number }>();
  let offset = 0;
  for (const [load, { buffer, byteOffset }] of loads) {
    bytes.set(new Uint8Array(buffer, byteOffset + load.offset, load.size), offset);
    staged.set(load, { buffer: staging, offset });
    offset += load.size;
  }
  staging.unmap();
  return staged;
}
