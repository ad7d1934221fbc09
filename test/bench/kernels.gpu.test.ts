// The kernel laboratory on an operator whose kernels are right, wrong or broken by construction.
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { ceilingLines, kernelTables, unreachedText } from '../../bench/kernel-tables.ts';
import type { KernelBenchOptions } from '../../bench/kernels.ts';
import { measureKernels } from '../../bench/kernels.ts';
import { problemsOf } from '../../bench/problems.ts';
import { rowsToCompare } from '../../bench/row-check.ts';
import type { Device } from '../../engine/device.ts';
import type { NodeCheck } from '../../engine/graph.ts';
import { Graph } from '../../engine/graph.ts';
import type { Kernel } from '../../engine/kernel.ts';
import { openOwnTestDevice, openTestDevice } from '../device.ts';
import { doubling, rows } from '../engine/doubling.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

const doubled: NodeCheck = {
  build: (_, { input }) => input,
  row: ({ input }, row) => Float64Array.from({ length: 4 }, (_, i) => 2 * input[row * 4 + i]),
};

function graphOf(kernels: readonly Kernel[], check: NodeCheck | undefined = doubled): Graph {
  const graph = new Graph();
  const input = graph.input('input', [rows, 4], 'f32');
  for (const name of ['double', 'again']) {
    const output = graph.activation(name, [rows, 4], 'f32');
    const tensors = { inputs: { input }, outputs: { output } };
    graph.add({ name, operator: 'double', ...tensors, flops: rows * 400, candidates: () => kernels, check });
  }
  return graph;
}

/** A kernel that adds to what it finds: output = residual + 2 input, or something else. */
function adding(tile: string, expression = 'output[id.x] + input[id.x] * 2'): Kernel {
  const kernel = doubling(tile, { expression });
  return { ...kernel, name: 'add-double', variant: `${tile} residual` };
}

function addingGraph(kernels: readonly Kernel[]): Graph {
  const graph = new Graph();
  const [input, residual] = [graph.input('input', [rows, 4], 'f32'), graph.input('residual', [rows, 4], 'f32')];
  const output = graph.activation('sum', [rows, 4], 'f32');
  graph.add({
    name: 'sum',
    operator: 'addDouble',
    inputs: { input, residual },
    outputs: { output },
    takesOver: { output: 'residual' },
    flops: rows * 8,
    candidates: () => kernels,
    check: {
      build: (_, operands) => operands['input'],
      row: ({ input: x, residual: y }, row) =>
        Float64Array.from({ length: 4 }, (_, i) => y[row * 4 + i] + 2 * x[row * 4 + i]),
    },
  });
  return graph;
}

async function measure(graph: Graph, options: Partial<KernelBenchOptions> = {}) {
  const problems = problemsOf(new Map([['made-up', graph]]), device.capabilities);
  const results = await measureKernels(device, problems, {
    seconds: 60,
    ceilings: { basic: { gflops: 50, gbps: 10 }, matrices: [] },
    signal: new AbortController().signal,
    onProgress: () => undefined,
    ...options,
  });
  return { results, byTile: new Map(results.map((result) => [result.tile, result])) };
}

test('a right, a wrong and a broken kernel, and one that is too large, are a row each', async () => {
  const broken = { ...doubling('broken'), source: doubling('broken').source.replace('fn main', 'fn main_of_nothing') };
  const large = { ...doubling('large'), constants: { LANES: 2 ** 16, TURNS: 1 } };
  const kernels = [
    doubling('right', { turns: 100 }),
    doubling('wrong', { expression: 'input[id.x] * 2.001' }),
    doubling('unwritten', { condition: `id.x < ${rows - 1}` }),
    broken,
    large,
  ];
  const before = device.memory.statistics().buffers;
  const { results, byTile } = await measure(graphOf(kernels));
  expect(byTile.get('right')).toMatchObject({
    operator: 'double',
    problem: `input [${rows}, 4] f32, output [${rows}, 4] f32`,
    models: ['made-up'],
    calls: 2,
    flops: rows * 400,
    bytes: 2 * rows * 16,
    kernel: 'double right',
    part: 1,
    unit: 'f32',
    ceiling: 50,
    status: 'ok',
    chosen: true,
    error: expect.any(Number),
    ms: expect.any(Number),
    msRange: {
      min: expect.any(Number),
      max: expect.any(Number),
      rounds: expect.any(Number),
      repeats: expect.any(Number),
    },
  });
  const right = byTile.get('right');
  expect(right?.share).toBeCloseTo((right?.gflops ?? 0) / 50);
  expect(right?.gflops).toBeCloseTo((rows * 400) / (right?.ms ?? 0) / 1e6);
  expect(byTile.get('wrong')).toMatchObject({
    status: expect.stringMatching(/^wrong: .* off by 0\.00\d+ of/),
    ms: null,
  });
  expect(byTile.get('unwritten')?.status).toBe(`wrong: row ${rows - 1} of its result has NaN at 0`);
  expect(byTile.get('broken')).toMatchObject({
    status: expect.stringMatching(/^refused: double broken: /),
    error: null,
  });
  expect(byTile.get('large')?.status).toMatch(
    /^refused: maxComputeInvocationsPerWorkgroup is \d+, the kernel needs 65536$/,
  );
  expect(results[0].tile).toBe('right');
  expect(JSON.parse(JSON.stringify(results))).toEqual(results);
  expect(device.memory.statistics().buffers).toBe(before);
});

test('an operator without a definition is timed, and its rows say that nothing was compared', async () => {
  const { results } = await measure(
    graphOf([doubling('any', { expression: 'input[id.x] * 3' })], { ...doubled, given: { inputs: {} } }),
  );
  expect(results).toMatchObject([
    { status: expect.stringMatching(/^unchecked: /), error: null, ms: expect.any(Number) },
  ]);
});

test('a kernel that adds to its output is checked against what was there, and stays finite however often it runs', async () => {
  const { byTile } = await measure(
    addingGraph([adding('right'), adding('idle', 'output[id.x]'), adding('deaf', 'input[id.x] * 2')]),
  );
  expect(byTile.get('right')?.status).toBe('ok');
  expect(byTile.get('idle')?.status).toBe('wrong: row 0 of its result is as it was before');
  expect(byTile.get('deaf')?.status).toMatch(/^wrong: its result is off by/);
});

test('what there is no time for is named, and so is what an interruption leaves', async () => {
  const graph = graphOf([doubling('right')]);
  const { results } = await measure(graph, { seconds: 0 });
  expect(results).toMatchObject([{ status: 'not reached: no time was left', ms: null, share: null }]);
  expect(unreachedText(results)).toBe('not reached, 1 of 1: double by double right');
  const controller = new AbortController();
  const interrupted = await measure(graph, { signal: controller.signal, onProgress: () => controller.abort() });
  expect(interrupted.results).toMatchObject([{ status: 'not reached: interrupted' }]);
});

test('a compiler that does not come to an end ends nothing but the time', async () => {
  const compile = vi.spyOn(device.pipelines, 'compile').mockImplementation(() => new Promise(() => undefined));
  const { results } = await measure(graphOf([doubling('endless'), doubling('next')]), { seconds: 1 });
  compile.mockRestore();
  expect(results.map(({ status }) => status)).toEqual([
    'not reached: it was still compiling or running when time was up',
    'not reached: no time was left',
  ]);
});

test('a lost device costs the problem at hand what is left of it, and no other', async () => {
  const graph = graphOf([doubling('first'), doubling('second')]);
  const [node] = graph.nodes;
  graph.add({ ...node, flops: 1, candidates: () => [doubling('other')] });
  const [losing, spare] = [await openOwnTestDevice(), await openOwnTestDevice()];
  let kernels = 0;
  const onProgress = () => {
    if (++kernels === 2) losing.gpu.destroy();
  };
  const problems = problemsOf(new Map([['made-up', graph]]), device.capabilities);
  const options = {
    seconds: 60,
    ceilings: { basic: { gflops: 1, gbps: 1 }, matrices: [] },
    signal: new AbortController().signal,
    onProgress,
  };
  const results = await measureKernels(losing, problems, { ...options, renew: async () => spare });
  expect(Object.fromEntries(results.map(({ tile, status }) => [tile, status.replace(/^lost: .*/, 'lost')]))).toEqual({
    first: 'not reached: the device was lost',
    second: 'lost',
    other: 'ok',
  });
  losing.dispose();
  spare.dispose();
});

test('the table has the fastest first, the choice of the rules and what was extrapolated marked', async () => {
  const { results } = await measure(graphOf([doubling('right'), doubling('wrong', { expression: 'input[id.x]' })]));
  const table = kernelTables(
    results.map((result) => (result.ms === null ? result : { ...result, ms: 1234.5, part: 0.25 })),
  );
  expect(table).toMatch(
    /^double input \[4096, 4\] f32, output \[4096, 4\] f32\n0\.00164 GFLOP, 0\.131 MB, 2 calls of made-up; /,
  );
  expect(table).toContain('~ extrapolated from 25 % of the work');
  expect(table).toMatch(/^> +double right +right +~1,235 .* 0\.05 TFLOP\/s f32 .* ok$/m);
  expect(table).toMatch(/^ +double wrong +wrong +- .* wrong: its result is off by/m);
});

test('the ceilings of the adapter are a line each', () => {
  const matrices = [{ component: 'f16', m: 16, n: 16, k: 16, accumulators: 8, gflops: 612_345 } as const];
  const text = ceilingLines({
    ceilings: {
      gflops: 50_000,
      gbps: 3000,
      halvesGflops: null,
      workgroupGbps: { padded: 20_000, unpadded: 5000 },
      writeBufferGbps: 1.24,
      mappedPoolGbps: 6.85,
      dispatchMicroseconds: 6.4,
      matrices,
    },
  });
  expect(text).toMatch(/^matrices of f16, 16x16x16, 8 sums +612 TFLOP\/s$/m);
  expect(text).toMatch(/^multiply-adds in f16 +-$/m);
  expect(text).toMatch(/^queue.writeBuffer +1\.24 GB\/s$/m);
});

test('problems of one shape are told apart by what their kernels do, and the costliest comes first', () => {
  const graph = graphOf([doubling('a')]);
  const [{ inputs, outputs, ...node }] = graph.nodes;
  graph.add({ ...node, inputs, outputs, flops: rows * 4000, candidates: () => [doubling('b')] });
  const problems = problemsOf(
    new Map([
      ['one', graph],
      ['two', graph],
    ]),
    device.capabilities,
  );
  expect(problems.map(({ candidates, calls, models }) => [candidates[0].tile, calls, models])).toEqual([
    ['b', 2, ['one', 'two']],
    ['a', 4, ['one', 'two']],
  ]);
});

test('rows are compared from the first to the last, at the edges of tiles and between', () => {
  expect(rowsToCompare(1)).toEqual([0]);
  const compared = rowsToCompare(3152);
  for (const row of [0, 15, 16, 127, 128, 3071, 3072, 3151]) expect(compared).toContain(row);
  expect(compared.some((row) => row % 2 === 1 && row > 128 && row < 3000)).toBe(true);
  expect(compared.toSorted((a, b) => a - b)).toEqual(compared);
});
