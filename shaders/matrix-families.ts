// The kernels that multiply subgroup matrices, as far as they are loaded: they come with the first device that has some (few browsers of
// today do), and before that there are none.
import { importForDevices } from '../engine/kernel-modules.ts';
import type { AttentionFamily } from './attention-family.ts';
import type { MatmulFamily } from './matmul-family.ts';

let families: typeof import('./matrix-kernels.ts') | undefined;

/** Loads them, for capabilities that are not those of a device. */
export async function loadMatrixKernels(): Promise<void> {
  families ??= await import('./matrix-kernels.ts');
}

importForDevices(({ matrices }) => (matrices.length > 0 ? loadMatrixKernels() : undefined));

export const matmulMatrix: MatmulFamily = (matmul, capabilities) => families?.matmulMatrix(matmul, capabilities) ?? [];

export const attentionMatrix: AttentionFamily = (attention, capabilities) =>
  families?.attentionMatrix(attention, capabilities) ?? [];

export const attentionFlash: AttentionFamily = (attention, capabilities) =>
  families?.attentionFlash(attention, capabilities) ?? [];
