// What a graph computes, each problem once: networks repeat their layers.
import type { Graph, GraphNode } from './graph.ts';
import { problemOf } from './tuned.ts';

/** Nodes that have operator, shapes and storage in common. */
export interface Problem {
  /** The first of them, and its place in the graph. */
  readonly node: GraphNode;
  readonly index: number;
  readonly calls: number;
  /** Of all of them. */
  readonly flops: number;
}

/** In the order in which they come first. */
export function distinctProblems(graph: Graph): Problem[] {
  const problems = new Map<string, Problem>();
  for (const [index, node] of graph.nodes.entries()) {
    const key = `${node.operator} ${problemOf(node)}`;
    const { calls, flops, ...first } = problems.get(key) ?? { node, index, calls: 0, flops: 0 };
    problems.set(key, { ...first, calls: calls + 1, flops: flops + node.flops });
  }
  return [...problems.values()];
}
