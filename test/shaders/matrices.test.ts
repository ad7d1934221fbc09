// Kernels that multiply subgroup matrices: for real where the adapter has a shape, else emulated, so that their indexing, padding, tails
// and epilogues are checked everywhere.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import type { Kernel } from '../../engine/kernel.ts';
import type { MatrixShape } from '../../engine/matrices.ts';
import { matrixShapes } from '../../engine/matrices.ts';
import { runCase } from '../conformance.ts';
import { openTestDevice } from '../device.ts';
import { attentionCases } from './attention.cases.ts';
import { emulate, multipliesMatrices, withEmulated } from './emulated-matrices.ts';
import { matmulCases } from './matmul.cases.ts';
import { pointwiseCases } from './pointwise.cases.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

/** Many matrices to a subgroup take the compilers of software adapters minutes. They are the same text, written out more often. */
function isSmall(kernel: Kernel): boolean {
  const { DOWN: down = 0, STEPS: steps = 0, MATRIX_M: m = 0, ACROSS: across = 0 } = kernel.constants;
  return (
    multipliesMatrices(kernel) &&
    (kernel.name === 'matmul-matrix' ? down * across <= 2 : down * m === 16 && down * steps <= 4)
  );
}

const cases = [...matmulCases, ...attentionCases, ...pointwiseCases].map(
  (one) => [`${one.operator} ${one.name}`, one] as const,
);

const has = (shape: MatrixShape) =>
  device.capabilities.matrices.some(
    ({ component, m, n, k }) => `${component} ${m} ${n} ${k}` === Object.values(shape).join(' '),
  );

describe.each(matrixShapes)('$component matrices of $m x $n x $k', (shape) => {
  // all cases for the commonest shape, some of every kind for the others
  test.each(cases.filter((_, i) => shape === matrixShapes[0] || i % 4 === 3))('%s', async (_, operatorCase) => {
    const emulatedCapabilities = withEmulated(device.capabilities, shape);
    const real = has(shape);
    const results = await runCase(device, operatorCase, shape.component, {
      capabilities: real ? { ...emulatedCapabilities, features: device.capabilities.features } : emulatedCapabilities,
      ...(real ? { only: multipliesMatrices } : { adapt: emulate, only: isSmall }),
    });
    // attention has its needs: a head dimension of whole matrices, and workgroup memory
    if (operatorCase.operator !== 'attention') expect(results.length).toBeGreaterThan(0);
    expect(results.filter(({ passed }) => !passed)).toEqual([]);
  });
});
