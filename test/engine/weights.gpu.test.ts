// Weights on their way into GPU memory: what is refused before anything is read, and how little of JavaScript's memory it takes.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import { Graph } from '../../engine/graph.ts';
import { rowLayout } from '../../engine/layout.ts';
import { Weights } from '../../engine/weights.ts';
import { panelLayout } from '../../shaders/index.ts';
import { openTestDevice } from '../device.ts';
import { sumPlan, sumWeights, tensorSource } from './small-program.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

const empty = { weights: 0, activations: 0, staging: 0, buffers: 0 };

describe('refused before anything is read', () => {
  test.each([
    [
      'a tensor that is missing',
      'missing-tensor',
      { other: [5, 6] },
      /^test: w: .*lacks; expected a float tensor of \[5, 6\]/,
    ],
    ['one of another shape', 'shape-mismatch', { w: [6, 5] }, /^test: w: .*got F32 \[6, 5\], expected \[5, 6\]/],
    ['one of another rank', 'shape-mismatch', { w: [30] }, /^test: w: .*got F32 \[30\], expected \[5, 6\]/],
  ])('%s', async (_, code, shapes, message) => {
    const reads: string[] = [];
    const tensors = Object.entries(shapes).map(([name, shape]) => [name, { shape, data: () => sumWeights.slice() }]);
    const source = tensorSource(Object.fromEntries(tensors), (name) => reads.push(name));
    await expect(Weights.upload(device, source, sumPlan(device, 1).weights)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    expect(reads).toEqual([]);
    expect(device.memory.statistics()).toMatchObject(empty);
  });
});

describe('an upload', () => {
  /** Two weights that are wanted, in two layouts and storages, and one that is not. */
  function mixed() {
    const graph = new Graph();
    graph.weight('panels', [3, 5], 'f16', panelLayout);
    graph.weight('rows', [2, 3], 'f32');
    const data = (count: number) => Float32Array.from({ length: count }, (_, i) => i + 1);
    const reads: string[] = [];
    const source = tensorSource(
      {
        rows: { shape: [2, 3], data: () => data(6) },
        unwanted: { shape: [9], data: () => data(9) },
        panels: { shape: [3, 5], data: () => data(15) },
      },
      (name) => reads.push(name),
    );
    return { graph, source, reads, data };
  }

  test('reads what is wanted, once, from front to back, and reports how far it is', async () => {
    const { graph, source, reads } = mixed();
    const reports: [number, number][] = [];
    const onProgress = (loaded: number, total: number) => reports.push([loaded, total]);
    const weights = await Weights.upload(device, source, graph.weights, { onProgress });
    expect(reads).toEqual(['rows', 'panels']);
    const [rows, panels] = [2 * 4 * 4, 16 * 32 * 2];
    expect(reports).toEqual([
      [rows, rows + panels],
      [rows + panels, rows + panels],
    ]);
    expect(weights.bytes).toBe(rows + panels);
    expect(device.memory.statistics()).toMatchObject({ ...empty, weights: rows + panels, buffers: 2 });
    weights.dispose();
    expect(device.memory.statistics()).toMatchObject(empty);
  });

  test('answers for exactly the values it was made for, until it is disposed of', async () => {
    const { graph, source } = mixed();
    const [panels, rows] = [...graph.weights.values()];
    const weights = await Weights.upload(device, source, graph.weights);
    expect(weights.buffer(rows).size).toBe(rowLayout.elements([2, 3]) * 4);
    expect(weights.buffer(panels).size).toBe(panelLayout.elements([3, 5]) * 2);
    for (const other of [
      { ...panels, layout: rowLayout },
      { ...panels, storage: 'f32' as const },
    ]) {
      expect(() => weights.buffer(other)).toThrow(expect.objectContaining({ code: 'missing-tensor' }));
    }
    weights.dispose();
    expect(() => weights.buffer(rows)).toThrow(expect.objectContaining({ code: 'missing-tensor' }));
  });

  test('rejects with the reason of a signal that is aborted between two tensors, and frees what it took', async () => {
    const { graph, reads, data } = mixed();
    const controller = new AbortController();
    const source = tensorSource(
      { rows: { shape: [2, 3], data: () => data(6) }, panels: { shape: [3, 5], data: () => data(15) } },
      (name) => {
        reads.push(name);
        controller.abort();
      },
    );
    await expect(Weights.upload(device, source, graph.weights, { signal: controller.signal })).rejects.toMatchObject({
      name: 'AbortError',
    });
    expect(reads).toEqual(['rows']);
    expect(device.memory.statistics()).toMatchObject(empty);
  });

  test('reads nothing under a signal that has been aborted', async () => {
    const { graph, source, reads } = mixed();
    const signal = AbortSignal.abort(new Error('own reason'));
    await expect(Weights.upload(device, source, graph.weights, { signal })).rejects.toThrow('own reason');
    expect(reads).toEqual([]);
  });

  test('frees what it took when a read fails', async () => {
    const { graph, source } = mixed();
    const read = source.read.bind(source);
    const failing = {
      ...source,
      read: async (name: string) => {
        if (name === 'panels') throw new Error('the disk is gone');
        return await read(name);
      },
    };
    await expect(Weights.upload(device, failing, graph.weights)).rejects.toThrow('the disk is gone');
    expect(device.memory.statistics()).toMatchObject(empty);
  });
});

// heapUsed is JavaScript's own heap; external is all ArrayBuffers and what addons hold, arrayBuffers being a part of it
const ownMemory = () => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

test.each(['f32', 'f16'] as const)(
  'a checkpoint of 123 MB in 13 tensors never holds 100 MB more than before, in %s',
  async (storage) => {
    const shape = [3072, 768];
    const names = Array.from({ length: 13 }, (_, i) => `blocks.${i}.mlp.fc1.weight`);
    const graph = new Graph();
    for (const name of names) graph.weight(name, shape, storage, panelLayout);
    const begin = ownMemory();
    let peak = begin;
    const tensors = names.map((name) => [name, { shape, data: () => new Float32Array(3072 * 768).fill(0.5) }]);
    const source = tensorSource(Object.fromEntries(tensors), () => {
      peak = Math.max(peak, ownMemory());
    });
    const weights = await Weights.upload(device, source, graph.weights);
    peak = Math.max(peak, ownMemory());
    expect(weights.bytes).toBe(13 * 3072 * 768 * (storage === 'f32' ? 4 : 2));
    expect((peak - begin) / 1e6).toBeLessThan(100);
    weights.dispose();
  },
);
