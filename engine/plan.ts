// From a graph to an array of plain commands: which kernel runs each node, and which memory each value lives in.
// Needs no GPU: a plan can be printed, estimated, tested, and turned into a program as often as wanted.

import type { Capabilities } from './device.ts';
import { formatAdapter } from './device.ts';
import { storageBytes } from './dtype.ts';
import { StamError } from './errors.ts';
import type { Excess } from './footprint.ts';
import { excessOf, footprintOf } from './footprint.ts';
import type { AnyValue, Graph, GraphNode, Value } from './graph.ts';
import type { Kernel } from './kernel.ts';
import { kernelLabel, kernelsOf, maxWorkgroupsPerDimension } from './kernel.ts';
import { KernelTexts } from './kernel-texts.ts';
import { formatShape } from './shape.ts';
import { SlotPlan } from './slots.ts';
import type { ResolvedKernel } from './wgsl.ts';
import { paramsBinding } from './wgsl.ts';

/** Where a binding's bytes are; sizes are in bytes. */
export type Place =
  | { readonly kind: 'slot'; readonly slot: number; readonly size: number }
  | { readonly kind: 'weight'; readonly name: string; readonly size: number }
  | { readonly kind: 'texture'; readonly name: string; readonly size: number };

/** Runs one kernel. */
export interface Dispatch {
  readonly kind: 'dispatch';
  /** The node's module path. */
  readonly name: string;
  readonly operator: string;
  readonly kernel: Kernel;
  readonly resolved: ResolvedKernel;
  /** By the names of the kernel's bindings. */
  readonly bindings: Readonly<Record<string, Place>>;
  readonly flops: number;
  /** Bytes of all bound tensors: what the kernel moves if it reads and writes each element once. */
  readonly bytes: number;
  /** Whether it puts together what the dispatch before it has left in parts; then `flops` are counted there. */
  readonly reduces: boolean;
}

/** Brings an input, or the part of it that the next commands read, into a slot. */
export interface Load {
  readonly kind: 'load';
  readonly input: string;
  /** Where the part begins in the input, in bytes. */
  readonly offset: number;
  readonly slot: number;
  readonly size: number;
}

/** Copies a kept value into its own buffer before later commands reuse its memory. */
export interface Copy {
  readonly kind: 'copy';
  readonly output: string;
  readonly from: Place;
  readonly offset: number;
  readonly size: number;
}

export type Command = Load | Dispatch | Copy;

/** A tensor that a run leaves behind, in rowLayout. */
export interface PlannedOutput {
  readonly shape: readonly number[];
  readonly storage: Value['storage'];
  readonly size: number;
}

/** Kernels chosen and memory given: what a device runs, as plain data. */
export interface Plan {
  readonly commands: readonly Command[];
  /** Bytes of each buffer for activations and the parts of inputs. */
  readonly slots: readonly number[];
  /** In the layouts that this device's kernels read. */
  readonly weights: ReadonlyMap<string, Value>;
  /** What a run begins with, in rowLayout. Sizes are in bytes, all parts together. */
  readonly inputs: ReadonlyMap<string, { readonly size: number; readonly storage: AnyValue['storage'] }>;
  readonly outputs: ReadonlyMap<string, PlannedOutput>;
  readonly flops: number;
}

/** Picks one of a node's candidates; the first is the best guess. */
export type Choose = (node: GraphNode, candidates: readonly Kernel[]) => Kernel;

/** Gives a kernel's text: resolveKernel(), or what remembers it. */
export type Resolve = (kernel: Kernel) => ResolvedKernel;

/** Bytes of a value in GPU memory. */
export function valueBytes(value: AnyValue): number {
  return value.layout.elements(value.shape) * storageBytes[value.storage];
}

/**
 * Plans a graph for a device. Plans that are given the same `resolve` may share the texts that it remembers. Throws `limit` when a tensor
 * does not fit a binding of the device or no kernel its other limits, `unsupported` when no kernel can run a node there, and `shader` when a
 * kernel's bindings are not the node's tensors.
 */
export function createPlan(
  graph: Graph,
  capabilities: Capabilities,
  choose: Choose = (_, candidates) => candidates[0],
  resolve: Resolve = new KernelTexts().resolve,
): Plan {
  const memory = new SlotPlan(graph, valueBytes);
  const commands: Command[] = [];
  const outputs = new Map<string, PlannedOutput>();
  const scratch: Scratch = { slot: memory.slots.length, bytes: 0 };
  graph.nodes.forEach((node, index) => {
    const candidates = node.candidates(capabilities);
    if (candidates.length === 0) {
      throw new StamError('unsupported', {
        where: node.name,
        problem: `no kernel for ${node.operator} runs on this device`,
      });
    }
    for (const value of memory.arrivals(index)) {
      const [input, slot, size] = [value.part?.of ?? value.name, memory.slot(value), valueBytes(value)];
      commands.push({ kind: 'load', input, offset: inputOffset(value), slot, size });
    }
    const chosen = chooseFitting(node, candidates, { capabilities, choose, resolve });
    commands.push(...dispatches(node, chosen, { memory, scratch, capabilities }));
    for (const kept of graph.kept.filter(({ after }) => after === index)) {
      const { storage, layout, shape } = kept.value;
      const rowBytes = valueBytes(kept.value) / shape[0];
      const size = layout.elements(kept.shape) * storageBytes[storage];
      outputs.set(kept.name, { shape: kept.shape, storage, size });
      const from = placeOf(kept.value, memory);
      commands.push({ kind: 'copy', output: kept.name, from, offset: kept.start * rowBytes, size: from.size });
    }
  });
  return {
    commands,
    slots: scratch.bytes > 0 ? [...memory.slots, scratch.bytes] : memory.slots,
    weights: arrangeWeights(graph, capabilities),
    inputs: gatherInputs(graph),
    outputs,
    flops: graph.nodes.reduce((sum, node) => sum + node.flops, 0),
  };
}

/** A kernel, its text, and the limit that it does not keep, if any. */
interface Chosen {
  readonly kernel: Kernel;
  readonly resolved: ResolvedKernel;
  readonly excess: Excess | undefined;
}

/** The buffer for partial results: nothing outlives the two dispatches that use it, so that all nodes share one. */
interface Scratch {
  readonly slot: number;
  bytes: number;
}

/** What is chosen among the kernels that keep the device's limits. */
function chooseFitting(
  node: GraphNode,
  candidates: readonly Kernel[],
  by: { capabilities: Capabilities; choose: Choose; resolve: Resolve },
): Chosen[] {
  const { capabilities, choose, resolve } = by;
  const kernel = choose(node, candidates);
  const chosen = kernelsOf(kernel).map((one): Chosen => {
    const resolved = resolve(one);
    return { kernel: one, resolved, excess: excessOf(footprintOf(resolved), capabilities) };
  });
  const excess = chosen.find((one) => one.excess)?.excess ?? excessOfSize(kernel, capabilities);
  if (!excess) return chosen;
  const others = candidates.filter((other) => other !== kernel);
  if (others.length > 0) return chooseFitting(node, others, by);
  throw new StamError('limit', {
    where: kernelLabel(kernel),
    problem: `${node.name} has no kernel that keeps the ${excess.limit} of ${formatAdapter(capabilities.adapter)}`,
    got: `${excess.given}`,
    expected: `${excess.needed}`,
    hint: 'ask for more when the device is requested: requiredDevice() tells what',
  });
}

/** The limit that a kernel does not keep because its problem is large: the workgroups of a dimension, the buffer of its partial results. */
export function excessOfSize(kernel: Kernel, { limits }: Capabilities): Excess | undefined {
  const workgroups = Math.max(...kernelsOf(kernel).flatMap((one) => one.workgroups));
  const bufferBytes = Math.min(limits.storageBufferBindingBytes, limits.bufferBytes);
  const pairs: readonly Excess[] = [
    { limit: 'maxComputeWorkgroupsPerDimension', needed: workgroups, given: maxWorkgroupsPerDimension },
    { limit: 'maxStorageBufferBindingSize', needed: kernel.split?.bytes ?? 0, given: bufferBytes },
  ];
  return pairs.find(({ needed, given }) => needed > given);
}

/** The graph's weights, each in the layout that the kernels of such a device read. All plans for a device agree on it. */
function arrangeWeights(graph: Graph, capabilities: Capabilities): Plan['weights'] {
  const arrange = (value: Value): Value => {
    const layout = value.layout.on?.(capabilities, value.storage) ?? value.layout;
    return layout === value.layout ? value : { ...value, layout };
  };
  return new Map([...graph.weights].map(([name, value]) => [name, arrange(value)]));
}

function gatherInputs(graph: Graph): Plan['inputs'] {
  const inputs = new Map<string, { size: number; storage: AnyValue['storage'] }>();
  for (const value of graph.inputs) {
    const name = value.part?.of ?? value.name;
    const end = inputOffset(value) + valueBytes(value);
    inputs.set(name, { size: Math.max(end, inputs.get(name)?.size ?? 0), storage: value.storage });
  }
  return inputs;
}

function inputOffset(value: AnyValue): number {
  return (value.part?.start ?? 0) * storageBytes[value.storage];
}

function dispatches(
  node: GraphNode,
  chosen: readonly Chosen[],
  { memory, scratch, capabilities }: { memory: SlotPlan; scratch: Scratch; capabilities: Capabilities },
): Dispatch[] {
  const taken = new Set(Object.values(node.takesOver ?? {}));
  const tensors = new Map([
    ...Object.entries(node.inputs).filter(([name]) => !taken.has(name)),
    ...Object.entries(node.outputs),
  ]);
  const places = new Map<string, Place>();
  for (const [name, value] of tensors) {
    places.set(name, placeOf(value, memory));
    checkLimits(node, value, capabilities);
  }
  const { split } = chosen[0].kernel;
  if (split) {
    scratch.bytes = Math.max(scratch.bytes, split.bytes);
    places.set(split.scratch, { kind: 'slot', slot: scratch.slot, size: split.bytes });
  }
  checkBindings(chosen, [...places.keys()]);
  return chosen.map(({ kernel, resolved }, index) => {
    const bound = resolved.bindings.flatMap(({ name }): [string, Place][] => {
      const place = places.get(name);
      return place ? [[name, place]] : [];
    });
    return {
      kind: 'dispatch',
      name: node.name,
      operator: node.operator,
      kernel,
      resolved,
      bindings: Object.fromEntries(bound),
      flops: index === 0 ? node.flops : 0,
      bytes: bound.reduce((sum, [, { size }]) => sum + size, 0),
      reduces: index > 0,
    };
  });
}

/** Throws shader unless the kernels of a node bind its tensors, each of them, and have the fields that their Params declare. */
function checkBindings(chosen: readonly Chosen[], tensors: readonly string[]): void {
  const namesOf = ({ resolved }: Chosen) =>
    resolved.bindings.map(({ name }) => name).filter((name) => name !== paramsBinding);
  const declared = [...new Set(chosen.flatMap(namesOf))];
  const fields = chosen.flatMap(({ resolved }) => resolved.params.map(({ name }) => name));
  const given = chosen.flatMap(({ kernel }) => Object.keys(kernel.params));
  const same = (a: readonly string[], b: readonly string[]) => [...a].sort().join() === [...b].sort().join();
  if (!same(declared, tensors) || !same(fields, given)) {
    throw new StamError('shader', {
      where: kernelLabel(chosen[0].kernel),
      problem: 'the kernel and the node name different tensors or params',
      got: `${[...declared, ...fields].join(', ')}`,
      expected: `${[...tensors, ...given].join(', ')}`,
    });
  }
}

function checkLimits(node: GraphNode, value: AnyValue, { limits }: Capabilities): void {
  const size = valueBytes(value);
  const largest = Math.min(limits.storageBufferBindingBytes, limits.bufferBytes);
  if (size > largest && value.kind !== 'texture') {
    throw new StamError('limit', {
      where: node.name,
      problem: `${value.name} ${formatShape(value.shape)} does not fit one binding of this device`,
      got: `${size} bytes`,
      expected: `at most ${largest} bytes`,
      hint: 'take fewer frames or videos at a time',
    });
  }
}

/** Where a value's bytes are. */
function placeOf(value: AnyValue, memory: SlotPlan): Place {
  const size = valueBytes(value);
  if (value.kind === 'weight' || value.kind === 'texture') return { kind: value.kind, name: value.name, size };
  return { kind: 'slot', slot: memory.slot(value), size };
}

/** The plan as text: a line per command. */
export function formatPlan(plan: Plan): string {
  const place = (at: Place) => (at.kind === 'slot' ? `#${at.slot}` : at.kind[0]);
  const lines = plan.commands.map((command) => {
    if (command.kind === 'load') return `load ${command.input}+${command.offset} -> #${command.slot}`;
    if (command.kind === 'copy') return `copy ${place(command.from)} -> ${command.output}+${command.offset}`;
    const bindings = Object.entries(command.bindings).map(([name, at]) => `${name}=${place(at)}`);
    const gflop = (command.flops / 1e9).toFixed(3);
    return `${command.name}: ${kernelLabel(command.kernel)} [${command.kernel.workgroups.join(' ')}] ${bindings.join(' ')} ${gflop} GFLOP`;
  });
  return [...lines, `slots: ${plan.slots.map((size) => `${(size / 1e6).toFixed(1)} MB`).join(', ')}`].join('\n');
}
