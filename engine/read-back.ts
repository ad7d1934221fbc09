// The outputs of a plan, on their way back to the host.
import type { Device } from './device.ts';
import { halfToFloat } from './dtype.ts';
import { asRefusal } from './error-scopes.ts';
import { unpadRows } from './layout.ts';
import type { Plan } from './plan.ts';

/** Dense row-major float32 by name. */
export type Outputs = Map<string, Float32Array<ArrayBuffer>>;

/** Buffers that can be mapped, one for each run that is not over. */
export class ReadBack {
  readonly #device: Device;
  readonly #size: number;
  /** Of runs that are over, for runs to come. */
  readonly #free: GPUBuffer[] = [];
  readonly #lent = new Set<GPUBuffer>();

  constructor(device: Device, { outputs }: Plan) {
    this.#device = device;
    this.#size = [...outputs.values()].reduce((sum, { size }) => sum + stagedBytes(size), 0);
  }

  take(): GPUBuffer {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const buffer = this.#free.pop() ?? this.#device.memory.create('outputs read back', 'staging', this.#size, usage);
    this.#lent.add(buffer);
    return buffer;
  }

  /** Takes a buffer back, to be used again if the run that had it went well. */
  giveBack(staging: GPUBuffer, wentWell: boolean): void {
    if (this.#lent.delete(staging) && wentWell) this.#free.push(staging);
    else this.#device.memory.destroy(staging);
  }

  dispose(): void {
    for (const buffer of [...this.#free, ...this.#lent]) this.#device.memory.destroy(buffer);
    this.#free.length = 0;
    this.#lent.clear();
  }
}

/** The outputs of one run: recorded behind its commands, mapped once these are submitted, then read. Whatever happens, release it. */
export class Reading {
  readonly #device: Device;
  readonly #plan: Plan;
  readonly #buffers: ReadBack;
  #staging: GPUBuffer | undefined;
  #mapped: Promise<void> | undefined;
  #isRead = false;

  constructor(device: Device, plan: Plan, buffers: ReadBack) {
    this.#device = device;
    this.#plan = plan;
    this.#buffers = buffers;
  }

  /** Records the copy of all outputs, one after another. */
  record(encoder: GPUCommandEncoder, output: (name: string) => GPUBuffer): void {
    this.#staging = this.#buffers.take();
    let offset = 0;
    for (const [name, { size }] of this.#plan.outputs) {
      encoder.copyBufferToBuffer(output(name), 0, this.#staging, offset, Math.ceil(size / 4) * 4);
      offset += stagedBytes(size);
    }
  }

  /** Has the buffer mapped when what is submitted has run. */
  map(): void {
    this.#mapped = this.#staging?.mapAsync(GPUMapMode.READ);
    this.#mapped?.catch(() => undefined); // whoever waits for the run hears why
  }

  /** The outputs, once they are there. Throws as Device.settle() does, and limit for what WebGPU refuses. */
  async outputs(): Promise<Outputs> {
    const results: Outputs = new Map();
    if (!this.#staging || !this.#mapped) return results;
    try {
      await this.#device.settle(this.#mapped);
      const bytes = this.#staging.getMappedRange();
      let offset = 0;
      for (const [name, { shape, storage, size }] of this.#plan.outputs) {
        results.set(name, unpadRows(toFloats(bytes.slice(offset, offset + size), storage), shape));
        offset += stagedBytes(size);
      }
      this.#staging.unmap();
    } catch (error) {
      throw asRefusal('outputs', error);
    }
    this.#isRead = true;
    return results;
  }

  release(): void {
    if (this.#staging) this.#buffers.giveBack(this.#staging, this.#isRead);
    this.#staging = undefined;
  }
}

/** Bytes of an output in the staging buffer: ranges begin at multiples of eight. */
function stagedBytes(size: number): number {
  return Math.ceil(size / 8) * 8;
}

function toFloats(bytes: ArrayBuffer, storage: 'f32' | 'f16'): Float32Array<ArrayBuffer> {
  return storage === 'f32' ? new Float32Array(bytes) : Float32Array.from(new Uint16Array(bytes), halfToFloat);
}
