// One node of a graph on its own, with made-up operands: what the tuner tries kernels on.
import { BoundKernel } from './bound-kernel.ts';
import type { Device } from './device.ts';
import type { ElementType } from './dtype.ts';
import { encodeHalves, halfToFloat, storageBytes } from './dtype.ts';
import { StamError } from './errors.ts';
import type { AnyValue, GraphNode } from './graph.ts';
import type { Kernel } from './kernel.ts';
import { partOf } from './kernel.ts';
import { valueBytes } from './plan.ts';

/** A kernel ready to be timed on a trial's operands. */
export interface Contestant {
  readonly kernel: Kernel;
  /** Some of the output's elements, the same ones for every kernel. */
  readonly sample: Float32Array;
  /** Runs it and returns the milliseconds it took. */
  time(): Promise<number>;
}

const sampleBytes = 16384;

/** The operands of one node in GPU memory, and whichever of its kernels one wants to run on them. */
export class Trial {
  readonly #device: Device;
  readonly #node: GraphNode;
  readonly #buffers = new Map<string, GPUBuffer>();
  readonly #entered: BoundKernel[] = [];
  /** Of the work of the node, how much one run does: a part of a large problem tells as much as the whole. */
  readonly #fraction: number;

  /** Takes memory for the node's tensors. `flops` is what one run may cost; a larger problem is run in part. Throws out-of-memory. */
  static async create(device: Device, node: GraphNode, flops: number): Promise<Trial> {
    return await device.checked(`trial of ${node.name}`, () => new Trial(device, node, flops));
  }

  private constructor(device: Device, node: GraphNode, flops: number) {
    this.#device = device;
    this.#node = node;
    this.#fraction = Math.min(1, flops / Math.max(1, node.flops));
    const taken = new Set(Object.values(node.takesOver ?? {}));
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    for (const [name, value] of Object.entries(node.inputs)) {
      if (taken.has(name)) continue;
      const buffer = device.memory.create(`trial ${name}`, 'staging', valueBytes(value), usage);
      fill(device.gpu, buffer, value);
      this.#buffers.set(name, buffer);
    }
    for (const [name, value] of Object.entries(node.outputs)) {
      this.#buffers.set(name, device.memory.create(`trial ${name}`, 'staging', valueBytes(value), usage));
    }
  }

  /** Compiles a kernel and runs it once for its result. Throws shader, limit, out-of-memory or device-lost. */
  async enter(kernel: Kernel): Promise<Contestant> {
    const where = `trial of ${this.#node.name}`;
    const bound = await BoundKernel.create(this.#device, kernel, where, (binding) => this.#buffer(binding));
    this.#entered.push(bound);
    const dispatch = (pass: GPUComputePassEncoder) => {
      bound.record(pass, (one) => partOf(one, this.#fraction).workgroups);
    };
    const hasTimestamps = this.#device.capabilities.features.has('timestamp-query');
    const time = () => (hasTimestamps ? timestamps : wallClock)(this.#device, dispatch);
    return { kernel, sample: await this.#sample(dispatch), time };
  }

  dispose(): void {
    for (const bound of this.#entered) bound.dispose();
    for (const buffer of this.#buffers.values()) this.#device.memory.destroy(buffer);
  }

  #buffer(binding: string): GPUBuffer {
    const buffer = this.#buffers.get(binding);
    if (buffer) return buffer;
    throw new StamError('shader', {
      where: this.#node.name,
      problem: `a kernel binds '${binding}', which is no tensor of it`,
    });
  }

  /** Poisons the output, runs once, and reads a piece from the beginning and one from near the end of what was computed. */
  async #sample(dispatch: (pass: GPUComputePassEncoder) => void): Promise<Float32Array> {
    const { gpu, memory } = this.#device;
    const [[name, { storage }]] = Object.entries(this.#node.outputs);
    const buffer = this.#buffer(name);
    const size = Math.min(sampleBytes, buffer.size);
    const later = Math.floor(Math.max(0, buffer.size * this.#fraction * 0.9 - size) / 256) * 256;
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const staging = await this.#device.checked('trial sample', () => {
      const poison = new Uint8Array(size).fill(this.#poison());
      for (const offset of [0, later]) gpu.queue.writeBuffer(buffer, offset, poison);
      const into = memory.create('trial sample', 'staging', 2 * size, usage);
      const encoder = gpu.createCommandEncoder({ label: 'stam: trial' });
      const pass = encoder.beginComputePass({ label: 'stam: trial' });
      dispatch(pass);
      pass.end();
      encoder.copyBufferToBuffer(buffer, 0, into, 0, size);
      encoder.copyBufferToBuffer(buffer, later, into, size, size);
      gpu.queue.submit([encoder.finish()]);
      return into;
    });
    try {
      const bytes = (await this.#device.read('trial sample', staging)).slice(0, 2 * size);
      return storage === 'f16' ? Float32Array.from(new Uint16Array(bytes), halfToFloat) : new Float32Array(bytes);
    } finally {
      memory.destroy(staging);
    }
  }

  /** NaN, so that what is left unwritten shows; zeros where the kernel adds to what it finds. */
  #poison(): number {
    return this.#node.takesOver ? 0 : 0xff;
  }
}

const blockElements = 2 ** 16;
const blocks = new Map<ElementType, Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>>();

/** Numbers in -0.5..0.5 without an order, made once: one block serves every tensor, for kernels do not run faster for it. */
function blockOf(storage: ElementType): Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> {
  const known = blocks.get(storage);
  if (known) return known;
  let state = 1;
  const numbers = Float32Array.from({ length: blockElements }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator
    return state / 2 ** 32 - 0.5;
  });
  const block = storage === 'f16' ? encodeHalves(numbers) : numbers;
  blocks.set(storage, block);
  return block;
}

function fill(gpu: GPUDevice, buffer: GPUBuffer, value: AnyValue): void {
  const block = blockOf(value.storage);
  const elements = valueBytes(value) / storageBytes[value.storage];
  for (let start = 0; start < elements; start += blockElements) {
    const count = Math.min(blockElements, elements - start);
    gpu.queue.writeBuffer(buffer, start * storageBytes[value.storage], block, 0, count);
  }
}

/** The time of a pass by the GPU's own clock. */
async function timestamps(device: Device, dispatch: (pass: GPUComputePassEncoder) => void): Promise<number> {
  const { gpu, memory } = device;
  const { querySet, resolved, staging } = await device.checked('trial timestamps', () => {
    const querySet = gpu.createQuerySet({ label: 'stam: trial', type: 'timestamp', count: 2 });
    const [read, resolve] = [GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, GPUBufferUsage.QUERY_RESOLVE];
    const resolved = memory.create('trial timestamps', 'staging', 16, resolve | GPUBufferUsage.COPY_SRC);
    const staging = memory.create('trial timestamps', 'staging', 16, read);
    const encoder = gpu.createCommandEncoder({ label: 'stam: trial' });
    const timestampWrites = { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
    const pass = encoder.beginComputePass({ label: 'stam: trial', timestampWrites });
    dispatch(pass);
    pass.end();
    encoder.resolveQuerySet(querySet, 0, 2, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, 16);
    gpu.queue.submit([encoder.finish()]);
    return { querySet, resolved, staging };
  });
  try {
    const [start, end] = new BigUint64Array(await device.read('trial timestamps', staging));
    return Number(end - start) / 1e6;
  } finally {
    for (const buffer of [resolved, staging]) memory.destroy(buffer);
    querySet.destroy();
  }
}

/** The time of a submission divided by its dispatches, which are enough to outweigh the submission's own cost. */
async function wallClock(device: Device, dispatch: (pass: GPUComputePassEncoder) => void): Promise<number> {
  const { gpu } = device;
  const repeats = device.capabilities.adapter.software ? 1 : 10;
  const begin = performance.now();
  const { accepted } = device.scoped('trial', () => {
    const encoder = gpu.createCommandEncoder({ label: 'stam: trial' });
    const pass = encoder.beginComputePass({ label: 'stam: trial' });
    for (let i = 0; i < repeats; i++) dispatch(pass);
    pass.end();
    gpu.queue.submit([encoder.finish()]);
  });
  await device.finished();
  await accepted;
  return (performance.now() - begin) / repeats;
}
