// Graphs to plans, without a GPU: who lives where and how long, what is copied, what is refused.
import { describe, expect, test } from 'vitest';
import type { Value } from '../../engine/graph.ts';
import { Graph } from '../../engine/graph.ts';
import type { Kernel } from '../../engine/kernel.ts';
import { rowLayout } from '../../engine/layout.ts';
import type { Dispatch, Plan } from '../../engine/plan.ts';
import { createPlan, formatPlan } from '../../engine/plan.ts';
import { panelLayout } from '../../shaders/index.ts';
import { defaultCapabilities } from '../capabilities.ts';
import { kernelOfText } from './small-program.ts';

/** A kernel that computes nothing and binds these tensors. */
function kernelOf(bindings: readonly string[], parts: Partial<Kernel> = {}): Kernel {
  const lines = bindings.map((name, i) => `@group(0) @binding(${i}) var<storage, read_write> ${name}: array<vec4f>;`);
  return kernelOfText([...lines, '@compute @workgroup_size(1) fn main() {}'].join('\n'), {
    name: 'step',
    variant: 'plain',
    ...parts,
  });
}

interface StepOptions {
  readonly shape?: readonly number[];
  readonly storage?: 'f32' | 'f16';
  /** The input whose memory the output takes over. */
  readonly over?: string;
  readonly flops?: number;
  readonly kernels?: readonly Kernel[];
  /** The tensor to write to, instead of a new one. */
  readonly output?: Value;
}

function step(graph: Graph, name: string, inputs: Record<string, Value>, options: StepOptions = {}): Value {
  const { shape = [4, 4], storage = 'f32', over, flops = 0, output = graph.activation(name, shape, storage) } = options;
  const bound = [...Object.keys(inputs).filter((input) => input !== over), 'output'];
  graph.add({
    name,
    operator: 'step',
    inputs,
    outputs: { output },
    ...(over && { takesOver: { output: over } }),
    flops,
    candidates: () => options.kernels ?? [kernelOf(bound)],
  });
  return output;
}

const plan = (graph: Graph): Plan => createPlan(graph, defaultCapabilities);

function dispatchOf({ commands }: Plan, name: string): Dispatch {
  const found = commands.find((command) => command.kind === 'dispatch' && command.name === name);
  if (found?.kind === 'dispatch') return found;
  throw new Error(`no dispatch ${name}`);
}

function slotOf(planned: Plan, name: string, binding = 'output'): number {
  const place = dispatchOf(planned, name).bindings[binding];
  if (place.kind === 'slot') return place.slot;
  throw new Error(`${name}.${binding} is in no slot`);
}

const failure = (code: string, message?: RegExp) =>
  expect.objectContaining({ code, ...(message && { message: expect.stringMatching(message) }) });

describe('slots', () => {
  test('a chain of equal steps lives in two', () => {
    const graph = new Graph();
    let x = step(graph, 'step 0', { x: graph.input('x', [4, 4], 'f32') });
    for (let i = 1; i < 6; i++) x = step(graph, `step ${i}`, { x });
    const planned = plan(graph);
    expect(planned.slots).toEqual([64, 64]);
    for (let i = 1; i < 6; i++) {
      expect(slotOf(planned, `step ${i}`)).not.toBe(slotOf(planned, `step ${i}`, 'x'));
      expect(slotOf(planned, `step ${i}`, 'x')).toBe(slotOf(planned, `step ${i - 1}`));
    }
  });

  test('a value that is read again later keeps its own until then', () => {
    const graph = new Graph();
    const early = step(graph, 'early', {});
    let x = step(graph, 'step 0', { x: early });
    for (let i = 1; i < 4; i++) x = step(graph, `step ${i}`, { x });
    step(graph, 'join', { x, early });
    step(graph, 'after', {});
    const planned = plan(graph);
    expect(planned.slots.length).toBe(3);
    for (let i = 0; i < 4; i++) expect(slotOf(planned, `step ${i}`)).not.toBe(slotOf(planned, 'early'));
    expect(slotOf(planned, 'join', 'early')).toBe(slotOf(planned, 'early'));
  });

  test('a view keeps the value alive that it shows', () => {
    const graph = new Graph();
    const view = graph.reshape(step(graph, 'x', {}), [2, 2, 4]);
    const between = step(graph, 'between', {});
    step(graph, 'end', { view, between });
    const planned = plan(graph);
    expect(slotOf(planned, 'end', 'view')).toBe(slotOf(planned, 'x'));
    expect(slotOf(planned, 'between')).not.toBe(slotOf(planned, 'x'));
  });

  test('the largest tensors get their memory first, the others what is free of it and small enough', () => {
    const graph = new Graph();
    const [small, large] = [step(graph, 'small', {}), step(graph, 'large', {}, { shape: [16, 4] })];
    step(graph, 'end', { small, large });
    step(graph, 'fits', {}, { shape: [8, 4] });
    step(graph, 'huge', {}, { shape: [32, 4] });
    const planned = plan(graph);
    expect(planned.slots).toEqual([512, 64, 64]);
    for (const name of ['large', 'huge']) expect(slotOf(planned, name)).toBe(0);
    expect(slotOf(planned, 'fits')).toBe(0); // the others are too small
    expect(slotOf(planned, 'end')).not.toBe(slotOf(planned, 'small'));
  });

  test('a small tensor that lives long does not sit in the memory of a large one', () => {
    const graph = new Graph();
    const long = step(graph, 'long', {}, { shape: [1, 4] });
    for (let i = 0; i < 3; i++) step(graph, `large ${i}`, {}, { shape: [16, 4] });
    step(graph, 'end', { long }, { shape: [16, 4] });
    expect(plan(graph).slots).toEqual([256, 16]);
  });

  test('several nodes may write one value, which lives from the first to the last use', () => {
    const graph = new Graph();
    const whole = graph.activation('whole', [4, 4], 'f32');
    step(graph, 'first', { x: step(graph, 'x', {}) }, { output: whole });
    step(graph, 'second', { y: step(graph, 'y', {}) }, { output: whole });
    step(graph, 'end', { whole });
    const planned = plan(graph);
    expect(slotOf(planned, 'second')).toBe(slotOf(planned, 'first'));
    expect(slotOf(planned, 'end', 'whole')).toBe(slotOf(planned, 'first'));
    expect(slotOf(planned, 'y')).not.toBe(slotOf(planned, 'first'));
  });

  test('sizes are of the layout and the storage: rows of whole quads', () => {
    const graph = new Graph();
    step(graph, 'half', {}, { shape: [3, 5], storage: 'f16' });
    step(graph, 'single', {}, { shape: [3, 9] });
    expect(plan(graph).slots).toEqual([3 * 12 * 4]);
    expect(dispatchOf(plan(graph), 'half').bindings['output'].size).toBe(3 * 8 * 2);
  });

  test('a value that nothing has written cannot be read', () => {
    const graph = new Graph();
    step(graph, 'end', { x: graph.activation('ghost', [4], 'f32') });
    expect(() => plan(graph)).toThrow(failure('bad-input', /^ghost: .*nothing holds it/));
  });
});

describe('takesOver', () => {
  test('gives the output the memory of the input, which is bound once', () => {
    const graph = new Graph();
    const x = step(graph, 'x', {});
    const y = step(graph, 'y', { x: step(graph, 'branch', { x }), residual: x }, { over: 'residual' });
    step(graph, 'end', { y });
    const planned = plan(graph);
    expect(slotOf(planned, 'y')).toBe(slotOf(planned, 'x'));
    expect(Object.keys(dispatchOf(planned, 'y').bindings).sort()).toEqual(['output', 'x']);
    expect(planned.slots.length).toBe(2);
  });

  const taken = () => {
    const graph = new Graph();
    const x = step(graph, 'x', {});
    step(graph, 'y', { residual: x }, { over: 'residual' });
    return { graph, x };
  };

  test('nobody may read the input afterwards', () => {
    const { graph, x } = taken();
    step(graph, 'end', { x });
    expect(() => plan(graph)).toThrow(failure('bad-input', /^x: /));
  });

  test('nobody may take it over again', () => {
    const { graph, x } = taken();
    step(graph, 'end', { z: step(graph, 'z', { residual: x }, { over: 'residual' }) });
    expect(() => plan(graph)).toThrow(failure('bad-input', /^x: /));
  });

  test('nobody may keep it afterwards, though before', () => {
    const { graph, x } = taken();
    graph.keep('x', x);
    expect(() => plan(graph)).toThrow(failure('bad-input', /^x: /));
    const early = new Graph();
    const kept = step(early, 'x', {});
    early.keep('x', kept);
    step(early, 'y', { residual: kept }, { over: 'residual' });
    expect(plan(early).commands.map(({ kind }) => kind)).toEqual(['dispatch', 'copy', 'dispatch']);
  });

  test('the node itself may not read it under a second name', () => {
    const graph = new Graph();
    const x = step(graph, 'x', {});
    step(graph, 'y', { x, residual: x }, { over: 'residual' });
    expect(() => plan(graph)).toThrow(failure('bad-input', /^x: /));
  });

  test.each([
    ['of another size', (graph: Graph) => step(graph, 'x', {}, { shape: [2, 4] })],
    ['of another storage', (graph: Graph) => step(graph, 'x', {}, { storage: 'f16' })],
    ['that is a weight', (graph: Graph) => graph.weight('x', [4, 4], 'f32')],
  ])('refuses a value %s', (_, make) => {
    const graph = new Graph();
    step(graph, 'y', { residual: make(graph) }, { over: 'residual' });
    expect(() => plan(graph)).toThrow(failure('shape-mismatch', /^y: .*cannot take over the memory of x/));
  });
});

describe('keep', () => {
  test('copies right after the node, before the memory is reused', () => {
    const graph = new Graph();
    const x = step(graph, 'x', {});
    graph.keep('kept', x);
    step(graph, 'z', { y: step(graph, 'y', { x }) });
    const planned = plan(graph);
    expect(planned.commands[1]).toEqual({
      kind: 'copy',
      output: 'kept',
      from: { kind: 'slot', slot: slotOf(planned, 'x'), size: 64 },
      offset: 0,
      size: 64,
    });
    expect(slotOf(planned, 'z')).toBe(slotOf(planned, 'x'));
    expect(planned.outputs.get('kept')).toEqual({ shape: [4, 4], storage: 'f32', size: 64 });
  });

  test('puts parts side by side in one output', () => {
    const graph = new Graph();
    for (const start of [0, 2, 4]) {
      const count = Math.min(2, 5 - start);
      const x = step(graph, `part ${start}`, {}, { shape: [count, 3, 6], storage: 'f16' });
      graph.keep('whole', x, { start, of: 5 });
    }
    const planned = plan(graph);
    const rowBytes = 3 * 8 * 2;
    expect(planned.outputs).toEqual(new Map([['whole', { shape: [5, 3, 6], storage: 'f16', size: 5 * rowBytes }]]));
    const copies = planned.commands.flatMap((command) =>
      command.kind === 'copy' ? [[command.offset, command.size]] : [],
    );
    expect(copies).toEqual([
      [0, 2 * rowBytes],
      [2 * rowBytes, 2 * rowBytes],
      [4 * rowBytes, rowBytes],
    ]);
  });

  test('holds a value that no node reads until it is kept', () => {
    const graph = new Graph();
    const x = step(graph, 'x', {});
    step(graph, 'y', {});
    graph.keep('x', x);
    const planned = plan(graph);
    expect(slotOf(planned, 'y')).not.toBe(slotOf(planned, 'x'));
  });

  test('keepIfWanted asks the predicate', () => {
    const graph = new Graph((name) => name === 'b');
    for (const name of ['a', 'b']) graph.keepIfWanted(name, step(graph, name, {}));
    expect([...plan(graph).outputs.keys()]).toEqual(['b']);
    expect([graph.wants('a'), graph.wants('b')]).toEqual([false, true]);
  });
});

describe('limits', () => {
  const most = defaultCapabilities.limits.storageBufferBindingBytes;

  test.each([
    ['an activation', (graph: Graph, shape: readonly number[]) => step(graph, 'big', {}, { shape })],
    ['a weight', (graph: Graph, shape: readonly number[]) => graph.weight('big', shape, 'f32')],
    ['an input', (graph: Graph, shape: readonly number[]) => graph.input('big', shape, 'f32')],
  ])('%s may fill a binding, and be no larger', (_, make) => {
    const fits = new Graph();
    step(fits, 'end', { x: make(fits, [most / 16, 4]) });
    expect(plan(fits).commands.length).toBeGreaterThan(0);
    const over = new Graph();
    step(over, 'end', { x: make(over, [most / 16 + 1, 4]) });
    expect(() => plan(over)).toThrow(failure('limit', /big .* got 134217744 bytes, expected at most 134217728 bytes/));
  });

  test('a buffer smaller than a binding limits it, too', () => {
    const graph = new Graph();
    step(graph, 'big', {}, { shape: [1024, 4] });
    const limits = { ...defaultCapabilities.limits, bufferBytes: 8192 };
    expect(() => createPlan(graph, { ...defaultCapabilities, limits })).toThrow(failure('limit', /at most 8192 bytes/));
  });
});

describe('kernels', () => {
  test('a node without candidates is unsupported', () => {
    const graph = new Graph();
    step(graph, 'lost', {}, { kernels: [] });
    expect(() => plan(graph)).toThrow(failure('unsupported', /^lost: no kernel for step/));
  });

  test('the first candidate is taken unless the caller chooses', () => {
    const graph = new Graph();
    const kernels = ['best', 'other'].map((variant) => kernelOf(['output'], { variant }));
    step(graph, 'x', {}, { kernels });
    expect(dispatchOf(plan(graph), 'x').kernel.variant).toBe('best');
    const chosen = createPlan(graph, defaultCapabilities, (_, candidates) => candidates[1]);
    expect(dispatchOf(chosen, 'x').kernel.variant).toBe('other');
  });

  test.each([
    ['too few tensors', kernelOf(['output'])],
    ['too many', kernelOf(['x', 'output', 'bias'])],
    ['others', kernelOf(['input', 'output'])],
    ['params that the text lacks', kernelOf(['x', 'output'], { params: { rows: 1 } })],
    [
      'no value for a param',
      kernelOf(['x'], {
        source: `${kernelOf(['x', 'output']).source}\nstruct Params { rows: u32 }\n@group(0) @binding(9) var<uniform> params: Params;`,
      }),
    ],
  ])('a kernel that names %s is refused', (_, kernel) => {
    const graph = new Graph();
    step(graph, 'end', { x: graph.input('x', [4], 'f32') }, { kernels: [kernel] });
    expect(() => plan(graph)).toThrow(failure('shader', /^step plain: .*different tensors or params/));
  });
});

describe('the graph', () => {
  test('gives one weight once, and refuses it in two ways', () => {
    const graph = new Graph();
    const weight = graph.weight('w', [8, 4], 'f32', panelLayout);
    expect(graph.weight('w', [8, 4], 'f32', panelLayout)).toBe(weight);
    for (const again of [
      () => graph.weight('w', [4, 8], 'f32', panelLayout),
      () => graph.weight('w', [8, 4], 'f16', panelLayout),
      () => graph.weight('w', [8, 4], 'f32', rowLayout),
    ]) {
      expect(again).toThrow(failure('shape-mismatch', /^w: one weight is used in two ways/));
    }
  });

  test.each([[[0, 4]], [[-1]], [[2.5]], [[Number.NaN]]])('refuses the shape %j', (shape) => {
    expect(() => new Graph().input('x', shape, 'f32')).toThrow(failure('shape-mismatch', /^x: /));
  });

  test.each([[[3, 4]], [[4, 8]], [[32]]])('refuses to show [8, 4] as %j', (shape) => {
    const graph = new Graph();
    expect(() => graph.reshape(graph.input('x', [8, 4], 'f32'), shape)).toThrow(failure('shape-mismatch', /^x: /));
  });
});

test('inputs are as large as all their parts; operations and bytes are sums', () => {
  const graph = new Graph();
  const parts = [0, 2].map((start) => graph.input('frames', [2, 32], 'f32', { start, of: 4 }));
  step(graph, 'left', { x: parts[0] }, { flops: 30 });
  step(graph, 'right', { x: parts[1], w: graph.weight('w', [4], 'f16') }, { flops: 12 });
  const planned = plan(graph);
  expect(planned.inputs).toEqual(new Map([['frames', { size: 512, storage: 'f32' }]]));
  expect(planned.flops).toBe(42);
  expect(dispatchOf(planned, 'right')).toMatchObject({ flops: 12, bytes: 256 + 8 + 64 });
  expect(formatPlan(planned).split('\n')).toEqual([
    'load frames+0 -> #0',
    'left: step plain [1 1 1] x=#0 output=#1 0.000 GFLOP',
    'load frames+256 -> #0',
    'right: step plain [1 1 1] x=#0 w=w output=#1 0.000 GFLOP',
    'slots: 0.0 MB, 0.0 MB',
  ]);
});
