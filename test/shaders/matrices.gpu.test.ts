// Kernels that multiply subgroup matrices: for real where the adapter has a shape, else emulated, so that their indexing, padding, tails
// and epilogues are checked everywhere.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import type { Kernel } from '../../engine/kernel.ts';
import type { MatrixShape } from '../../engine/matrices.ts';
import { matrixShapes } from '../../engine/probe-matrices.ts';
import { loadMatrixKernels } from '../../shaders/matrix-families.ts';
import type { OperatorCase } from '../conformance.ts';
import { candidatesOf, runCase } from '../conformance.ts';
import { openTestDevice } from '../device.ts';
import { sampleOf } from '../sample.ts';
import { attentionCases } from './attention.cases.ts';
import { emulate, multipliesMatrices, withEmulated } from './emulated-matrices.ts';
import { linearCase, matmulCases } from './matmul.cases.ts';
import { pointwiseCases } from './pointwise.cases.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
  await loadMatrixKernels();
});
afterAll(() => device.dispose());

/** Matrices want heads of whole matrices. */
const wholeHeads = attentionCases.filter(({ name }) => Number(/heads of (\d+)/.exec(name)?.[1]) % 16 === 0);
const cases = [...matmulCases, ...wholeHeads, ...pointwiseCases];
const [commonest] = matrixShapes;

/** `f16 8x8x8`: a shape that the adapter has to multiply for real; only this one is tested then, with more cases. */
const wanted = process.env['STAM_REAL_MATRICES'];
const nameOf = ({ m, n, k }: MatrixShape) => `${m}x${n}x${k}`;
const isWanted = (shape: MatrixShape) => `${shape.component} ${nameOf(shape)}` === wanted;

/** Matrices of 32 x 32 come in large tiles alone, which are only compiled, on the null backend. */
const shapes = matrixShapes.filter((shape) => (wanted === undefined ? shape.m <= 16 : isWanted(shape)));

/** Many matrices to a subgroup take the compilers of software adapters minutes. They are the same text, written out more often. */
function isSmall({ name, tile = '', constants }: Kernel): boolean {
  const { DOWN: down = 0, STEPS: steps = 0, MATRIX_M: m = 0, KEYS: keys = 0 } = constants;
  if (name === 'matmul-matrix') return /^(16|32)x64 by 4 \d/.test(tile);
  return down * m === 16 && (name === 'attention-flash' ? down * steps <= 2 && keys === 16 : down * steps <= 4);
}

async function run(
  operatorCase: OperatorCase,
  shape: MatrixShape,
  choose: (kernels: readonly Kernel[]) => readonly Kernel[],
) {
  const { capabilities } = device;
  const isReal = capabilities.matrices.some((one) => Object.values(one).join() === Object.values(shape).join());
  if (wanted !== undefined && !isReal) throw new Error(`${nameOf(shape)} matrices are not multiplied by this adapter`);
  const emulated = withEmulated(capabilities, shape);
  const as = isReal ? { ...emulated, features: capabilities.features } : emulated;
  const candidates = candidatesOf(operatorCase, shape.component, as).filter(multipliesMatrices);
  const kernels = choose(candidates);
  const results = await runCase(device, operatorCase, shape.component, {
    capabilities: as,
    only: (kernel) => kernels.some(({ variant }) => variant === kernel.variant),
    ...(!isReal && { adapt: emulate }),
  });
  expect(results.filter(({ passed }) => !passed)).toEqual([]);
  return results;
}

describe.each(sampleOf('shapes of matrices', shapes, 3))('$component matrices of $m x $n x $k', (shape) => {
  // a third of the cases for the commonest shape, for each of the others a few of its own; of the small kernels of each case one, in turn
  const every = wanted !== undefined || shape === commonest ? 3 : 17;
  const own = shapes.indexOf(shape) * 4 + 1;
  const some = cases.flatMap((one, index) => {
    return index % every === own % every ? [[`${one.operator} ${one.name}`, one, index] as const] : [];
  });
  test.concurrent.each(sampleOf(`cases in ${shape.component} matrices of ${nameOf(shape)}`, some, 1))(
    '%s',
    async (_, operatorCase, index) => {
      const results = await run(operatorCase, shape, (kernels) => {
        const small = kernels.filter(isSmall);
        return small.length > 0 ? [small[index % small.length]] : [];
      });
      // attention has its needs, workgroup memory for one
      if (operatorCase.operator !== 'attention') expect(results).toHaveLength(1);
    },
  );
});

describe('every way of multiplying', () => {
  const shape = matrixShapes.find(isWanted) ?? commonest;
  const long = linearCase({ m: 37, n: 68, k: 768, bias: true, residual: true }, 6);
  const ways = ['16x64 by 4 two buffers', '32x64 by 4 split', '64x64 by 4 two buffers direct'];
  test.concurrent.each(sampleOf('ways of multiplying by matrices', ways, 1))('%s', async (way) => {
    const results = await run(long, shape, (kernels) =>
      kernels.filter(({ tile }) => tile === `${way} ${nameOf(shape)}`),
    );
    expect(results).toHaveLength(1);
  });
});
