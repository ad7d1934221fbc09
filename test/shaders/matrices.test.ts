// Kernels that multiply subgroup matrices, with the matrices emulated: their own text but for the five functions on matrices. So their
// indexing, padding, tails and epilogues are checked where no such device is.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Capabilities, Device } from '../../engine/device.ts';
import type { Kernel } from '../../engine/kernel.ts';
import type { MatrixShape } from '../../engine/matrices.ts';
import { matrixShapes } from '../../engine/matrices.ts';
import { runCase } from '../conformance.ts';
import { openTestDevice } from '../device.ts';
import { attentionCases } from './attention.cases.ts';
import { matmulCases } from './matmul.cases.ts';
import matrixEmulated from './matrix-emulated.wgsl';
import { pointwiseCases } from './pointwise.cases.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

const feature = 'chromium-experimental-subgroup-matrix' as GPUFeatureName;

/** The test adapter as a GPU that multiplies matrices of this shape. Its subgroups are its own: what they share is emulated by them. */
function withEmulated(shape: MatrixShape): Capabilities {
  const { capabilities } = device;
  return { ...capabilities, adapter: { ...capabilities.adapter, software: false }, matrices: [shape] };
}

function emulate(kernel: Kernel): Kernel {
  if (kernel.imports['matrix'] === undefined) return kernel;
  const { component: _, ...imports } = kernel.imports;
  return {
    ...kernel,
    imports: { ...imports, matrix: matrixEmulated },
    features: kernel.features.filter((name) => name !== feature),
  };
}

/** Many matrices to a subgroup take the compilers of software adapters minutes. They are the same text, written out more often. */
function isSmall({ name, imports, constants }: Kernel): boolean {
  const { DOWN: down = 0, STEPS: steps = 0, MATRIX_M: m = 0 } = constants;
  return (
    imports['matrix'] !== undefined && (name === 'matmul-matrix' ? down === 1 : down * m === 16 && down * steps <= 4)
  );
}

const cases = [...matmulCases, ...attentionCases, ...pointwiseCases].map(
  (one) => [`${one.operator} ${one.name}`, one] as const,
);

describe.each(matrixShapes)('emulated $component matrices of $m x $n x $k', (shape) => {
  // all cases for the commonest shape, some of every kind for the others
  test.each(cases.filter((_, i) => shape === matrixShapes[0] || i % 4 === 3))('%s', async (_, operatorCase) => {
    const capabilities = withEmulated(shape);
    const results = await runCase(device, operatorCase, shape.component, {
      capabilities,
      adapt: emulate,
      only: isSmall,
    });
    // attention has its needs: a head dimension of whole matrices, and workgroup memory
    if (operatorCase.operator !== 'attention') expect(results.length).toBeGreaterThan(0);
    expect(results.filter(({ passed }) => !passed)).toEqual([]);
  });
});
