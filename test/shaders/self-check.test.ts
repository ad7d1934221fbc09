// What the self-check knows of each operator: its definition against test/reference.ts, and every kernel against its definition.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import type { StorageType } from '../../engine/dtype.ts';
import type { GraphNode } from '../../engine/graph.ts';
import { kernelLabel } from '../../engine/kernel.ts';
import { SelfCheck } from '../../engine/self-check.ts';
import { elementCount, rowLength } from '../../engine/shape.ts';
import { defaultCapabilities, withSubgroups } from '../capabilities.ts';
import type { OperatorCase } from '../conformance.ts';
import { buildCase } from '../conformance.ts';
import { openTestDevice } from '../device.ts';
import { operatorCases } from './index.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

const integers = ['resample'];
const cases = operatorCases.filter(({ operator }) => !integers.includes(operator));

const lastNode = (one: OperatorCase, storage: StorageType): GraphNode => {
  const node = buildCase(one, storage).nodes.at(-1);
  if (!node) throw new Error(`${one.name} adds no node`);
  return node;
};

test('every operator of floats has a check', () => {
  expect(cases.filter((one) => !lastNode(one, 'f32').check).map(({ operator }) => operator)).toEqual([]);
  const operators = [...new Set(cases.map(({ operator }) => operator))].sort();
  const convolutions = ['averagePool', 'depthwise', 'frameConv', 'squeezeExcite'];
  expect(operators).toEqual(
    ['add', 'assembleTokens', 'attention', 'layerNorm', 'linear', 'patchEmbed', ...convolutions].sort(),
  );
});

/** Cases as small as the self-check's own problems, of which it takes all: what it knows of those can be compared. */
const whole = cases.filter((one) => {
  const { check, inputs } = lastNode(one, 'f32');
  const sizes = Object.entries(check?.shapes ?? {}).map(([name, shape]) =>
    [shape, inputs[name].shape].map(elementCount),
  );
  return sizes.every(([few, all]) => few === all) && !one.name.includes('cut at'); // a cut is made in other memory
});

test('every operator, and each way of its rows, has such a case', () => {
  expect([...new Set(whole.map(({ operator }) => operator))]).toEqual([
    ...new Set(cases.map(({ operator }) => operator)),
  ]);
  for (const rows of [/gate/, /pointwise \[2.*gate/, /every 2/])
    expect(whole.some(({ name }) => rows.test(name))).toBe(true);
});

test.each(whole.map((one) => [`${one.operator} ${one.name}`, one] as const))(
  'the definition is the reference: %s',
  (_, one) => {
    const { check, inputs, outputs } = lastNode(one, 'f32');
    // by the names of the bindings; the residual of a case is the sum of an operand and zeros, under the operand's name
    const operands = Object.fromEntries(
      Object.entries(inputs).map(([name, value]) => [name, one.operands[value.name].data]),
    );
    const expected = one.expected();
    const length = rowLength(Object.values(outputs)[0].shape);
    const largest = expected.reduce((peak, x) => Math.max(peak, Math.abs(x)), 0);
    for (let row = 0; row < expected.length / length; row++) {
      const got = check?.row(operands, row) ?? new Float64Array();
      expect(got.length).toBe(length);
      got.forEach((x, column) => {
        expect(Math.abs(x - expected[row * length + column])).toBeLessThanOrEqual(1e-6 * largest);
      });
    }
  },
);

/** One case of each operator, that with the most kernels. */
const widest = [...new Set(cases.map(({ operator }) => operator))].map((operator) => {
  const kernels = (one: OperatorCase) => lastNode(one, 'f32').candidates(withSubgroups(defaultCapabilities, 4)).length;
  return cases.filter((one) => one.operator === operator).toSorted((a, b) => kernels(b) - kernels(a))[0];
});

describe.each(['f32', 'f16'] as const)('%s', (storage) => {
  test.each(widest.map((one) => [`${one.operator} ${one.name}`, one] as const))(
    'no right kernel fails: %s',
    async (_, one) => {
      const capabilities = device.capabilities;
      const graph = buildCase(one, storage);
      const candidates = graph.nodes.at(-1)?.candidates(capabilities) ?? [];
      expect(candidates.length).toBeGreaterThan(0);
      for (const kernel of candidates) {
        const check = new SelfCheck(device);
        await check.rightPlan(graph, (_node, offered) => {
          return offered.find((other) => kernelLabel(other) === kernelLabel(kernel)) ?? offered[0];
        });
        expect(check.dropped).toEqual([]);
      }
    },
  );
});
