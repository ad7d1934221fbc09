// The testbed that is a device: nodes of a graph on their own, with made-up operands.
import { BoundKernel } from './bound-kernel.ts';
import type { Capabilities, Device } from './device.ts';
import type { ElementType } from './dtype.ts';
import { encodeHalves, halfToFloat } from './dtype.ts';
import { StamError } from './errors.ts';
import type { AnyValue, GraphNode } from './graph.ts';
import type { Kernel } from './kernel.ts';
import { kernelsOf, partOf } from './kernel.ts';
import { PassTimer } from './pass-timer.ts';
import { valueBytes } from './plan.ts';
import type { Contestant, Testbed, Trial } from './testbed.ts';
import { measureUnits } from './units.ts';

export class DeviceTestbed implements Testbed {
  readonly #device: Device;
  readonly #timer: PassTimer;
  #capabilities: Capabilities;

  /** Throws out-of-memory, limit and device-lost. */
  static async create(device: Device): Promise<DeviceTestbed> {
    return new DeviceTestbed(device, await PassTimer.create(device));
  }

  private constructor(device: Device, timer: PassTimer) {
    this.#device = device;
    this.#timer = timer;
    this.#capabilities = device.capabilities;
  }

  get capabilities() {
    return this.#capabilities;
  }

  get clock() {
    return this.#timer.clock;
  }

  now(): number {
    return performance.now();
  }

  async measureUnits(signal?: AbortSignal): Promise<number | undefined> {
    const units = await measureUnits(this.#device, this.#timer, signal);
    if (units !== undefined) this.#capabilities = { ...this.#capabilities, units };
    return units;
  }

  prepare(node: GraphNode): Promise<Trial> {
    return DeviceTrial.create(this.#device, this.#timer, node);
  }

  async compile(kernels: readonly Kernel[], ms: number): Promise<readonly Kernel[]> {
    const over = new Set<Kernel>();
    const compiling = kernels.map(async (kernel) => {
      await Promise.allSettled(kernelsOf(kernel).map(async (one) => await this.#device.pipelines.compile(one)));
      over.add(kernel);
    });
    let timeout: ReturnType<typeof setTimeout> | undefined;
    const timeIsUp = new Promise<void>((resolve) => {
      timeout = setTimeout(resolve, Math.min(ms, longestTimeout));
    });
    await Promise.race([Promise.all(compiling), timeIsUp]);
    clearTimeout(timeout);
    return kernels.filter((kernel) => over.has(kernel));
  }

  forget(kernel: Kernel): void {
    for (const one of kernelsOf(kernel)) this.#device.pipelines.forget(one);
  }

  dispose(): void {
    this.#timer.dispose();
  }
}

/** A timer that is to wait longer does not wait at all. */
const longestTimeout = 2 ** 31 - 1;

const sampleBytes = 16384;

class DeviceTrial implements Trial {
  readonly #device: Device;
  readonly #timer: PassTimer;
  readonly #node: GraphNode;
  readonly #buffers = new Map<string, GPUBuffer>();
  readonly #entered: BoundKernel[] = [];

  /** Takes memory for the node's tensors. */
  static async create(device: Device, timer: PassTimer, node: GraphNode): Promise<DeviceTrial> {
    const { trial, sources } = await device.checked(`trial of ${node.name}`, () => {
      const trial = new DeviceTrial(device, timer, node);
      return { trial, sources: trial.#fill() };
    });
    for (const source of sources) device.memory.destroy(source); // what has been submitted still reads it
    return trial;
  }

  private constructor(device: Device, timer: PassTimer, node: GraphNode) {
    this.#device = device;
    this.#timer = timer;
    this.#node = node;
    const taken = new Set(Object.values(node.takesOver ?? {}));
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    for (const [name, value] of [...Object.entries(node.inputs), ...Object.entries(node.outputs)]) {
      if (taken.has(name)) continue;
      this.#buffers.set(name, device.memory.create(`trial ${name}`, 'staging', valueBytes(value), usage));
    }
  }

  async enter(kernel: Kernel): Promise<Contestant> {
    const where = `trial of ${this.#node.name}`;
    const bound = await BoundKernel.create(this.#device, kernel, where, (binding) => this.#buffer(binding));
    this.#entered.push(bound);
    const dispatch = (fraction: number) => (pass: GPUComputePassEncoder) => {
      bound.record(pass, (one) => partOf(one, fraction).workgroups);
    };
    return {
      kernel,
      sample: (fraction) => this.#sample(dispatch(fraction), fraction),
      time: (repeats, fraction) => this.#timer.time(dispatch(fraction), repeats, (encoder) => this.#restore(encoder)),
    };
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

  /** Fills the inputs, by copies within the GPU: to write gigabytes takes longer than to try kernels on them. Returns what they are copied from. */
  #fill(): GPUBuffer[] {
    const { gpu } = this.#device;
    const encoder = gpu.createCommandEncoder({ label: 'stam: trial' });
    const sources = new Map<ElementType, GPUBuffer>();
    for (const [name, value] of Object.entries(this.#node.inputs)) {
      const buffer = this.#buffers.get(name);
      if (!buffer) continue;
      const { storage } = value;
      const source = sources.get(storage) ?? this.#source(value);
      sources.set(storage, source);
      for (let start = 0; start < buffer.size; start += source.size) {
        encoder.copyBufferToBuffer(source, 0, buffer, start, Math.min(source.size, buffer.size - start));
      }
    }
    gpu.queue.submit([encoder.finish()]);
    return [...sources.values()];
  }

  /** Some megabytes of numbers. */
  #source({ storage }: AnyValue): GPUBuffer {
    const { gpu, memory } = this.#device;
    const block = blockOf(storage, this.#node.takesOver ? addedScale : 1);
    const buffer = memory.create(
      'trial numbers',
      'staging',
      blocksOfSource * block.byteLength,
      GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    );
    for (let i = 0; i < blocksOfSource; i++) gpu.queue.writeBuffer(buffer, i * block.byteLength, block);
    return buffer;
  }

  /** Zeros where a kernel adds to what it finds: many runs in turn shall not grow beyond all numbers. */
  #restore(encoder: GPUCommandEncoder): void {
    for (const output of Object.keys(this.#node.takesOver ?? {})) encoder.clearBuffer(this.#buffer(output));
  }

  /** Poisons the output, runs once, and reads a piece from the beginning and one from near the end of what was computed. */
  async #sample(dispatch: (pass: GPUComputePassEncoder) => void, fraction: number): Promise<Float32Array> {
    const { gpu, memory } = this.#device;
    const [[name, { storage }]] = Object.entries(this.#node.outputs);
    const buffer = this.#buffer(name);
    const size = Math.min(sampleBytes, buffer.size);
    const later = Math.floor(Math.max(0, buffer.size * fraction * 0.9 - size) / 256) * 256;
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const staging = await this.#device.checked('trial sample', () => {
      // NaN, so that what is left unwritten shows
      const poison = new Uint8Array(size).fill(0xff);
      for (const offset of [0, later]) gpu.queue.writeBuffer(buffer, offset, poison);
      const into = memory.create('trial sample', 'staging', 2 * size, usage);
      const encoder = gpu.createCommandEncoder({ label: 'stam: trial' });
      this.#restore(encoder);
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
}

const blockElements = 2 ** 16;
const blocksOfSource = 16;
/**
 * Of the numbers of a kernel that adds to its output. A run adds at most a quarter of the inner length times its square, and 1024 runs of
 * 3072 products stay below 800: f16 holds 65,504.
 */
const addedScale = 2 ** -5;
const blocks = new Map<string, Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>>();

/** Numbers in -0.5..0.5 times `scale` without an order, made once: one block serves every tensor, for kernels do not run faster for it. */
function blockOf(storage: ElementType, scale: number): Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> {
  const key = `${storage} ${scale}`;
  const known = blocks.get(key);
  if (known) return known;
  let state = 1;
  const numbers = Float32Array.from({ length: blockElements }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator
    return (state / 2 ** 32 - 0.5) * scale;
  });
  const block = storage === 'f16' ? encodeHalves(numbers) : numbers;
  blocks.set(key, block);
  return block;
}
