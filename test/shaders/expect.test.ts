// What operators refuse: tensors that their kernels would read as something else, and so give wrong numbers without a word.
import { describe, expect, test } from 'vitest';
import type { StorageType } from '../../engine/dtype.ts';
import { Graph } from '../../engine/graph.ts';
import type { Layout } from '../../engine/layout.ts';
import { rowLayout } from '../../engine/layout.ts';
import {
  add,
  assembleTokens,
  attention,
  averagePool,
  depthwise,
  frameConv,
  layerNorm,
  linear,
  panelLayout,
  patchEmbed,
  resample,
  resampleTaps,
  resampleTexture,
  squeezeExcite,
  tapLayout,
} from '../../shaders/index.ts';

type Made = ReturnType<Graph['weight']>;

interface Operand {
  readonly shape: readonly number[];
  /** What it is stored as: what is named here, or for `any` whatever the other operands marked so are. */
  readonly storage: StorageType | 'any' | 'u32';
  readonly layout?: Layout;
}

interface Operator {
  readonly operands: Readonly<Record<string, Operand>>;
  readonly build: (graph: Graph, of: (name: string) => Made, storage: StorageType) => unknown;
}

const floats = (...shape: number[]): Operand => ({ shape, storage: 'any' });
const table = (...shape: number[]): Operand => ({ shape, storage: 'f32' });
const panels = (...shape: number[]): Operand => ({ shape, storage: 'any', layout: panelLayout });
const taps = (...shape: number[]): Operand => ({ shape, storage: 'f32', layout: tapLayout });
const words = (...shape: number[]): Operand => ({ shape, storage: 'u32' });

const name = 'op';
const crop = resampleTaps({ from: 8, to: 8, first: 0 }, 8);
const tables = { across: words(crop.table.length), down: words(crop.table.length), levels: table(256) };
const cropOf = (of: (name: string) => Made) => ({
  across: { taps: crop, table: of('across') },
  down: { taps: crop, table: of('down') },
  levels: of('levels'),
});

/** Every operator with all the tensors it takes, each as its kernels want it. */
const operators: Readonly<Record<string, Operator>> = {
  linear: {
    operands: { input: floats(6, 8), weight: panels(12, 8), bias: table(12), residual: floats(6, 12) },
    build: (graph, of) =>
      linear(graph, of('input'), { name, weight: of('weight'), bias: of('bias'), residual: of('residual') }),
  },
  'linear to f32': {
    operands: { input: floats(6, 8), weight: panels(12, 8), residual: table(6, 12) },
    build: (graph, of) =>
      linear(graph, of('input'), { name, weight: of('weight'), residual: of('residual'), result: 'f32' }),
  },
  'linear behind a gate': {
    operands: { input: floats(2, 3, 8), weight: panels(12, 8), gate: table(2, 8) },
    build: (graph, of) => linear(graph, of('input'), { name, weight: of('weight'), gate: of('gate') }),
  },
  patchEmbed: {
    operands: {
      frames: table(2, 3, 8, 8),
      weight: panels(12, 3, 4, 4),
      bias: table(12),
      classToken: table(1, 1, 12),
      positions: table(1, 5, 12),
    },
    build: (graph, of, storage) => {
      const tokens = { classToken: of('classToken'), positions: of('positions') };
      return patchEmbed(graph, of('frames'), { name, weight: of('weight'), bias: of('bias'), tokens, storage });
    },
  },
  attention: {
    operands: { qkv: floats(2, 5, 24) },
    build: (graph, of) => attention(graph, of('qkv'), { name, heads: 2 }),
  },
  layerNorm: {
    operands: { input: floats(6, 8), weight: table(8), bias: table(8), into: floats(9, 8) },
    build: (graph, of) => {
      const into = { value: of('into'), firstRow: 3 };
      return layerNorm(graph, of('input'), { name, weight: of('weight'), bias: of('bias'), epsilon: 1e-5, into });
    },
  },
  assembleTokens: {
    operands: { input: floats(2, 4, 12), classToken: table(12), positions: table(5, 12) },
    build: (graph, of) =>
      assembleTokens(graph, of('input'), { name, classToken: of('classToken'), positions: of('positions') }),
  },
  add: {
    operands: { left: floats(3, 8), right: floats(3, 8) },
    build: (graph, of) => add(graph, of('left'), of('right'), { name }),
  },
  averagePool: {
    operands: { input: floats(1, 3, 4, 4, 8) },
    build: (graph, of) => averagePool(graph, of('input'), { name, window: [1, 4, 4], result: 'f32' }),
  },
  depthwise: {
    operands: {
      input: floats(1, 4, 5, 5, 8),
      weight: taps(8, 1, 3, 3, 3),
      bias: table(8),
      into: floats(1, 6, 5, 5, 8),
    },
    build: (graph, of) => {
      const window = { into: of('into'), make: { start: 0, count: 3 }, held: { start: 0, count: 4 } };
      return depthwise(graph, of('input'), { name, weight: of('weight'), bias: of('bias'), window });
    },
  },
  frameConv: {
    operands: { frames: table(1, 3, 2, 8, 8), weight: taps(12, 3, 1, 3, 3) },
    build: (graph, of, storage) => {
      const options = { name, stride: 2, mean: 0, deviation: 1, storage };
      return frameConv(graph, of('frames'), { ...options, weight: of('weight') });
    },
  },
  squeezeExcite: {
    operands: {
      means: table(2, 3, 8),
      squeeze: table(4, 8),
      squeezeBias: table(4),
      expand: table(8, 4),
      expandBias: table(8),
    },
    build: (graph, of) =>
      squeezeExcite(graph, of('means'), {
        name,
        squeeze: of('squeeze'),
        squeezeBias: of('squeezeBias'),
        expand: of('expand'),
        expandBias: of('expandBias'),
      }),
  },
  resample: {
    operands: { pixels: words(2, 48), frames: table(2, 3, 8, 8), ...tables },
    build: (graph, of) => {
      const into = { value: of('frames'), part: { start: 0, of: 2 } };
      const size = { format: 'RGB', fullRange: false, width: 8, height: 8 } as const;
      resample(graph, of('pixels'), { name, ...size, into, ...cropOf(of) });
    },
  },
  resampleTexture: {
    operands: tables,
    build: (graph, of) =>
      resampleTexture(graph, graph.texture('image', 8, 8), { name, size: 8, external: false, ...cropOf(of) }),
  },
};

/** Results are activations; operands come as weights, which lie in whatever layout one asks for. */
const results = ['into', 'frames'];

/** Builds an operator, one of its operands being declared in another way. */
function build({ operands, build: add }: Operator, storage: StorageType, wrong: Record<string, Partial<Operand>> = {}) {
  const graph = new Graph();
  const of = (key: string): Made => {
    const own = { ...operands[key], ...wrong[key] };
    const stored = (own.storage === 'any' ? storage : own.storage) as StorageType; // words are no matter of types here
    return results.includes(key) && !own.layout
      ? graph.activation(key, own.shape, stored)
      : graph.weight(key, own.shape, stored, own.layout);
  };
  add(graph, of, storage);
  return graph;
}

const refusal = (message: RegExp) =>
  expect.objectContaining({ code: 'shape-mismatch', message: expect.stringMatching(message) });
const both: readonly StorageType[] = ['f32', 'f16'];
const cases = Object.entries(operators).flatMap(([title, operator]) =>
  both.map((storage) => [title, storage, operator] as const),
);

describe.each(cases)('%s, computed in %s', (_title, storage, operator) => {
  test('takes its tensors as its kernels want them', () => {
    expect(build(operator, storage).nodes.length).toBeGreaterThan(0);
  });

  // the storage of a single float input is the caller's to choose
  const inputs = Object.values(operator.operands).filter((operand) => operand.storage === 'any');
  const others = Object.entries(operator.operands).filter(([, own]) => own.storage !== 'any' || inputs.length > 1);

  test.each(others)('refuses %s of another storage type', (key, own) => {
    const is = own.storage === 'any' ? storage : own.storage;
    const wrong = is === 'f32' ? 'f16' : 'f32';
    const message = new RegExp(`^op: .* does not fit; got .*, expected .* (${is}|${wrong}) in `);
    expect(() => build(operator, storage, { [key]: { storage: wrong } })).toThrow(refusal(message));
  });

  test.each(Object.entries(operator.operands))('refuses %s in another layout', (key, { layout }) => {
    const wrong = layout ? rowLayout : panelLayout;
    const message = new RegExp(
      `^op: ${key} does not fit; got .* in ${wrong.name}, expected .* in ${layout?.name ?? 'rows'}`,
    );
    expect(() => build(operator, storage, { [key]: { layout: wrong } })).toThrow(refusal(message));
  });

  test.each(Object.entries(operator.operands))('refuses %s of another shape', (key, { shape }) => {
    const wrong = [...shape, 3];
    expect(() => build(operator, storage, { [key]: { shape: wrong } })).toThrow(refusal(/^op: /));
  });
});

describe('a weight without panelLayout', () => {
  const expectHint = (make: (graph: Graph) => Made) => {
    const graph = new Graph();
    const input = graph.input('x', [3, 8], 'f32');
    expect(() => linear(graph, input, { name: 'fc', weight: make(graph) })).toThrow(
      refusal(
        /^fc: w does not fit; got \[20, 8\] f32 in rows, expected \[20, 8\] f32 in panels; graph\.weight\(.*panelLayout\)$/,
      ),
    );
  };

  test('says what to give to graph.weight()', () => expectHint((graph) => graph.weight('w', [20, 8], 'f32')));
  test('is refused as an input, too', () => expectHint((graph) => graph.input('w', [20, 8], 'f32')));
  test('is refused as an activation, too', () => expectHint((graph) => graph.activation('w', [20, 8], 'f32')));
});

test('a weight of more than [N, K] is refused', () => {
  const graph = new Graph();
  const weight = graph.weight('w', [20, 8, 2], 'f32', panelLayout);
  expect(() => linear(graph, graph.input('x', [3, 8], 'f32'), { name, weight })).toThrow(
    refusal(/^op: w does not fit/),
  );
});

test('sums of f32 are not written in f16', () => {
  const graph = new Graph();
  const weight = graph.weight('w', [20, 8], 'f32', panelLayout);
  const input = graph.input('x', [3, 8], 'f32');
  expect(() => linear(graph, input, { name, weight, result: 'f16' })).toThrow(refusal(/^op: x .* f16 in rows$/));
  const video = graph.input('video', [1, 2, 4, 4, 8], 'f32');
  const window = [1, 4, 4] as const;
  expect(() => averagePool(graph, video, { name, window, result: 'f16' })).toThrow(
    refusal(/^op: video .* f16 in rows$/),
  );
});

test('words are no floats', () => {
  const graph = new Graph();
  const pixels = graph.input('pixels', [3, 8], 'u32') as unknown as Made;
  expect(() => add(graph, pixels, pixels, { name })).toThrow(
    refusal(/^op: pixels .*got \[3, 8\] u32 .*expected \[3, 8\] f32/),
  );
});

test('frames past the last are refused', () => {
  const graph = new Graph();
  const weight = graph.weight('w', [4, 8], 'f32', panelLayout);
  const video = graph.input('video', [1, 4, 2, 2, 8], 'f32');
  const of = (start: number, count: number) =>
    linear(graph, video, { name, weight, pixels: { frames: { start, count } } });
  expect(of(2, 2).shape).toEqual([1, 2, 2, 2, 4]);
  expect(() => of(2, 3)).toThrow(refusal(/^op: video .*expected \[1, 5, 2, 2, 8\]/));
});

test('a window larger than its input, and an even filter, are refused', () => {
  const graph = new Graph();
  const video = graph.input('video', [1, 4, 4, 4, 8], 'f32');
  expect(() => averagePool(graph, video, { name, window: [1, 5, 4] })).toThrow(refusal(/expected \[1, 4, 5, 4, 8\]/));
  const weight = graph.weight('w', [8, 1, 3, 2, 3], 'f32', tapLayout);
  expect(() => depthwise(graph, video, { name, weight })).toThrow(refusal(/^op: w .*expected \[8, 1, 3, 3, 3\]/));
});
