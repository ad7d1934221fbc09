// The tuner on made devices of known times: what it finds can be worked out, whatever the clock rounds and however long compilers take.
import { describe, expect, test } from 'vitest';
import type { Capabilities } from '../../engine/device.ts';
import { Graph } from '../../engine/graph.ts';
import type { Kernel } from '../../engine/kernel.ts';
import { wayOf } from '../../engine/kernel.ts';
import type { PassChoice } from '../../engine/pass-size.ts';
import { formatTuned } from '../../engine/tuned.ts';
import { tune } from '../../engine/tuner.ts';
import { formatPass } from '../../engine/tuning-text.ts';
import { defaultCapabilities } from '../capabilities.ts';
import { doubling } from './doubling.ts';
import type { MadeDevice } from './made-testbed.ts';
import { inWaves, MadeTestbed } from './made-testbed.ts';

const clocks = [
  ['timestamps', 1n],
  ['timestamps rounded to 65536 ns', 65_536n],
] as const;
const units = 132;
const software = { ...defaultCapabilities, adapter: { ...defaultCapabilities.adapter, software: true } };

interface Layer {
  readonly rows: number;
  readonly kernels: readonly Kernel[];
  readonly calls?: number;
  readonly flopsOfRow?: number;
}

function graphOf(layers: readonly Layer[]): Graph {
  const graph = new Graph();
  for (const { rows, kernels, calls = 1, flopsOfRow = 1e6 } of layers) {
    for (let call = 0; call < calls; call++) {
      const inputs = { input: graph.input(`input ${rows} ${call}`, [rows, 4], 'f32') };
      const outputs = { output: graph.activation('output', [rows, 4], 'f32') };
      const flops = rows * flopsOfRow;
      graph.add({ name: `${rows} rows`, operator: 'double', inputs, outputs, flops, candidates: () => kernels });
    }
  }
  return graph;
}

/** A kernel of so many workgroups, whose tile says how long a wave of them takes. */
const kernel = (tile: string, workgroups = 100): Kernel => ({ ...doubling(tile), workgroups: [1, workgroups, 1] });

describe.each(clocks)('by %s', (name, resolution) => {
  // from far below what a browser's clock can tell to far above, and of each the fastest stands at another place
  const scales = [0.004, 0.02, 0.07, 0.4, 3];
  const factors = [1, 1.3, 0.8, 0.835, 0.87];
  const testbed = new MadeTestbed({ msOf: inWaves(units, ({ tile }) => Number(tile)), resolution });
  const layers = scales.map((scale, at) => ({
    rows: 8 + at,
    kernels: factors.map((_, i) => kernel(`${scale * factors[(i + at) % factors.length]}`)),
  }));

  test('the fastest of each problem wins, and the outcome names the clock', async () => {
    const tuning = await tune(testbed, graphOf(layers));
    expect(tuning.problems.map(({ way }) => way)).toEqual(
      scales.toReversed().map((scale) => `double ${scale * Math.min(...factors)}`),
    );
    expect(tuning.clock).toBe(name);
    for (const { tried } of tuning.problems) {
      for (const { way, ms } of tried) expect(ms / Number(way.split(' ')[1])).toBeCloseTo(1, 1);
    }
    expect(testbed.open).toBe(0);
  });

  test('the frames of a pass are those that leave the least of the last wave empty', async () => {
    const tuning = await tune(testbed, graphOf(layers), { passes: framePasses([16, 32, 64, 128, 256]) });
    const least = Math.min(...counts.map(msOfFrame));
    const fewest = counts.find((count) => msOfFrame(count) * 0.97 <= least);
    expect(fewest).toBe(128);
    expect(tuning.pass?.items).toBe(fewest);
    for (const { items, ms } of tuning.pass?.tried ?? []) expect(ms / msOfFrame(items)).toBeCloseTo(1, 1);
    expect(tuning.pass?.unreached).toEqual([]);
  });
});

const counts = [16, 32, 64, 128, 256];
const tokens = 197;
/** The matmuls of a layer of ViT-B: so many columns of tiles, of which one takes so long. */
const layer = [
  { columns: 18, ms: 0.04 },
  { columns: 6, ms: 0.04 },
  { columns: 24, ms: 0.04 },
  { columns: 6, ms: 0.16 },
];
const tilesOf = (frames: number, columns: number) => Math.ceil((frames * tokens) / 128) * columns;

/** Milliseconds for one of so many frames on a device of 132 units, worked out. */
function msOfFrame(frames: number): number {
  const waves = layer.map(({ columns, ms }) => Math.ceil(tilesOf(frames, columns) / units) * ms);
  return (12 * waves.reduce((sum, one) => sum + one, 0)) / frames;
}

/** A dozen of these layers. */
function framePasses(of: readonly number[]): PassChoice {
  const graph = (frames: number) =>
    graphOf(
      layer.map(({ columns, ms }, i) => ({
        rows: frames * tokens * columns + i,
        calls: 12,
        kernels: [kernel(`${ms}`, tilesOf(frames, columns))],
      })),
    );
  return { counts: of, graph };
}

describe('the units of a GPU', () => {
  /** The best guess is the first: on up to 20 units another one than on more. */
  function graphByUnits(): Graph {
    const graph = new Graph();
    const inputs = { input: graph.input('input', [8, 4], 'f32') };
    const outputs = { output: graph.activation('output', [8, 4], 'f32') };
    const alike = [kernel('1'), { ...kernel('1'), name: 'other' }];
    const candidates = ({ units }: Capabilities) => (units > 20 ? alike : alike.toReversed());
    graph.add({ name: 'one', operator: 'double', inputs, outputs, flops: 1e6, candidates });
    return graph;
  }

  test.each(clocks)('are measured before candidates are ordered by them, and told, by %s', async (name, resolution) => {
    for (const [units, way] of [
      [132, 'double 1'],
      [8, 'other 1'],
    ] as const) {
      const tuning = await tune(waves({ units, resolution }), graphByUnits());
      expect(tuning.units).toBe(units);
      expect(tuning.problems[0].way).toBe(way);
      expect(tuning.how).toBe(`by ${name}; ${units} units measured`);
    }
  });

  test('are what was guessed where they cannot be told, and on a software adapter, which is not asked', async () => {
    for (const testbed of [waves(), waves({ units: 8, capabilities: software })]) {
      const tuning = await tune(testbed, graphByUnits());
      expect(tuning).not.toHaveProperty('units');
      expect(tuning.problems[0].way).toBe('double 1');
      expect(tuning.how).toBe('by timestamps');
    }
  });

  test('take no more than a quarter of a second of the budget', async () => {
    const [without, measured] = [waves({ resolution: 65_536n }), waves({ resolution: 65_536n, units })];
    expect(await measured.measureUnits()).toBe(units);
    expect(measured.now() - without.now()).toBeLessThan(250);
  });
});

const anything = graphOf([{ rows: 8, kernels: [kernel('1'), kernel('2')] }]);
const waves = (made: Partial<MadeDevice> = {}) =>
  new MadeTestbed({ msOf: inWaves(units, ({ tile }) => Number(tile)), ...made });

describe('the frames of a pass', () => {
  test('are few where more are not faster, since they take memory', async () => {
    const testbed = waves({ msOf: (_, workgroups) => workgroups / 1000 });
    const { pass } = await tune(testbed, anything, { passes: framePasses(counts) });
    expect(pass?.items).toBe(16);
    expect(formatPass({ items: 16, tried: [{ items: 16, ms: 0.5 }], unreached: [32] })).toBe(
      '16 at a time, measured (ms each: 0.500 by 16; not tried: 32)',
    );
  });

  test('are no more than there is memory for', async () => {
    const testbed = waves({ mostElements: (64 * tokens * 24 + layer.length) * 4 });
    const { pass } = await tune(testbed, anything, { passes: framePasses(counts) });
    expect(pass).toMatchObject({ items: 64, unreached: [128, 256] });
    expect(testbed.open).toBe(0);
  });

  test('cost a slow device no more than their share of the time: it is not asked for what would take longer', async () => {
    const testbed = waves({ msOf: (_, workgroups) => workgroups * 0.05 });
    const tuning = await tune(testbed, anything, { passes: framePasses(counts) });
    expect(tuning.pass?.items).toBe(16);
    expect(tuning.pass?.unreached).toContain(256);
    const alone = await tune(waves(), anything);
    expect(tuning.ms - alone.ms).toBeLessThan(1500);
  });

  test('are not measured on a software adapter, nor where there is one count only', async () => {
    const passes = framePasses(counts);
    expect(await tune(waves({ capabilities: software }), anything, { passes })).not.toHaveProperty('pass');
    expect(await tune(waves(), anything, { passes: framePasses([16]) })).not.toHaveProperty('pass');
  });
});

describe('the budget', () => {
  // as an NVIDIA driver takes seconds for the candidates of one problem when it meets them first
  const compileMs = 280;
  const candidates = Array.from({ length: 25 }, (_, i) => kernel(`${1 - i / 100}`));
  const layers = [9, 8, 7, 6].map((rows) => ({
    rows,
    kernels: candidates.map((one) => ({ ...one, variant: `${rows}` })),
  }));

  test.each(clocks)('holds for a first load that compiles everything, by %s', async (_, resolution) => {
    const testbed = waves({ compileMs, resolution, waitMs: 2 });
    const tuning = await tune(testbed, graphOf(layers), { passes: framePasses(counts) });
    expect(tuning.ms).toBeLessThan(6000);
    expect(testbed.now() - 987.654321).toBeCloseTo(tuning.ms);
    expect(tuning.untried).toBe(0);
    expect(tuning.pass?.items).toBe(128);
    for (const problem of tuning.problems) {
      const { tried, unreached } = problem;
      const ways = [...tried.map(({ way }) => way), ...unreached];
      expect(ways.toSorted()).toEqual(candidates.map(wayOf).toSorted());
      expect(tried.map(({ way }) => way)).toContain('double 1');
      // those that were tried were the best guesses
      expect(unreached).toEqual(candidates.slice(tried.length).map(wayOf));
      expect(unreached.length).toBeGreaterThan(0);
      expect(formatTuned(problem)).toMatch(/; no time for double 0\.\d+, .*double 0\.76$/);
    }
  });

  test('is for the likeliest candidates of every problem before it is for the others of the costliest', async () => {
    const [costly, ...cheap] = layers;
    const tuning = await tune(waves({ compileMs }), graphOf([{ ...costly, flopsOfRow: 3e7 }, ...cheap]));
    expect(tuning.ms).toBeLessThan(6000);
    expect(tuning.untried).toBe(0);
  });

  test('is for all candidates where it is enough, each of them once', async () => {
    const tuning = await tune(waves({ compileMs: 5 }), graphOf(layers));
    for (const { way, tried, unreached } of tuning.problems) {
      expect(way).toBe('double 0.76');
      expect(tried.map((one) => one.way)).toEqual(candidates.map(wayOf).toReversed());
      expect(unreached).toEqual([]);
    }
  });

  test('leaves the best guess where it is not enough for another', async () => {
    const tuning = await tune(waves({ compileMs: 2000 }), graphOf(layers));
    expect(tuning.ms).toBeLessThan(6000 + 2000);
    expect(tuning.problems).toEqual([]);
    expect(tuning.untried).toBe(4);
  });

  test('is not spent on the losers', async () => {
    const testbed = waves({ compileMs });
    const tuning = await tune(testbed, graphOf(layers));
    expect(testbed.compiled.size).toBe(layers.length);
    expect([...testbed.compiled.values()].map(wayOf)).toEqual(
      expect.arrayContaining(tuning.problems.map(({ way }) => way)),
    );
  });
});

describe('a problem is run', () => {
  // of so many workgroups that the last wave tells these two apart: 3 waves of 0.3 ms each against 4 of 0.25
  const whole = [kernel('0.25', 3 * units + 1), kernel('0.3', 3 * units)];

  test('whole where there is time for it', async () => {
    const [problem] = (await tune(waves(), graphOf([{ rows: 8, kernels: whole }]))).problems;
    expect(problem).toMatchObject({ way: 'double 0.3', fraction: 1 });
    expect(formatTuned(problem)).not.toContain('%');
  });

  test('in part where a single run would take most of the time, and its time is that of the whole', async () => {
    const testbed = waves();
    const long = [kernel('300', 20 * units), kernel('200', 20 * units)];
    const [problem] = (await tune(testbed, graphOf([{ rows: 8, kernels: long }]))).problems;
    expect(problem.way).toBe('double 200');
    expect(problem.fraction).toBeLessThan(0.2);
    expect(testbed.longestRun).toBeLessThanOrEqual(1200);
    expect(problem.tried[0].ms / 4000).toBeCloseTo(1, 0);
    expect(formatTuned(problem)).toMatch(/; by \d+ % of it$/);
  });
});
