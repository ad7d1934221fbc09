// The tuner on an operator whose kernels are right, wrong, slow or broken by construction.
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import { Graph } from '../../engine/graph.ts';
import type { Kernel } from '../../engine/kernel.ts';
import { fileTextStore } from '../../engine/node-cache.ts';
import { createPlan } from '../../engine/plan.ts';
import type { TextStore } from '../../engine/text-store.ts';
import { browserTextStore } from '../../engine/text-stores.ts';
import { chooseTuned, formatTuned } from '../../engine/tuned.ts';
import { knownTuning, obtainTuning, tuningName } from '../../engine/tuning.ts';
import { defaultCapabilities, withHalves, withSubgroups } from '../capabilities.ts';
import { openOwnTestDevice } from '../device.ts';
import { doubling, rows } from './doubling.ts';
import { tuneDevice } from './tune-device.ts';

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openOwnTestDevice();
});
afterAll(() => device.dispose());
beforeEach(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'stam-tuning-'));
});
afterEach(() => fs.rm(folder, { recursive: true }));

function graphOf(kernels: readonly Kernel[], count = 1): Graph {
  const graph = new Graph();
  let value = graph.input('input', [rows, 4], 'f32');
  for (let i = 0; i < count; i++) {
    const output = graph.activation(`double ${i}`, [rows, 4], 'f32');
    const [inputs, outputs] = [{ input: value }, { output }];
    graph.add({ name: `double ${i}`, operator: 'double', inputs, outputs, flops: rows, candidates: () => kernels });
    value = output;
  }
  graph.keep('result', value);
  return graph;
}

const waysOf = (graph: Graph, tuning: Awaited<ReturnType<typeof tuneDevice>> | undefined) =>
  createPlan(graph, device.capabilities, chooseTuned(tuning)).commands.flatMap((command) =>
    command.kind === 'dispatch' ? [command.kernel.tile] : [],
  );

const noTuning = { date: '', ms: 1, clock: 'timestamps', how: '', untried: 0 } as const;
const noProblem = {
  operator: 'double',
  problem: '',
  tried: [],
  wrong: [],
  refused: [],
  unreached: [],
  fraction: 1,
};

test('the fastest kernel wins, whatever its place, and one problem is tried once', async () => {
  const graph = graphOf([doubling('slow', { turns: 20_000 }), doubling('quick')], 3);
  const tuning = await tuneDevice(device, graph);
  expect(tuning.problems).toHaveLength(1);
  expect(tuning.problems[0]).toMatchObject({ operator: 'double', way: 'double quick', wrong: [], refused: [] });
  expect(tuning.problems[0].tried.map(({ way }) => way)).toEqual(['double quick', 'double slow']);
  expect(waysOf(graph, tuning)).toEqual(['quick', 'quick', 'quick']);
  expect(waysOf(graph, undefined)).toEqual(['slow', 'slow', 'slow']);
  expect(formatTuned(tuning.problems[0])).toMatch(
    /^double input \[4096, 4\] f32, output .*: double quick, .* ms \(double slow .* ms\)$/,
  );
});

test.each([
  ['computes something else', 'input[id.x] * 2.001'],
  ['gives no numbers', 'vec4f(bitcast<f32>(id.x | 0x7fc00000))'],
])('a kernel that %s cannot win', async (_, expression) => {
  const plain = doubling('plain', { turns: 20_000 });
  const wrong: Kernel = {
    ...doubling('wrong', { expression }),
    features: device.capabilities.features.has('subgroups') ? ['subgroups'] : [],
  };
  const tuning = await tuneDevice(device, graphOf([plain, wrong]));
  expect(tuning.problems[0]).toMatchObject({ way: 'double plain', wrong: ['double wrong'] });
});

test('a kernel that adds in f16 is no measure for others, though it is the best guess', async () => {
  const rough: Kernel = { ...doubling('rough', { expression: 'input[id.x] * 2.001' }), shortSum: 8 };
  const tuning = await tuneDevice(device, graphOf([rough, doubling('exact')]));
  expect(tuning.problems[0]).toMatchObject({ way: 'double exact', wrong: ['double rough'] });
});

test('where the winner is no candidate any more, the next fastest that was right takes its place', () => {
  const timed = (way: string, ms: number) => ({ way: `double ${way}`, ms, error: 0 });
  const graph = graphOf([doubling('a'), doubling('b'), doubling('c'), doubling('d')]);
  const tried = [timed('fastest', 1), timed('c', 2), timed('b', 3), timed('d', 4)];
  const { flops } = graph.nodes[0];
  const problem = { ...noProblem, way: 'double fastest', tried, flops };
  const tuning = (wrong: string[]) => ({ ...noTuning, problems: [{ ...problem, wrong }] });
  expect(waysOf(graph, tuning([]))).toEqual(['c']);
  expect(waysOf(graph, tuning(['double c']))).toEqual(['b']);
  // of those that are left none was tried but wrong ones
  expect(waysOf(graph, tuning(['double b', 'double c', 'double d', 'double a']))).toEqual(['a']);
  expect(waysOf(graph, tuning(['double a', 'double b', 'double c', 'double d']))).toEqual(['a']);
});

test('what was fastest at a far larger problem is not taken for a small one', () => {
  const graph = graphOf([doubling('guess'), doubling('large')]);
  const [{ flops }] = graph.nodes;
  const problem = { ...noProblem, way: 'double large' };
  const tuning = (times: number) => ({ ...noTuning, problems: [{ ...problem, flops: flops * times }] });
  expect(waysOf(graph, tuning(4))).toEqual(['large']);
  expect(waysOf(graph, tuning(100))).toEqual(['guess']);
});

test('a kernel that leaves its output unwritten cannot win', async () => {
  const idle = doubling('idle', { condition: 'value.x > 1e9' });
  const tuning = await tuneDevice(device, graphOf([doubling('plain', { turns: 20_000 }), idle]));
  expect(tuning.problems[0]).toMatchObject({ way: 'double plain', wrong: ['double idle'] });
});

test('what was far slower on a larger problem is not tried on a smaller one, unless there is nothing else', async () => {
  const graph = new Graph();
  const slow = doubling('slow', { turns: 20_000 });
  const nodes = [
    { flops: 3e6, kernels: [doubling('quick'), slow] },
    { flops: 2e6, kernels: [slow, doubling('other'), doubling('third')] },
    { flops: 1e6, kernels: [slow, { ...slow, name: 'double too' }] },
  ];
  for (const [i, { flops, kernels }] of nodes.entries()) {
    const input = graph.input(`input ${i}`, [rows - i, 4], 'f32');
    const outputs = { output: graph.activation(`double ${i}`, [rows - i, 4], 'f32') };
    graph.add({
      name: `double ${i}`,
      operator: 'double',
      inputs: { input },
      outputs,
      flops,
      candidates: () => kernels,
    });
  }
  const tuning = await tuneDevice(device, graph);
  const tried = tuning.problems.map((problem) => problem.tried.map(({ way }) => way).sort());
  expect(tried[0]).toEqual(['double quick', 'double slow']);
  expect(tried[1]).toEqual(['double other', 'double third']);
  expect(tried[2].length).toBeGreaterThan(0);
});

test('a kernel that does not compile is left out by name; if none compiles, that is an error', async () => {
  const broken = doubling('broken', { expression: 'no_such_function()' });
  const tuning = await tuneDevice(device, graphOf([broken, doubling('plain')]));
  expect(tuning.problems[0]).toMatchObject({ way: 'double plain', refused: [{ way: 'double broken' }] });
  await expect(
    tuneDevice(device, graphOf([broken, doubling('worse', { expression: 'nor_this()' })])),
  ).rejects.toMatchObject({
    code: 'unsupported',
  });
});

test('tuning frees its memory, keeps the winner compiled and forgets the losers', async () => {
  const before = device.memory.statistics();
  const graph = graphOf([doubling('loser', { turns: 20_001 }), doubling('keeper', { turns: 2 })]);
  const pipelines = device.pipelines.size;
  await tuneDevice(device, graph);
  expect(device.memory.statistics().buffers).toBe(before.buffers);
  expect(device.pipelines.size).toBe(pipelines + 1);
});

test('an abort ends it', async () => {
  await expect(
    tuneDevice(device, graphOf([doubling('a'), doubling('b')]), { signal: AbortSignal.abort() }),
  ).rejects.toMatchObject({ name: 'AbortError' });
});

test('what is tuned in full is found again and not tuned again; a software adapter is not tuned unasked', async () => {
  const store = fileTextStore(folder);
  const graph = graphOf([doubling('slow', { turns: 20_000 }), doubling('quick')]);
  const options = { use: 'test', store };
  const first = await obtainTuning(device, graph, { ...options, mode: 'cached' });
  expect(first.tuning === undefined).toBe(device.capabilities.adapter.software);
  const full = await obtainTuning(device, graph, { ...options, mode: 'full' });
  expect(full.origin).toMatch(/^tuned now, in/);
  let problems = 0;
  const again = await obtainTuning(device, graph, { ...options, mode: 'cached', onProgress: () => problems++ });
  expect(again).toEqual({ tuning: full.tuning, origin: `tuned ${full.tuning?.date}, by ${full.tuning?.clock}`, ms: 0 });
  expect(problems).toBe(0);
  expect((await obtainTuning(device, graph, { ...options, mode: 'off' })).tuning).toBeUndefined();
  expect((await knownTuning(device.capabilities, 'another use', store)).tuning).toBeUndefined();
});

const empty = { ...noTuning, how: 'by timestamps', problems: [] };
const emptyWith = (units: string) => JSON.stringify(empty).replace(/}$/, `,"units":${units}}`);

test('the units that were measured are found again, and a tuning without them is one, too', async () => {
  const store = fileTextStore(folder);
  for (const [text, units] of [
    [emptyWith('132'), 132],
    [JSON.stringify(empty), undefined],
  ] as const) {
    await store.write(`${tuningName(device.capabilities)}|test`, text);
    const { tuning } = await knownTuning(device.capabilities, 'test', store);
    expect(tuning).toEqual(JSON.parse(text));
    expect(tuning?.units).toBe(units);
  }
});

test.each([
  ...['', '{', '[]', 'null', '{"problems":[{}]}', '{"problems":3}'],
  ...['0', '-8', '1.5', '1e999', '"132"', '[132]', '{}', 'true'].map(emptyWith),
])('a store that holds %j holds no tuning', async (text) => {
  const store = fileTextStore(folder);
  await store.write(`${tuningName(device.capabilities)}|test`, text);
  expect((await knownTuning(device.capabilities, 'test', store)).tuning).toBeUndefined();
});

test('a store that fails does not keep a model from loading, and the outcome says so', async () => {
  const store: TextStore = {
    read: () => Promise.reject(new Error('no such disk')),
    write: () => Promise.reject(new Error('disk full')),
  };
  const outcome = await obtainTuning(device, graphOf([doubling('a'), doubling('b')]), {
    mode: 'full',
    use: 'test',
    store,
  });
  expect(outcome.tuning?.problems).toHaveLength(1);
  expect(outcome.origin).toMatch(/could not be kept: disk full/);
});

test('other drivers, features, lanes and precisions have names of their own', () => {
  const names = [
    defaultCapabilities,
    withHalves(defaultCapabilities, true),
    withSubgroups(defaultCapabilities, 8),
    withSubgroups(defaultCapabilities, 32),
    { ...defaultCapabilities, adapter: { ...defaultCapabilities.adapter, description: 'driver 2' } },
  ].map(tuningName);
  expect(new Set(names).size).toBe(names.length);
});

test('the browser store keeps texts under any name', async () => {
  const kept = new Map<string, string>();
  const cache = {
    match: async (request: Request) => (kept.has(request.url) ? new Response(kept.get(request.url)) : undefined),
    put: async (request: Request, response: Response) => void kept.set(request.url, await response.text()),
  };
  const store = browserTextStore({ open: async () => cache } as unknown as CacheStorage);
  expect(await store.read('a|b c/?')).toBeUndefined();
  await store.write('a|b c/?', 'text');
  expect(await store.read('a|b c/?')).toBe('text');
  expect(await store.read('a|b c/')).toBeUndefined();
});
