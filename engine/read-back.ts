// The outputs of a plan, on their way back to the host.
import type { Device } from './device.ts';
import { halfToFloat } from './dtype.ts';
import { unpadRows } from './layout.ts';
import type { Plan } from './plan.ts';

/** Dense row-major float32 by name. */
export type Outputs = Map<string, Float32Array<ArrayBuffer>>;

/** Copies outputs into buffers that can be mapped, one for each run that is not over. */
export class ReadBack {
  readonly #device: Device;
  readonly #plan: Plan;
  /** Of runs that are over, for runs to come. */
  readonly #free: GPUBuffer[] = [];
  readonly #lent = new Set<GPUBuffer>();

  constructor(device: Device, plan: Plan) {
    this.#device = device;
    this.#plan = plan;
  }

  /** Submits the copy of all outputs, one after another. `accepted` as Device.scoped() has it; give the buffer back. */
  copy(output: (name: string) => GPUBuffer): { readonly staging: GPUBuffer; readonly accepted: Promise<void> } {
    const { gpu, memory } = this.#device;
    const total = [...this.#plan.outputs.values()].reduce((sum, { size }) => sum + stagedBytes(size), 0);
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const known = this.#free.pop();
    const { result: staging, accepted } = this.#device.scoped('outputs', () => {
      const buffer = known ?? memory.create('outputs read back', 'staging', total, usage);
      this.#lent.add(buffer);
      const encoder = gpu.createCommandEncoder({ label: 'stam: read back' });
      let offset = 0;
      for (const [name, { size }] of this.#plan.outputs) {
        encoder.copyBufferToBuffer(output(name), 0, buffer, offset, Math.ceil(size / 4) * 4);
        offset += stagedBytes(size);
      }
      gpu.queue.submit([encoder.finish()]);
      return buffer;
    });
    return { staging, accepted };
  }

  /** The outputs, once they are copied, which it waits for. */
  async read(staging: GPUBuffer): Promise<Outputs> {
    const bytes = await this.#device.read('outputs', staging);
    const results: Outputs = new Map();
    let offset = 0;
    for (const [name, { shape, storage, size }] of this.#plan.outputs) {
      results.set(name, unpadRows(toFloats(bytes.slice(offset, offset + size), storage), shape));
      offset += stagedBytes(size);
    }
    return results;
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

/** Bytes of an output in the staging buffer: ranges begin at multiples of eight. */
function stagedBytes(size: number): number {
  return Math.ceil(size / 8) * 8;
}

function toFloats(bytes: ArrayBuffer, storage: 'f32' | 'f16'): Float32Array<ArrayBuffer> {
  return storage === 'f32' ? new Float32Array(bytes) : Float32Array.from(new Uint16Array(bytes), halfToFloat);
}
