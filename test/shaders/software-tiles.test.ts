// The tiles that software adapters get first for many rows: which is best differs by driver, and by its version.
import { beforeAll, expect, test } from 'vitest';
import { Graph } from '../../engine/graph.ts';
import { wayOf } from '../../engine/kernel.ts';
import { linear, panelLayout } from '../../shaders/index.ts';
import { loadSubgroupKernels } from '../../shaders/subgroup-families.ts';
import { defaultCapabilities, withSubgroups } from '../capabilities.ts';

beforeAll(async () => {
  await loadSubgroupKernels();
});

test.each([
  ['llvmpipe: Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6) 0.0.1', 8, 'matmul-subgroup 64x64'],
  ['llvmpipe: Mesa 26.2.6-1 (LLVM 22.1.8)', 8, 'matmul-subgroup 32x64'],
  ['llvmpipe without a version', 8, 'matmul-subgroup 64x64'],
  ['SwiftShader driver 5.0.0', 4, 'matmul-subgroup 48x48'],
])('%s', (description, lanes, way) => {
  const adapter = { ...defaultCapabilities.adapter, description, software: true };
  const graph = new Graph();
  const input = graph.input('input', [3152, 768], 'f32');
  linear(graph, input, { name: 'qkv', weight: graph.weight('weight', [2304, 768], 'f32', panelLayout) });
  const [first] = graph.nodes[0].candidates({ ...withSubgroups(defaultCapabilities, lanes), adapter });
  expect(wayOf(first)).toBe(way);
});
