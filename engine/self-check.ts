// Whether the kernels of a plan compute right results on this very device. Compilers and drivers have errors of their own, which show
// as plausible wrong numbers: so each kernel runs once on a small problem, and what it gives is compared with plain loops.
import { madeUnlessAborted, unlessAborted } from './abort.ts';
import type { Capabilities, Device } from './device.ts';
import { formatAdapter } from './device.ts';
import { encodeHalves } from './dtype.ts';
import { StamError, throwIfAborted } from './errors.ts';
import type { GraphNode, NodeCheck, Value } from './graph.ts';
import { Graph } from './graph.ts';
import type { Kernel } from './kernel.ts';
import { kernelLabel, kernelsOf } from './kernel.ts';
import { rowLayout } from './layout.ts';
import type { Choose, Dispatch, Plan, Resolve } from './plan.ts';
import { createPlan } from './plan.ts';
import type { RunInput, RunInputs } from './program.ts';
import { Program } from './program.ts';
import { elementCount, rowLength } from './shape.ts';
import { Weights } from './weights.ts';

/** A kernel that failed and is not used any more. */
export interface DroppedKernel {
  readonly kernel: string;
  readonly why: string;
  /** Whether the device refused to compile it, rather than computing something else. */
  readonly refused: boolean;
}

/** A kernel that is to be tried on the problem of a node that it was chosen for. */
interface Untried {
  readonly node: GraphNode;
  readonly check: NodeCheck;
  readonly kernel: Kernel;
  /** Those by which it is a candidate, of the small problem, too. */
  readonly capabilities: Capabilities;
}

export interface SelfCheckOptions {
  /** False: plans are made, but no kernel is tried. */
  readonly enabled?: boolean | undefined;
  /** Told at once when a kernel is dropped. */
  readonly onDrop?: ((dropped: DroppedKernel) => void) | undefined;
}

/**
 * Largest difference, as a fraction of the largest element: far above rounding, far below what a wrong kernel gives. In f16 it holds for
 * kernels that accumulate s <= 16 products in f16, too (Kernel.shortSum), with the operands made up here: products have zero mean and
 * standard deviation d, so that a sum of k of them has d sqrt k. Taken as independent, each rounding error is at most 2^-11 of a short sum,
 * which has d sqrt s: k of them add up to 2^-11 d sqrt(k s). Five standard deviations of that, beside a largest element of three, are
 * 2^-11 sqrt(s) 5/3, 3.3e-3 for sixteen; the rounding of the result is 5e-4.
 */
export const allowedError = { f32: 1e-4, f16: 1e-2 } as const;

/**
 * Pipelines that gave a right result: the models of a GPUDevice share its pipelines, and what came of checking them. Of a wrong one nothing
 * is kept: the next model tries it again.
 */
const rightPipelines = new WeakSet<GPUComputePipeline>();

/** Rows of a result that are compared, spread over all; an odd step meets every lane of a tile's powers of two. */
const comparedRows = 9;

/** The kernels of one device that are known to be right there, and those known to be wrong. */
export class SelfCheck {
  readonly #device: Device;
  readonly #options: SelfCheckOptions;
  readonly #passed = new Set<string>();
  readonly #dropped = new Map<string, DroppedKernel>();
  #ms = 0;

  constructor(device: Device, options: SelfCheckOptions = {}) {
    this.#device = device;
    this.#options = options;
  }

  /** Kernels that have failed, in the order of their failing. */
  get dropped(): readonly DroppedKernel[] {
    return [...this.#dropped.values()];
  }

  /** What was found, for people. */
  get summary(): string {
    if (this.#options.enabled === false) return 'off';
    const dropped = this.#dropped.size ? `, ${this.#dropped.size} dropped` : '';
    return `${this.#passed.size} kernels right${dropped}, in ${(this.#ms / 1000).toFixed(2)} s`;
  }

  /** Milliseconds spent on trying kernels, without compiling them. */
  get ms(): number {
    return this.#ms;
  }

  /**
   * Plans a graph with kernels that have not failed, without trying those that are new: for what is wanted of a plan beside running it.
   * `choose` picks among them, by default the first; they are those of `capabilities`, by default the device's, in their order. Throws as
   * createPlan() does, and shader or unsupported where all of a node's kernels have failed.
   */
  plan(
    graph: Graph,
    choose: Choose = (_, candidates) => candidates[0],
    capabilities: Capabilities = this.#device.capabilities,
  ): Plan {
    const chooseLeft: Choose = (node, candidates) => {
      const left = candidates.filter((kernel) => !this.#dropped.has(kernelLabel(kernel)));
      return left.length > 0 ? choose(node, left) : this.#noneLeft(node, candidates);
    };
    return createPlan(graph, capabilities, chooseLeft, this.#device.pipelines.resolve);
  }

  /**
   * Plans a graph, unless plan() has with the same arguments, tries each kernel that is new, and plans again without those that fail until
   * all are right. Throws what plan() and Program.create() throw.
   */
  async rightPlan(
    graph: Graph,
    choose?: Choose,
    signal?: AbortSignal,
    capabilities: Capabilities = this.#device.capabilities,
    planned?: Plan,
  ): Promise<Plan> {
    for (let plan = planned; ; plan = undefined) {
      plan ??= this.plan(graph, choose, capabilities);
      if (this.#options.enabled === false) return plan;
      const failed = await this.#tryKernels(graph, plan, capabilities, signal);
      if (failed.length === 0) return plan;
      for (const dropped of failed) {
        this.#dropped.set(dropped.kernel, dropped);
        this.#options.onDrop?.(dropped);
      }
    }
  }

  async #tryKernels(
    graph: Graph,
    plan: Plan,
    capabilities: Capabilities,
    signal: AbortSignal | undefined,
  ): Promise<DroppedKernel[]> {
    const dispatches = plan.commands.filter((command): command is Dispatch => command.kind === 'dispatch');
    const untried = new Map<string, Untried>();
    for (const [index, { kernel }] of dispatches.filter(({ reduces }) => !reduces).entries()) {
      const node = graph.nodes[index];
      const label = kernelLabel(kernel);
      if (node.check && !this.#passed.has(label)) untried.set(label, { node, check: node.check, kernel, capabilities });
    }
    // compiled all at once; what is refused shows below
    const compiling = dispatches.map(({ kernel, resolved }) => this.#device.pipelines.compile(kernel, resolved));
    await unlessAborted(Promise.allSettled(compiling), signal);
    const failed: DroppedKernel[] = [];
    const begin = performance.now();
    for (const [label, one] of untried) {
      throwIfAborted(signal);
      const failure = await this.#failureOf(one, signal);
      if (failure) failed.push({ kernel: label, ...failure });
      else this.#passed.add(label);
    }
    this.#ms += performance.now() - begin;
    return failed;
  }

  async #failureOf(
    untried: Untried,
    signal: AbortSignal | undefined,
  ): Promise<{ why: string; refused: boolean } | undefined> {
    try {
      const compiling = kernelsOf(untried.kernel).map((one) => this.#device.pipelines.compile(one));
      const pipelines = (await unlessAborted(Promise.all(compiling), signal)).map(({ pipeline }) => pipeline);
      if (pipelines.every((pipeline) => rightPipelines.has(pipeline))) return undefined;
      const why = await tryKernel(this.#device, untried, signal);
      if (why === undefined) for (const pipeline of pipelines) rightPipelines.add(pipeline);
      return why === undefined ? undefined : { why, refused: false };
    } catch (error) {
      if (!(error instanceof StamError && error.code === 'shader')) throw error;
      return { why: error.message, refused: true };
    }
  }

  #noneLeft({ name, operator }: GraphNode, candidates: readonly Kernel[]): never {
    const failures = candidates.flatMap((kernel) => this.#dropped.get(kernelLabel(kernel)) ?? []);
    throw new StamError(failures.some(({ refused }) => refused) ? 'shader' : 'unsupported', {
      where: `${name} on ${formatAdapter(this.#device.capabilities.adapter)}`,
      problem: `no kernel for ${operator} is right on this adapter`,
      got: failures.map(({ kernel, why }) => `${kernel}: ${why}`).join(', '),
      hint: 'a newer driver or browser may be, or another dtype',
    });
  }
}

/** Runs one kernel of a node on a small problem. Returns what is wrong with its result, or undefined if nothing is. */
async function tryKernel(
  device: Device,
  { node, check, kernel, capabilities }: Untried,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const graph = new Graph();
  const values = check.given ? {} : operandsOf(graph, node, check.shapes);
  const result = check.build(graph, values);
  graph.keep('result', result);
  const plan = planWith(kernel, graph, capabilities, device.pipelines.resolve);
  const operands = madeUp(values);
  const weights = await Weights.upload(device, sourceOf(node.name, values, operands), plan.weights, { signal });
  const pictures = new Map<string, GPUTexture>();
  let program: Program | undefined;
  try {
    const making = Program.create(device, plan, weights);
    const made = await madeUnlessAborted(making, (late) => late.dispose(), signal);
    program = made;
    await device.checked(node.name, () => {
      made.poison(); // what is left unwritten shall be no number
      for (const [name, picture] of Object.entries(check.given?.textures ?? {})) {
        pictures.set(name, upload(device.gpu, picture));
      }
    });
    const textures = Object.fromEntries(pictures);
    const outputs = await made.run(check.given?.inputs ?? inputsOf(values, operands), { signal, textures });
    return difference(outputs.get('result') ?? new Float32Array(), rowLength(result.shape), {
      row: (row) => check.row(operands, row),
      allowed: allowedError[result.storage],
    });
  } finally {
    program?.dispose();
    weights.dispose();
    for (const texture of pictures.values()) texture.destroy();
  }
}

function operandsOf(graph: Graph, node: GraphNode, shapes: NodeCheck['shapes']): Record<string, Value> {
  const values: Record<string, Value> = {};
  for (const [name, { kind, shape, storage, layout }] of Object.entries(node.inputs)) {
    if (storage === 'u32') continue;
    const own = shapes?.[name] ?? shape;
    values[name] = kind === 'weight' ? graph.weight(name, own, storage, layout) : graph.input(name, own, storage);
  }
  return values;
}

/** The plan of a small problem in which this kernel has its part. */
function planWith(kernel: Kernel, graph: Graph, capabilities: Capabilities, resolve: Resolve): Plan {
  const label = kernelLabel(kernel);
  const isKernel = (other: Kernel) => kernelLabel(other) === label;
  const choose: Choose = (_, candidates) => candidates.find(isKernel) ?? candidates[0];
  const plan = createPlan(graph, capabilities, choose, resolve);
  if (plan.commands.some((command) => command.kind === 'dispatch' && isKernel(command.kernel))) return plan;
  throw new StamError('shader', { where: label, problem: 'the small problem has no such kernel' });
}

function upload(
  gpu: GPUDevice,
  { width, height, data }: { readonly width: number; readonly height: number; readonly data: Uint8Array<ArrayBuffer> },
): GPUTexture {
  const texture = gpu.createTexture({
    label: 'stam: self-check',
    size: [width, height],
    format: 'rgba8unorm',
    usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST,
  });
  gpu.queue.writeTexture({ texture }, data, { bytesPerRow: 4 * width }, [width, height]);
  return texture;
}

/**
 * Numbers without an order in -2..2, or of a size with which sums over a weight's rows come out in that range. They have eleven bits and
 * are exact in every storage type.
 */
function madeUp(values: Readonly<Record<string, Value>>): Record<string, Float32Array<ArrayBuffer>> {
  const operands: Record<string, Float32Array<ArrayBuffer>> = {};
  for (const [name, { kind, shape }] of Object.entries(values)) {
    const count = elementCount(shape);
    const halvings = kind === 'weight' ? Math.round(Math.log2(count / shape[0]) / 2) : 0;
    const block = randomBlock(2 ** -halvings);
    const numbers = new Float32Array(count);
    for (let start = 0; start < count; start += block.length) {
      numbers.set(block.subarray(0, count - start), start);
    }
    operands[name] = numbers;
  }
  return operands;
}

/** A prime, so that no two rows of an operand are alike. */
export const blockLength = 65521;

/** The numbers of madeUp(), of which an operand of any length is made, times `scale`. */
export function randomBlock(scale: number): Float32Array<ArrayBuffer> {
  let state = 1;
  return Float32Array.from({ length: blockLength }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator
    return (((state >>> 21) - 1024) / 512) * scale;
  });
}

function sourceOf(
  name: string,
  values: Readonly<Record<string, Value>>,
  operands: Readonly<Record<string, Float32Array<ArrayBuffer>>>,
) {
  const tensors = new Map(Object.entries(values).map(([key, { shape }]) => [key, { dtype: 'F32', shape }]));
  return { name, tensors, order: () => [...tensors.keys()], read: async (key: string) => operands[key] };
}

function inputsOf(
  values: Readonly<Record<string, Value>>,
  operands: Readonly<Record<string, Float32Array<ArrayBuffer>>>,
): RunInputs {
  const inputs: Record<string, RunInput> = {};
  for (const [name, { kind, shape, storage }] of Object.entries(values)) {
    if (kind === 'weight') continue;
    const packed = rowLayout.pack(operands[name], shape);
    inputs[name] = storage === 'f16' ? new Uint32Array(encodeHalves(packed).buffer) : packed;
  }
  return inputs;
}

/** The text that says how far off a result is, if it is. */
function difference(
  got: Float32Array,
  length: number,
  { row: expectedRow, allowed }: { row: (row: number) => Float64Array; allowed: number },
): string | undefined {
  const unwritten = got.findIndex((value) => !Number.isFinite(value));
  if (unwritten >= 0) return `element ${unwritten} of its result is ${got[unwritten]}`;
  const last = got.length / length - 1;
  const step = Math.max(1, Math.floor(last / (comparedRows - 1)) - ((Math.floor(last / (comparedRows - 1)) + 1) % 2));
  let worst = 0;
  let largest = Number.MIN_VALUE;
  for (let i = 0; i < comparedRows; i++) {
    const row = i === comparedRows - 1 ? last : Math.min(i * step, last);
    expectedRow(row).forEach((expected, column) => {
      worst = Math.max(worst, Math.abs(got[row * length + column] - expected));
      largest = Math.max(largest, Math.abs(expected));
    });
  }
  const error = worst / largest;
  return error <= allowed ? undefined : `its result is off by ${error.toPrecision(2)} of the largest element`;
}
