// The operands of one node, in the host's memory and in the GPU's: numbers that are known, so that whatever a kernel makes of them can be
// computed in plain loops as well.
import type { Device } from '../engine/device.ts';
import { encodeHalves, halfToFloat, storageBytes } from '../engine/dtype.ts';
import { StamError } from '../engine/errors.ts';
import type { AnyValue, GraphNode } from '../engine/graph.ts';
import { rowLayout } from '../engine/layout.ts';
import { valueBytes } from '../engine/plan.ts';
import { randomBlock } from '../engine/self-check.ts';
import { elementCount, quads, rowLength } from '../engine/shape.ts';

/** Operands by the names of the node's inputs, dense and row-major. */
export type HostOperands = Readonly<Record<string, Float32Array<ArrayBuffer>>>;

const usage = () => GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

/** What is written at a time: Dawn keeps a copy of it until the GPU has taken it. */
const pieceBytes = 2 ** 24;

export class Operands {
  readonly host: HostOperands;
  readonly #device: Device;
  readonly #node: GraphNode;
  /** By the names of the kernels' bindings. */
  readonly #buffers = new Map<string, GPUBuffer>();
  /** What stands in an output before a kernel adds to it, by the output's name. */
  readonly #taken = new Map<string, GPUBuffer>();

  /** Makes them up and uploads them. Throws unsupported for operands that are no floats, out-of-memory and limit. */
  static async create(device: Device, node: GraphNode): Promise<Operands> {
    const words = Object.values(node.inputs).find(({ storage, kind }) => storage === 'u32' || kind === 'texture');
    if (words) {
      throw new StamError('unsupported', { where: words.name, problem: 'made-up numbers make no sense there' });
    }
    const operands = new Operands(device, node);
    try {
      await operands.#upload();
      return operands;
    } catch (error) {
      operands.dispose();
      throw error;
    }
  }

  private constructor(device: Device, node: GraphNode) {
    this.#device = device;
    this.#node = node;
    this.host = Object.fromEntries(Object.entries(node.inputs).map(([name, value]) => [name, numbersOf(value)]));
  }

  buffer(binding: string): GPUBuffer {
    const buffer = this.#buffers.get(binding);
    if (buffer) return buffer;
    throw new StamError('shader', {
      where: this.#node.name,
      problem: `a kernel binds '${binding}', which is no tensor of it`,
    });
  }

  /** Records what puts the outputs back that a kernel adds to, so that many runs in turn do not grow beyond all numbers. */
  restore(encoder: GPUCommandEncoder): void {
    for (const [name, taken] of this.#taken) {
      encoder.copyBufferToBuffer(taken, 0, this.buffer(name), 0, this.buffer(name).size);
    }
  }

  /** NaN in these rows of the output, unless a kernel adds to what it finds there. */
  poison(rows: readonly number[]): void {
    const { name, pitchBytes } = this.#output();
    if (this.#taken.has(name)) return;
    const poison = new Uint8Array(pitchBytes).fill(0xff);
    for (const row of rows) this.#device.gpu.queue.writeBuffer(this.buffer(name), row * pitchBytes, poison);
  }

  /** These rows of the output, without padding. Throws as Device.read() does. */
  async rows(rows: readonly number[]): Promise<Float32Array[]> {
    const { gpu, memory } = this.#device;
    const { name, value, pitchBytes } = this.#output();
    const staging = await this.#device.checked('rows of a result', () => {
      const read = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
      const into = memory.create('rows of a result', 'staging', rows.length * pitchBytes, read);
      const encoder = gpu.createCommandEncoder({ label: 'stam: rows of a result' });
      for (const [at, row] of rows.entries()) {
        encoder.copyBufferToBuffer(this.buffer(name), row * pitchBytes, into, at * pitchBytes, pitchBytes);
      }
      gpu.queue.submit([encoder.finish()]);
      return into;
    });
    try {
      const bytes = await this.#device.read('rows of a result', staging);
      const length = rowLength(value.shape);
      return rows.map((_, at) => {
        const start = at * pitchBytes;
        return value.storage === 'f16'
          ? Float32Array.from(new Uint16Array(bytes, start, length), halfToFloat)
          : new Float32Array(bytes, start, length);
      });
    } finally {
      memory.destroy(staging);
    }
  }

  dispose(): void {
    for (const buffer of [...this.#buffers.values(), ...this.#taken.values()]) this.#device.memory.destroy(buffer);
  }

  #output() {
    const [[name, value]] = Object.entries(this.#node.outputs);
    return { name, value, pitchBytes: quads(rowLength(value.shape)) * 4 * storageBytes[value.storage] };
  }

  async #upload(): Promise<void> {
    const { inputs, outputs, takesOver = {} } = this.#node;
    const taken = new Map(Object.entries(takesOver).map(([output, input]) => [input, output]));
    for (const [name, value] of Object.entries(outputs)) {
      const create = () => this.#device.memory.create(`operand ${name}`, 'staging', valueBytes(value), usage());
      this.#buffers.set(name, await this.#device.checked(name, create));
    }
    for (const [name, value] of Object.entries(inputs)) {
      const create = () => this.#device.memory.create(`operand ${name}`, 'staging', valueBytes(value), usage());
      const buffer = await this.#device.checked(name, create);
      const output = taken.get(name);
      if (output === undefined) this.#buffers.set(name, buffer);
      else this.#taken.set(output, buffer);
      const bytes = bytesOf(value, this.host[name], this.#device);
      for (let start = 0; start < bytes.byteLength; start += pieceBytes) {
        const size = Math.min(pieceBytes, bytes.byteLength - start);
        this.#device.gpu.queue.writeBuffer(buffer, start, bytes, start, size);
        this.#device.gpu.queue.submit([]);
        await this.#device.finished();
      }
    }
  }
}

/** Of weights, by which power of two they are smaller than 2, so that sums over their rows come out in that range. */
function halvingsOf({ kind, shape }: AnyValue): number {
  return kind === 'weight' ? Math.round(Math.log2(elementCount(shape) / shape[0]) / 2) : 0;
}

/** The numbers of the self-check, at the size of the node's own operand. They are exact in every storage type. */
function numbersOf(value: AnyValue): Float32Array<ArrayBuffer> {
  const block = randomBlock(2 ** -halvingsOf(value));
  return repeated(block, new Float32Array(elementCount(value.shape)));
}

function repeated<T extends Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>>(block: T, into: T): T {
  for (let start = 0; start < into.length; start += block.length) {
    into.set(block.subarray(0, into.length - start), start);
  }
  return into;
}

/** A tensor as it lies in GPU memory. */
function bytesOf(
  value: AnyValue,
  numbers: Float32Array<ArrayBuffer>,
  { capabilities }: Device,
): Uint8Array<ArrayBuffer> {
  const { shape, storage, layout, kind } = value;
  const own = (kind === 'weight' && storage !== 'u32' && layout.on?.(capabilities, storage)) || layout;
  const isDense = own === rowLayout && rowLength(shape) % 4 === 0;
  if (storage !== 'f16') return new Uint8Array(own.pack(numbers, shape).buffer);
  const halves = isDense
    ? repeated(encodeHalves(randomBlock(2 ** -halvingsOf(value))), new Uint16Array(numbers.length))
    : encodeHalves(own.pack(numbers, shape));
  return new Uint8Array(halves.buffer);
}
