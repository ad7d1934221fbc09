// Moves the weights of a plan from a source of named tensors into GPU memory, one tensor at a time.

import { unlessAborted } from './abort.ts';
import type { Device } from './device.ts';
import { encodeHalves } from './dtype.ts';
import { StamError, throwIfAborted } from './errors.ts';
import type { Value } from './graph.ts';
import { valueBytes } from './plan.ts';
import { elementCount, formatShape, sameShape } from './shape.ts';

/** What weights are read from; loaders/checkpoint.ts is one. */
export interface TensorSource {
  readonly name: string;
  readonly tensors: ReadonlyMap<string, { readonly dtype: string; readonly shape: readonly number[] }>;
  /** One tensor as float32, row-major; it may lie in what `allocate` gave for so many bytes. */
  read(
    tensor: string,
    signal?: AbortSignal,
    allocate?: (bytes: number) => Uint8Array<ArrayBuffer>,
  ): Promise<Float32Array<ArrayBuffer>>;
  /** Names in the order that reads the source from front to back. */
  order(): readonly string[];
}

/** What Weights.upload() takes beside source and tensors; everything may be left out. */
export interface UploadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called after each tensor with the bytes of GPU memory filled so far. */
  readonly onProgress?: ((loaded: number, total: number) => void) | undefined;
}

/** Tensors of a checkpoint in GPU memory, by name. They may serve several programs. */
export class Weights {
  readonly #device: Device;
  readonly #buffers = new Map<string, { buffer: GPUBuffer; value: Value }>();
  // reading and packing make no garbage: large arrays are collected late, and many of them would add up
  readonly #bytes = reusable((count) => new Uint8Array(count));
  readonly #floats = reusable((count) => new Float32Array(count));
  readonly #halves = reusable((count) => new Uint16Array(count));

  private constructor(device: Device) {
    this.#device = device;
  }

  /** For plans that need none. */
  static none(device: Device): Weights {
    return new Weights(device);
  }

  /**
   * Uploads `wanted` from `source`. At no time is more than one tensor in JavaScript's memory, besides what the queue still holds.
   * Throws missing-tensor or shape-mismatch, naming the tensor, before anything is read; frees everything when it fails or is aborted.
   */
  static async upload(
    device: Device,
    source: TensorSource,
    wanted: ReadonlyMap<string, Value>,
    { signal, onProgress }: UploadOptions = {},
  ): Promise<Weights> {
    for (const value of wanted.values()) checkTensor(source, value);
    const weights = new Weights(device);
    const total = [...wanted.values()].reduce((sum, value) => sum + valueBytes(value), 0);
    let loaded = 0;
    let queued = 0;
    try {
      for (const name of source.order()) {
        const value = wanted.get(name);
        if (!value) continue;
        throwIfAborted(signal);
        // a source may stall: it is not waited for when the upload is to end, or when there is no device any more
        const reading = source.read(name, signal, weights.#bytes);
        const data = await unlessAborted(device.settle(reading), signal);
        checkLength(source, value, data.length);
        await weights.#add(value, data);
        loaded += valueBytes(value);
        queued += valueBytes(value);
        onProgress?.(loaded, total);
        if (queued > maxQueuedBytes) {
          await unlessAborted(written(device), signal);
          queued = 0;
        }
      }
      await unlessAborted(written(device), signal);
      device.check();
      for (const scratch of [weights.#bytes, weights.#floats, weights.#halves]) scratch(0);
      return weights;
    } catch (error) {
      weights.dispose();
      throw error;
    }
  }

  /** The buffer of a weight. The plan's idea of it must be the one it was uploaded with. */
  buffer(value: Value): GPUBuffer {
    const held = this.#buffers.get(value.name);
    if (held && held.value.layout === value.layout && held.value.storage === value.storage) return held.buffer;
    throw new StamError('missing-tensor', {
      where: value.name,
      problem: held ? 'the weight is in GPU memory in another layout' : 'the weight was not uploaded',
      got: held && `${held.value.storage} in ${held.value.layout.name}`,
      expected: `${value.storage} in ${value.layout.name}`,
    });
  }

  get bytes(): number {
    return [...this.#buffers.values()].reduce((sum, { value }) => sum + valueBytes(value), 0);
  }

  dispose(): void {
    for (const { buffer } of this.#buffers.values()) this.#device.memory.destroy(buffer);
    this.#buffers.clear();
  }

  async #add(value: Value, data: Float32Array<ArrayBuffer>): Promise<void> {
    const packed = value.layout.pack(data, value.shape, (count) => this.#floats(count).fill(0));
    const elements = value.storage === 'f16' ? encodeHalves(packed, this.#halves(packed.length)) : packed;
    const { memory, gpu } = this.#device;
    await this.#device.checked(value.name, () => {
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
      const buffer = memory.create(value.name, 'weights', elements.byteLength, usage);
      this.#buffers.set(value.name, { buffer, value });
      gpu.queue.writeBuffer(buffer, 0, elements);
    });
  }
}

/** The same memory for every call that fits it; a call for nothing lets go of it. */
function reusable<T extends { readonly length: number; subarray(start: number, end: number): T }>(
  create: (count: number) => T,
): (count: number) => T {
  let memory = create(0);
  return (count) => {
    if (memory.length < count || count === 0) memory = create(count);
    return memory.subarray(0, count);
  };
}

/**
 * Waits until the GPU has what was written. Dawn keeps that, and what was destroyed before, until a submission follows, even one of nothing:
 * loads of which none runs would add up.
 */
async function written(device: Device): Promise<void> {
  await device.checked('weights', () => device.gpu.queue.submit([]));
  await device.finished();
}

/** writeBuffer copies into memory of the driver's until the GPU has taken it; past this much we wait. */
const maxQueuedBytes = 32 * 2 ** 20;

/** What is too short would leave the rest of the tensor what it was in memory. */
function checkLength(source: TensorSource, value: Value, length: number): void {
  const expected = elementCount(value.shape);
  if (length === expected) return;
  throw new StamError('bad-checkpoint', {
    where: `${source.name}: ${value.name}`,
    problem: 'the source gave another number of elements than the shape has',
    got: `${length}`,
    expected: `${expected}`,
  });
}

function checkTensor(source: TensorSource, value: Value): void {
  const where = `${source.name}: ${value.name}`;
  const found = source.tensors.get(value.name);
  if (!found) {
    throw new StamError('missing-tensor', {
      where,
      problem: 'the model needs a tensor that the checkpoint lacks',
      expected: `a float tensor of ${formatShape(value.shape)}`,
    });
  }
  if (!sameShape(found.shape, value.shape)) {
    throw new StamError('shape-mismatch', {
      where,
      problem: 'the tensor does not fit the model',
      got: `${found.dtype} ${formatShape(found.shape)}`,
      expected: formatShape(value.shape),
    });
  }
}
