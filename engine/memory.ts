// Every GPU buffer of the engine is made and freed here, so that its bytes can be told at any time.

/** What a buffer is for; statistics are kept by it. */
export type MemoryUse = 'weights' | 'activations' | 'staging';

/** Bytes of GPU buffers. */
export interface MemoryStatistics {
  readonly weights: number;
  readonly activations: number;
  readonly staging: number;
  /** The largest sum of the three at any time since the start or resetPeak(). */
  readonly peak: number;
  /** Buffers alive. */
  readonly buffers: number;
}

export class GpuMemory {
  readonly #gpu: GPUDevice;
  readonly #alive = new Map<GPUBuffer, { use: MemoryUse; size: number }>();
  readonly #bytes: Record<MemoryUse, number> = { weights: 0, activations: 0, staging: 0 };
  #peak = 0;
  /** Where the buffers that are made are noted, if anybody wants to know. */
  #notes: GPUBuffer[] | undefined;

  constructor(gpu: GPUDevice) {
    this.#gpu = gpu;
  }

  /** A buffer of `size` bytes, rounded up to a multiple of 16, the widest element of any kernel's binding. */
  create(label: string, use: MemoryUse, size: number, usage: GPUBufferUsageFlags, mappedAtCreation = false): GPUBuffer {
    const rounded = Math.max(16, Math.ceil(size / 16) * 16);
    const buffer = this.#gpu.createBuffer({ label: `stam: ${label}`, size: rounded, usage, mappedAtCreation });
    this.#alive.set(buffer, { use, size: rounded });
    this.#bytes[use] += rounded;
    this.#peak = Math.max(this.#peak, this.#total());
    this.#notes?.push(buffer);
    return buffer;
  }

  /** Runs `work`, which does not wait, and notes in `made` the buffers that it makes. */
  noting<T>(made: GPUBuffer[], work: () => T): T {
    this.#notes = made;
    try {
      return work();
    } finally {
      this.#notes = undefined;
    }
  }

  destroy(buffer: GPUBuffer): void {
    const record = this.#alive.get(buffer);
    if (!record) return;
    this.#alive.delete(buffer);
    this.#bytes[record.use] -= record.size;
    buffer.destroy();
  }

  statistics(): MemoryStatistics {
    return { ...this.#bytes, peak: this.#peak, buffers: this.#alive.size };
  }

  /** Counts the peak from now on. */
  resetPeak(): void {
    this.#peak = this.#total();
  }

  /** Destroys whatever is still alive. */
  dispose(): void {
    for (const buffer of [...this.#alive.keys()]) this.destroy(buffer);
  }

  #total(): number {
    return this.#bytes.weights + this.#bytes.activations + this.#bytes.staging;
  }
}
