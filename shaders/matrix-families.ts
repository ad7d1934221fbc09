// The kernels that multiply subgroup matrices, as far as they are loaded: they come with the first device that has some (few browsers of
// today do), and before that there are none.
import { forDevices } from '../engine/kernel-modules.ts';
import type { AttentionFamily } from './attention-family.ts';
import type { MatmulFamily } from './matmul-family.ts';

const kernels = forDevices(
  () => import('./matrix-kernels.ts'),
  ({ matrices }) => matrices.length > 0,
);
export const { load: loadMatrixKernels } = kernels;

export const matmulMatrix: MatmulFamily = (...problem) => kernels.loaded?.matmulMatrix(...problem) ?? [];

export const attentionMatrix: AttentionFamily = (...problem) => kernels.loaded?.attentionMatrix(...problem) ?? [];

export const attentionFlash: AttentionFamily = (...problem) => kernels.loaded?.attentionFlash(...problem) ?? [];
