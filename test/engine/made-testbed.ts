// A device that is made up: how long each kernel takes is known, time passes by numbers, and the clock is exact or rounds as browsers do.
import type { Stamps } from '../../engine/clock.ts';
import { Clock } from '../../engine/clock.ts';
import type { Capabilities } from '../../engine/device.ts';
import { StamError } from '../../engine/errors.ts';
import type { GraphNode } from '../../engine/graph.ts';
import type { Kernel } from '../../engine/kernel.ts';
import { partOf } from '../../engine/kernel.ts';
import type { Contestant, Testbed, Trial } from '../../engine/testbed.ts';
import { countUnits } from '../../engine/units.ts';
import { defaultCapabilities } from '../capabilities.ts';

export interface MadeDevice {
  /** Milliseconds of one run of a kernel of so many workgroups. */
  readonly msOf: (kernel: Kernel, workgroups: number) => number;
  /** Stamps are multiples of so many nanoseconds; 1 by default. */
  readonly resolution?: bigint;
  /** Milliseconds that a kernel takes to compile, one after another; 0 by default. */
  readonly compileMs?: number;
  /** Milliseconds between a submission and its end that are not the GPU's. */
  readonly waitMs?: number;
  /** Elements of the largest operand for which there is memory. */
  readonly mostElements?: number;
  readonly capabilities?: Capabilities;
  /** Units of a device on which a workgroup that keeps one busy takes a tenth of a millisecond. Left out, it cannot be told. */
  readonly units?: number;
}

/** `milliseconds` for each wave of `units` workgroups, as a device of so many units takes them. */
export function inWaves(units: number, milliseconds: (kernel: Kernel) => number): MadeDevice['msOf'] {
  return (kernel, workgroups) => Math.ceil(workgroups / units) * milliseconds(kernel);
}

const textOf = ({ tile, variant }: Kernel) => `${tile} ${variant}`;

export class MadeTestbed implements Testbed {
  readonly clock = new Clock('timestamps');
  capabilities: Capabilities;
  /** Trials that were not disposed of. */
  open = 0;
  /** What is compiled: tile and variant stand for the text. */
  readonly compiled = new Map<string, Kernel>();
  /** Milliseconds of the longest single run. */
  longestRun = 0;
  readonly #made: Required<Omit<MadeDevice, 'capabilities' | 'units'>>;
  readonly #units: number | undefined;
  #ns = 987_654_321n;

  constructor({ capabilities = defaultCapabilities, units, ...made }: MadeDevice) {
    this.capabilities = capabilities;
    this.#units = units;
    this.#made = { resolution: 1n, compileMs: 0, waitMs: 0.1, mostElements: Number.POSITIVE_INFINITY, ...made };
  }

  now(): number {
    return Number(this.#ns) / 1e6;
  }

  async measureUnits(signal?: AbortSignal): Promise<number | undefined> {
    const { clock } = this;
    const made = this.#units;
    if (made === undefined) return undefined;
    const time = async (workgroups: number, repeats: number) =>
      clock.between(this.#run(0.1 * Math.ceil(workgroups / made) * repeats));
    const units = await countUnits(time, clock, signal);
    if (units !== undefined) this.capabilities = { ...this.capabilities, units };
    return units;
  }

  async prepare({ name, inputs }: GraphNode): Promise<Trial> {
    const elements = Object.values(inputs).map(({ shape }) => shape.reduce((product, size) => product * size, 1));
    if (Math.max(...elements) > this.#made.mostElements) {
      throw new StamError('out-of-memory', { where: name, problem: 'the made device has not so much' });
    }
    this.open++;
    return {
      enter: async (kernel) => {
        if (!this.compiled.has(textOf(kernel))) this.#pass(this.#made.compileMs);
        this.compiled.set(textOf(kernel), kernel);
        return this.#contestant(kernel);
      },
      dispose: () => {
        this.open--;
      },
    };
  }

  async compile(kernels: readonly Kernel[], ms: number): Promise<readonly Kernel[]> {
    const most = this.#made.compileMs > 0 ? Math.floor(ms / this.#made.compileMs) : kernels.length;
    const over = kernels.slice(0, most);
    this.#pass(over.length < kernels.length ? ms : over.length * this.#made.compileMs);
    for (const kernel of over) this.compiled.set(textOf(kernel), kernel);
    return over;
  }

  forget(kernel: Kernel): void {
    this.compiled.delete(textOf(kernel));
  }

  #contestant(kernel: Kernel): Contestant {
    const run = (repeats: number, fraction: number): Stamps => {
      const [x, y, z] = partOf(kernel, fraction).workgroups;
      const ms = this.#made.msOf(kernel, x * y * z);
      this.longestRun = Math.max(this.longestRun, ms);
      return this.#run(ms * repeats);
    };
    return {
      kernel,
      sample: async (fraction) => {
        run(1, fraction);
        return Float32Array.of(1, 2, 3);
      },
      time: async (repeats, fraction) => this.clock.between(run(repeats, fraction)),
    };
  }

  /** Computes for so many milliseconds. */
  #run(ms: number): Stamps {
    this.#pass(this.#made.waitMs);
    const begin = this.#stamp();
    this.#pass(ms);
    return { begin, end: this.#stamp() };
  }

  #stamp(): bigint {
    return this.#ns - (this.#ns % this.#made.resolution);
  }

  #pass(ms: number): void {
    this.#ns += BigInt(Math.round(ms * 1e6));
  }
}
