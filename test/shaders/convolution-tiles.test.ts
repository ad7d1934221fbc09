// Kernels that keep a bit of a word for each pixel of a line are offered only where a word has enough of them.
import { beforeAll, expect, test } from 'vitest';
import { Graph } from '../../engine/graph.ts';
import { wayOf } from '../../engine/kernel.ts';
import { loadGpuKernels } from '../../shaders/gpu-families.ts';
import { depthwise, frameConv, tapLayout } from '../../shaders/index.ts';
import { defaultCapabilities } from '../capabilities.ts';

beforeAll(loadGpuKernels);

const waysOf = (graph: Graph) => graph.nodes[0].candidates(defaultCapabilities).map(wayOf);

test.each([
  [3, 2, 2],
  [7, 4, 1],
])('frameConv of %i pixels at a stride of %i has %i tiles', (size, stride, tiles) => {
  const graph = new Graph();
  const frames = graph.input('frames', [1, 3, 1, 64, 64], 'f32');
  const weight = graph.weight('weight', [24, 3, 1, size, size], 'f32', tapLayout);
  frameConv(graph, frames, { name: 'stem', weight, stride, mean: 0, deviation: 1, storage: 'f32' });
  expect(waysOf(graph)).toHaveLength(tiles);
});

test.each([
  [3, true],
  [15, false],
])('depthwise of %i by as many at a stride of two goes by channel: %s', (size, goes) => {
  const graph = new Graph();
  const input = graph.input('input', [1, 2, 64, 64, 8], 'f32');
  const weight = graph.weight('weight', [8, 1, 1, size, size], 'f32', tapLayout);
  depthwise(graph, input, { name: 'conv', weight, stride: 2 });
  expect(waysOf(graph).some((way) => way.startsWith('depthwise-channel'))).toBe(goes);
});
