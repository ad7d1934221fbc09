// One operator at a time, in every kernel variant that a device can run, against test/reference.ts. The tests and `stam selftest` use it.
import type { Capabilities, Device } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import type { Value } from '../engine/graph.ts';
import { Graph } from '../engine/graph.ts';
import type { Kernel } from '../engine/kernel.ts';
import { kernelLabel } from '../engine/kernel.ts';
import type { Layout } from '../engine/layout.ts';
import { rowLayout } from '../engine/layout.ts';
import { createPlan } from '../engine/plan.ts';
import { Program } from '../engine/program.ts';
import { loadRanking } from '../engine/ranking.ts';
import type { Shape } from '../engine/shape.ts';
import { Weights } from '../engine/weights.ts';
import { loadGpuKernels } from '../shaders/gpu-families.ts';
import { largestDifference } from './close.ts';
import type { Products } from './tolerance.ts';
import { shortSumTolerance } from './tolerance.ts';

// a software adapter runs these too, in the cases that are as on a GPU, and plans are made for devices that are not here
await Promise.all([loadGpuKernels(), loadRanking()]);

export interface Tensor {
  readonly shape: Shape;
  readonly data: Float32Array<ArrayBuffer>;
  /** In f32 whatever the case's storage: biases, positions, pixels. */
  readonly f32?: boolean;
  readonly layout?: Layout;
}

/** An operator with its operands, what it shall give, and how far it may be off. */
export interface OperatorCase {
  readonly operator: string;
  /** What is particular: shape, fusion. */
  readonly name: string;
  /** Operands by name. They are activations' storage, in rowLayout, unless they say otherwise. */
  readonly operands: Readonly<Record<string, Tensor>>;
  /** Operands that are words and no floats, in rowLayout; `build` names them as the graph's inputs. */
  readonly words?: Readonly<Record<string, Uint32Array<ArrayBuffer>>>;
  /** Adds the operator to the graph and returns its result. */
  readonly build: (graph: Graph, operands: Readonly<Record<string, Value>>, storage: StorageType) => Value;
  /** In the kernels that a GPU would choose among, on software adapters too, which are offered fewer. */
  readonly asOnGpu?: boolean;
  readonly expected: () => Float64Array;
  /** Largest allowed |difference|, for results in this storage type. */
  readonly tolerance: (storage: StorageType, expected: Float64Array) => number;
  /** Of operators that have kernels whose short sums are f16, which may be off by more. */
  readonly products?: () => Products;
}

export interface CaseResult {
  readonly kernel: string;
  readonly error: number;
  readonly tolerance: number;
  readonly passed: boolean;
}

/** The kernels among which a device can choose for the last node of the case's graph. */
export function candidatesOf(test: RunnableCase, storage: StorageType, capabilities: Capabilities): readonly Kernel[] {
  return buildCase(test, storage).nodes.at(-1)?.candidates(capabilitiesFor(test, capabilities)) ?? [];
}

function capabilitiesFor({ asOnGpu }: RunnableCase, capabilities: Capabilities): Capabilities {
  const { adapter } = capabilities;
  return asOnGpu ? { ...capabilities, adapter: { ...adapter, software: false } } : capabilities;
}

/** The case's graph: every operand as a weight, and the result, kept. */
export function buildCase(test: RunnableCase, storage: StorageType): Graph {
  const graph = new Graph();
  const values: Record<string, Value> = {};
  for (const [name, { shape, f32, layout }] of Object.entries(test.operands)) {
    // every operand comes as a weight: that is how tensors of any layout reach the GPU
    values[name] = graph.weight(name, shape, f32 ? 'f32' : storage, layout ?? rowLayout);
  }
  graph.keep('result', test.build(graph, values, storage));
  return graph;
}

export interface RunCaseOptions {
  /** What kernels are told that the device can do; by default the truth. */
  readonly capabilities?: Capabilities;
  /** The candidates to run; by default all. */
  readonly only?: (kernel: Kernel) => boolean;
  /** What to run in a candidate's place. */
  readonly adapt?: (kernel: Kernel) => Kernel;
}

/** Runs a case in each of its kernels and compares what they give with what is expected. */
export async function runCase(
  device: Device,
  test: OperatorCase,
  storage: StorageType,
  options: RunCaseOptions = {},
): Promise<CaseResult[]> {
  const expected = test.expected();
  const tolerance = test.tolerance(storage, expected);
  const outputs = await outputsOf(device, test, storage, options);
  return outputs.map(({ kernel, shortSum, got }) => {
    const { error } = largestDifference(got, expected);
    const allowed = tolerance + (shortSum === undefined ? 0 : shortSumTolerance(shortSum, productsOf(test)));
    return { kernel, error, tolerance: allowed, passed: error <= allowed };
  });
}

function productsOf({ name, products }: OperatorCase): Products {
  if (!products) throw new Error(`${name} does not say what its sums are of, and a kernel adds in f16`);
  return products();
}

/** What a case needs to run; what it shall give is the caller's to know. */
export type RunnableCase = Omit<OperatorCase, 'expected' | 'tolerance' | 'products'>;

export interface KernelOutput {
  readonly kernel: string;
  readonly shortSum: number | undefined;
  readonly got: Float32Array<ArrayBuffer>;
}

/** What each of a case's kernels gives. Outputs and all memory in between are filled with NaN before each run. */
export async function outputsOf(
  device: Device,
  test: RunnableCase,
  storage: StorageType,
  { capabilities = device.capabilities, only = () => true, adapt = (kernel) => kernel }: RunCaseOptions = {},
): Promise<KernelOutput[]> {
  const outputs: KernelOutput[] = [];
  for (const candidate of candidatesOf(test, storage, capabilities).filter(only)) {
    const graph = buildCase(test, storage);
    const last = graph.nodes.at(-1);
    const planned = capabilitiesFor(test, capabilities);
    const plan = createPlan(graph, planned, (node, kernels) => (node === last ? adapt(candidate) : kernels[0]));
    const tensors = new Map(Object.entries(test.operands).map(([name, { shape }]) => [name, { dtype: 'F32', shape }]));
    const source = {
      name: test.name,
      tensors,
      order: () => [...tensors.keys()],
      read: async (name: string) => test.operands[name].data,
    };
    const weights = await Weights.upload(device, source, plan.weights);
    const program = await Program.create(device, plan, weights);
    program.poison();
    const got = (await program.run(test.words ?? {})).get('result') ?? new Float32Array();
    outputs.push({ kernel: kernelLabel(candidate), shortSum: candidate.shortSum, got });
    program.dispose();
    weights.dispose();
  }
  return outputs;
}
