// The self-check on an operator whose kernels are right, wrong or broken by construction.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import type { GraphNode, Value } from '../../engine/graph.ts';
import { Graph } from '../../engine/graph.ts';
import type { Kernel } from '../../engine/kernel.ts';
import { kernelLabel } from '../../engine/kernel.ts';
import type { Plan } from '../../engine/plan.ts';
import type { DroppedKernel } from '../../engine/self-check.ts';
import { SelfCheck } from '../../engine/self-check.ts';
import { openTestDevice } from '../device.ts';
import { doubling, rows } from './doubling.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

const right = doubling('right');
const offByOneLane = doubling('one lane', {
  expression: 'input[id.x] * select(vec4f(2), vec4f(2, 2, 2.01, 2), id.x % 8 == 3)',
});
const unwritten = doubling('unwritten', { condition: 'id.x != 12' });
const broken = doubling('broken', { expression: 'no_such_function(input[id.x])' });
const nearly = doubling('nearly', { expression: 'input[id.x] * 2.00001' });

function doubled(kernels: readonly Kernel[] | GraphNode['candidates']): Graph {
  const add = (into: Graph, of: Value) => {
    const output = into.activation('output', of.shape, of.storage);
    into.add({
      name: 'block.double',
      operator: 'double',
      inputs: { input: of },
      outputs: { output },
      flops: 1,
      candidates: typeof kernels === 'function' ? kernels : () => kernels,
      check: {
        shapes: {},
        build: (small, operands) => add(small, operands['input']),
        row: (operands, row) => Float64Array.from(operands['input'].subarray(4 * row, 4 * row + 4), (x) => 2 * x),
      },
    });
    return output;
  };
  const graph = new Graph();
  graph.keep('output', add(graph, graph.input('input', [rows, 4], 'f32')));
  return graph;
}

const kernelsOf = ({ commands }: Plan) =>
  commands.flatMap((command) => (command.kind === 'dispatch' ? [kernelLabel(command.kernel)] : []));

test('right kernels stay, and are tried once', async () => {
  const check = new SelfCheck(device);
  const plan = await check.rightPlan(doubled([right, offByOneLane]));
  expect(kernelsOf(plan)).toEqual(['double right']);
  expect(check.summary).toMatch(/^1 kernels right, in \d/);
  const { ms } = check;
  await check.rightPlan(doubled([right]));
  expect(check.dropped).toEqual([]);
  expect(check.summary).toMatch(/^1 kernels right, in \d/);
  expect(check.ms).toBeLessThanOrEqual(ms + 5);
});

test.each([
  ['wrong in one lane of eight', offByOneLane, /off by 0\.0\d+ of the largest element/, false],
  ['unwritten in one row', unwritten, /element 48 of its result is NaN/, false],
  ['refused by the compiler', broken, /no_such_function/, true],
] as const)('a kernel that is %s is replaced by the next best', async (_, wrong, why, refused) => {
  const told: DroppedKernel[] = [];
  const check = new SelfCheck(device, { onDrop: (dropped) => told.push(dropped) });
  const plan = await check.rightPlan(doubled([wrong, right]));
  expect(kernelsOf(plan)).toEqual(['double right']);
  expect(check.dropped).toEqual([{ kernel: kernelLabel(wrong), why: expect.stringMatching(why), refused }]);
  expect(told).toEqual(check.dropped);
  expect(check.summary).toContain('1 kernels right, 1 dropped');
  // whoever plans without running knows it too
  expect(kernelsOf(check.plan(doubled([wrong, right])))).toEqual(['double right']);
  // nothing of the trials is left
  expect(device.memory.statistics()).toMatchObject({ buffers: 0 });
});

test('rounding is no failure', async () => {
  const check = new SelfCheck(device);
  await check.rightPlan(doubled([nearly, right]));
  expect(check.dropped).toEqual([]);
});

test('one after another fails until one is right', async () => {
  const check = new SelfCheck(device);
  const plan = await check.rightPlan(doubled([broken, unwritten, offByOneLane, right]));
  expect(kernelsOf(plan)).toEqual(['double right']);
  expect(check.dropped.map(({ kernel }) => kernel)).toEqual(['double broken', 'double unwritten', 'double one lane']);
});

test('the choice is among those that are left', async () => {
  const check = new SelfCheck(device);
  const offered: string[][] = [];
  await check.rightPlan(doubled([offByOneLane, right, nearly]), (_, candidates) => {
    offered.push(candidates.map(({ variant }) => variant));
    return candidates[0];
  });
  expect(offered).toEqual([
    ['one lane', 'right', 'nearly'],
    ['right', 'nearly'],
  ]);
});

test('what is a candidate by what was measured is tried as one of the small problem, too', async () => {
  const check = new SelfCheck(device);
  const graph = doubled(({ units }) => (units === 132 ? [right] : [nearly]));
  const capabilities = { ...device.capabilities, units: 132 };
  expect(kernelsOf(check.plan(graph, undefined, capabilities))).toEqual(['double right']);
  expect(kernelsOf(await check.rightPlan(graph, undefined, undefined, capabilities))).toEqual(['double right']);
  expect(check.dropped).toEqual([]);
  expect(kernelsOf(await check.rightPlan(graph))).toEqual(['double nearly']);
});

test('none left: an error that names node, adapter and kernels', async () => {
  const failure = new SelfCheck(device).rightPlan(doubled([offByOneLane, unwritten]));
  await expect(failure).rejects.toMatchObject({ name: 'StamError', code: 'unsupported' });
  await expect(failure).rejects.toThrow(/^block\.double on .+\(software\): no kernel for double is right/);
  await expect(failure).rejects.toThrow(/double one lane: .+ off by .+, double unwritten: element 48/);
  const refused = new SelfCheck(device).rightPlan(doubled([broken, unwritten]));
  await expect(refused).rejects.toMatchObject({ code: 'shader' });
});

test('turned off, nothing is tried', async () => {
  const check = new SelfCheck(device, { enabled: false });
  expect(kernelsOf(await check.rightPlan(doubled([offByOneLane, right])))).toEqual(['double one lane']);
  expect(check.summary).toBe('off');
});

test('an aborted check ends', async () => {
  const stop = AbortSignal.abort();
  await expect(new SelfCheck(device).rightPlan(doubled([right]), undefined, stop)).rejects.toMatchObject({
    name: 'AbortError',
  });
});
