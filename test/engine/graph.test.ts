// What a graph refuses of those who build it: what could only give wrong numbers, or none.
import { describe, expect, test } from 'vitest';
import type { Value } from '../../engine/graph.ts';
import { Graph } from '../../engine/graph.ts';
import { createPlan } from '../../engine/plan.ts';
import { add } from '../../shaders/index.ts';
import { defaultCapabilities } from '../capabilities.ts';

const failure = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });
const input = (graph: Graph, name: string, shape: readonly number[] = [4, 8]) => graph.input(name, shape, 'f32');
const double = (graph: Graph, value: Value, name = `double ${value.name}`) => add(graph, value, value, { name });

describe('keep', () => {
  test('before the first node is refused, and gives an input afterwards', () => {
    const graph = new Graph();
    const x = input(graph, 'x');
    expect(() => graph.keep('y', x)).toThrow(failure('bad-input', /^y: a node must be added first/));
    double(graph, x);
    graph.keep('y', x);
    expect(createPlan(graph, defaultCapabilities).outputs.get('y')?.shape).toEqual([4, 8]);
  });

  test('gives a name to one value', () => {
    const graph = new Graph();
    const x = input(graph, 'x');
    graph.keep('y', double(graph, x));
    expect(() => graph.keep('y', double(graph, x))).toThrow(failure('bad-input', /^y: it is kept already/));
    const other = double(graph, input(graph, 'other', [3, 8]));
    expect(() => graph.keep('y', other)).toThrow(
      failure('shape-mismatch', /^y: one output .*got \[3, 8\] f32 in rows, expected \[4, 8\] f32 in rows/),
    );
    expect(graph.kept.map(({ value }) => value.name)).toEqual(['double x']);
  });

  test('gives a name to pieces of one tensor, each of them once', () => {
    const graph = new Graph();
    const piece = (shape = [4, 8]) => double(graph, input(graph, `x ${graph.nodes.length}`, shape));
    graph.keep('y', piece(), { start: 0, of: 8 });
    graph.keep('y', piece(), { start: 4, of: 8 });
    expect(() => graph.keep('y', piece(), { start: 4, of: 8 })).toThrow(failure('bad-input', /^y: it is kept already/));
    expect(() => graph.keep('y', piece(), { start: 8, of: 12 })).toThrow(failure('shape-mismatch', /^y: one output/));
    expect(() => graph.keep('y', piece([4, 12]), { start: 0, of: 8 })).toThrow(
      failure('shape-mismatch', /^y: one output/),
    );
    const halves = graph.input('halves', [4, 8], 'f16');
    expect(() => graph.keep('y', double(graph, halves), { start: 0, of: 8 })).toThrow(
      failure('shape-mismatch', /^y: one output .*got \[8, 8\] f16 in rows, expected \[8, 8\] f32 in rows/),
    );
  });
});

describe('an input', () => {
  test('may be asked for again, and in pieces', () => {
    const graph = new Graph();
    const twice = [input(graph, 'x'), input(graph, 'x')];
    expect(twice.map(({ name }) => name)).toEqual(['x', 'x']);
    for (const start of [0, 2]) graph.input('y', [2, 8], 'f32', { start, of: 4 });
    expect(graph.input('y', [4, 8], 'f32').shape).toEqual([4, 8]);
  });

  test.each([
    ['another shape', (graph: Graph) => input(graph, 'x', [1, 8])],
    ['another storage type', (graph: Graph) => graph.input('x', [4, 8], 'f16')],
    ['pieces of something larger', (graph: Graph) => graph.input('x', [4, 8], 'f32', { start: 0, of: 8 })],
  ])('of the same name is refused with %s', (_, again) => {
    const graph = new Graph();
    input(graph, 'x');
    expect(() => again(graph)).toThrow(
      failure('shape-mismatch', /^x: one input is used in two ways; got .*, expected \[4, 8\] f32 in rows/),
    );
  });
});

describe('a tensor of another graph', () => {
  const made: readonly (readonly [string, (graph: Graph) => Value])[] = [
    ['input', (graph) => input(graph, 'x')],
    ['weight', (graph) => graph.weight('x', [4, 8], 'f32')],
    ['activation', (graph) => double(graph, input(graph, 'in'), 'x')],
  ];

  test.each(made)('is refused: %s', (kind, make) => {
    const [graph, other] = [new Graph(), new Graph()];
    const own = make(graph); // of the same name, and as old
    const foreign = make(other);
    const refused = failure('bad-input', new RegExp(`^x: it is no ${kind} of this graph`));
    expect(() => add(graph, own, foreign, { name: 'sum' })).toThrow(refused);
    double(graph, own);
    expect(() => graph.keep('y', foreign)).toThrow(refused);
    expect(() => graph.reshape(foreign, [2, 2, 8])).toThrow(refused);
    expect(double(graph, graph.reshape(own, [2, 2, 8])).shape).toEqual([2, 2, 8]);
  });
});

test.each([
  ['an input', (graph: Graph) => input(graph, 'x')],
  ['a weight', (graph: Graph) => graph.weight('x', [4, 8], 'f32')],
])('no node writes to %s', (_, make) => {
  const graph = new Graph();
  const node = { name: 'step', operator: 'step', inputs: {}, outputs: { output: make(graph) }, flops: 0 };
  expect(() => graph.add({ ...node, candidates: () => [] })).toThrow(
    failure('bad-input', /^x: it is no activation of this graph/),
  );
});

test.each([[[-4, -1, 8]], [[0.5, 8, 8]]])('no tensor is shown as %j', (shape) => {
  const graph = new Graph();
  expect(() => graph.reshape(input(graph, 'x'), shape)).toThrow(failure('shape-mismatch', /^x: /));
});
