// What the kernel laboratory tries kernels on: every distinct problem of the graphs of some models.
import type { Capabilities } from '../engine/device.ts';
import type { Excess } from '../engine/footprint.ts';
import { excessOf, footprintOf } from '../engine/footprint.ts';
import type { Graph, GraphNode } from '../engine/graph.ts';
import type { Kernel } from '../engine/kernel.ts';
import { kernelLabel, kernelsOf } from '../engine/kernel.ts';
import { excessOfSize, valueBytes } from '../engine/plan.ts';
import { problemOf } from '../engine/tuned.ts';
import { resolveKernel } from '../engine/wgsl.ts';

export interface Problem {
  /** The first node that has it. */
  readonly node: GraphNode;
  readonly models: readonly string[];
  /** Nodes that have it, of all models together. */
  readonly calls: number;
  /** All kernels that can run it on the device, in the order of the rules. */
  readonly candidates: readonly Kernel[];
}

/** The distinct problems of graphs by the names of their models, those first on which most arithmetic is spent. */
export function problemsOf(graphs: ReadonlyMap<string, Graph>, capabilities: Capabilities): Problem[] {
  const problems = new Map<string, Problem>();
  for (const [model, { nodes }] of graphs) {
    for (const node of nodes) {
      const candidates = node.candidates(capabilities);
      // nodes of the same shapes may differ in what their kernels do besides, which stands in the kernels' names
      const key = [node.operator, problemOf(node), candidates.map(kernelLabel)[0]].join(' ');
      const known = problems.get(key) ?? { node, models: [], calls: 0, candidates };
      const models = known.models.includes(model) ? known.models : [...known.models, model];
      problems.set(key, { ...known, models, calls: known.calls + 1 });
    }
  }
  return [...problems.values()].sort((a, b) => b.node.flops * b.calls - a.node.flops * a.calls);
}

/** What the device's limits have against a kernel, if anything. Throws shader for a text that cannot be read. */
export function excessFor(kernel: Kernel, capabilities: Capabilities): Excess | undefined {
  const excesses = kernelsOf(kernel).map((one) => excessOf(footprintOf(resolveKernel(one)), capabilities));
  return excesses.find((excess) => excess !== undefined) ?? excessOfSize(kernel, capabilities);
}

/** The kernel that the rules choose: the first that keeps the device's limits. */
export function ruleChoice(candidates: readonly Kernel[], capabilities: Capabilities): Kernel | undefined {
  return candidates.find((kernel) => {
    try {
      return !excessFor(kernel, capabilities);
    } catch {
      return false;
    }
  });
}

/** Bytes of the tensors that a node's kernels bind: those of weights, and those of all others. */
export function boundBytes({ inputs, outputs, takesOver }: GraphNode): { weights: number; others: number } {
  const taken = new Set(Object.values(takesOver ?? {}));
  const bound = [
    ...Object.entries(inputs).flatMap(([name, value]) => (taken.has(name) ? [] : [value])),
    ...Object.values(outputs),
  ];
  const bytes = { weights: 0, others: 0 };
  for (const value of bound) bytes[value.kind === 'weight' ? 'weights' : 'others'] += valueBytes(value);
  return bytes;
}
