// Definitions that the laboratory holds kernels against: they have to be those of whole problems, where the self-check's are of small ones.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { measureKernels } from '../../bench/kernels.ts';
import { problemsOf } from '../../bench/problems.ts';
import type { Device } from '../../engine/device.ts';
import { Graph } from '../../engine/graph.ts';
import { depthwise } from '../../shaders/depthwise.ts';
import { layerNorm } from '../../shaders/layer-norm.ts';
import { linear } from '../../shaders/matmul.ts';
import { panelLayout } from '../../shaders/panels.ts';
import { tapLayout } from '../../shaders/taps.ts';
import { openTestDevice } from '../device.ts';
import { sampleOf } from '../sample.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

const builders: Readonly<Record<string, (graph: Graph) => void>> = {
  'rows of a larger result': (graph) => {
    const value = graph.activation('all', [40, 24], 'f32');
    layerNorm(graph, graph.input('x', [11, 24], 'f32'), {
      name: 'norm',
      weight: graph.weight('w', [24], 'f32'),
      bias: graph.weight('b', [24], 'f32'),
      epsilon: 1e-6,
      into: { value, firstRow: 23 },
    });
  },
  'a gate over more rows than the self-check takes': (graph) => {
    linear(graph, graph.input('x', [1, 300, 24], 'f32'), {
      name: 'gated',
      weight: graph.weight('w', [16, 24], 'f32', panelLayout),
      gate: graph.input('g', [1, 24], 'f32'),
    });
  },
  'filters over more than the self-check takes': (graph) => {
    depthwise(graph, graph.input('x', [2, 9, 14, 13, 8], 'f32'), {
      name: 'filters',
      weight: graph.weight('w', [8, 1, 3, 3, 3], 'f32', tapLayout),
      stride: 2,
    });
  },
  'filters over some frames': (graph) => {
    depthwise(graph, graph.input('x', [1, 6, 9, 8, 8], 'f32'), {
      name: 'frames',
      weight: graph.weight('w', [8, 1, 3, 3, 3], 'f32', tapLayout),
      window: {
        into: graph.activation('all', [1, 12, 9, 8, 8], 'f32'),
        make: { start: 4, count: 4 },
        held: { start: 3, count: 6 },
      },
    });
  },
};

test.each(sampleOf('problems that are measured whole', Object.entries(builders), 1))('%s', async (_, build) => {
  const graph = new Graph();
  build(graph);
  const results = await measureKernels(device, problemsOf(new Map([['one', graph]]), device.capabilities), {
    seconds: 120,
    ceilings: { basic: { gflops: 1, gbps: 1 }, matrices: [] },
    signal: new AbortController().signal,
    onProgress: () => undefined,
  });
  expect(results.length).toBeGreaterThan(0);
  expect(results.filter(({ status }) => status !== 'ok')).toEqual([]);
});
