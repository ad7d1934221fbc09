// Kernels that multiply subgroup matrices: for real where the adapter has a shape, else emulated, so that their indexing, padding, tails
// and epilogues are checked everywhere.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import type { Kernel } from '../../engine/kernel.ts';
import type { MatrixShape } from '../../engine/matrices.ts';
import { matrixShapes } from '../../engine/matrices.ts';
import { loadMatrixKernels } from '../../shaders/matrix-families.ts';
import { candidatesOf, runCase } from '../conformance.ts';
import { openTestDevice } from '../device.ts';
import { attentionCases } from './attention.cases.ts';
import { emulate, multipliesMatrices, withEmulated } from './emulated-matrices.ts';
import { matmulCases } from './matmul.cases.ts';
import { pointwiseCases } from './pointwise.cases.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
  await loadMatrixKernels();
});
afterAll(() => device.dispose());

const cases = [...matmulCases, ...attentionCases, ...pointwiseCases];
const [commonest] = matrixShapes;

/** Many matrices to a subgroup take the compilers of software adapters minutes. They are the same text, written out more often. */
function isSmall({ name, constants }: Kernel): boolean {
  const { DOWN: down = 0, STEPS: steps = 0, MATRIX_M: m = 0, ACROSS: across = 0 } = constants;
  return name === 'matmul-matrix' ? down * m <= 32 && across * down <= 8 : down * m === 16 && down * steps <= 4;
}

/** Of the small kernels of a case one, another for each case: they compile for seconds. STAM_MATRIX_KERNELS=all runs all of them. */
function chosen(kernels: readonly Kernel[], index: number): readonly Kernel[] {
  const small = kernels.filter((kernel) => multipliesMatrices(kernel) && isSmall(kernel));
  if (process.env['STAM_MATRIX_KERNELS'] === 'all' || small.length === 0) return small;
  return [small[index % small.length]];
}

const tried = new Set<string>();

describe.each(matrixShapes)('$component matrices of $m x $n x $k', (shape: MatrixShape) => {
  // all cases for the commonest shape, some for the others
  const some = cases.map((one, index) => [`${one.operator} ${one.name}`, one, index] as const);
  test.each(some.filter(([, , i]) => shape === commonest || i % 9 === 3))('%s', async (_, operatorCase, index) => {
    const { capabilities } = device;
    const isReal = capabilities.matrices.some((one) => Object.values(one).join() === Object.values(shape).join());
    const emulated = withEmulated(capabilities, shape);
    const as = isReal ? { ...emulated, features: capabilities.features } : emulated;
    const kernels = chosen(candidatesOf(operatorCase, shape.component, as), index);
    const results = await runCase(device, operatorCase, shape.component, {
      capabilities: as,
      only: (kernel) => kernels.some(({ variant }) => variant === kernel.variant),
      ...(!isReal && { adapt: emulate }),
    });
    // attention has its needs: a head dimension of whole matrices, and workgroup memory
    if (operatorCase.operator !== 'attention') expect(results.length).toBeGreaterThan(0);
    expect(results.filter(({ passed }) => !passed)).toEqual([]);
    for (const { tile } of kernels) tried.add(`${tile}`);
  });
});

test('the cases above met every way of computing: one buffer and two, weights straight from memory, and parts of K', () => {
  const ways = [...tried].filter((tile) => tile.includes(`${commonest.m}x${commonest.n}x${commonest.k}`)).sort();
  process.stdout.write(`ways tried: ${ways.join('; ')}\n`);
  for (const way of ['two buffers', 'direct', 'split'])
    expect(
      ways.some((tile) => tile.includes(way)),
      way,
    ).toBe(true);
});
