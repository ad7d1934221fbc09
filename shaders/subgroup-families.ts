// The kernels that compute in the registers of subgroups, as far as they are loaded: they come with the first device that has subgroups of a
// size to count on, and before that there are none.
import { importForDevices } from '../engine/kernel-modules.ts';
import type { AttentionFamily } from './attention-family.ts';
import type { MatmulFamily } from './matmul-family.ts';

let families: typeof import('./subgroup-kernels.ts') | undefined;

/** Loads them, for capabilities that are not those of a device. */
export async function loadSubgroupKernels(): Promise<void> {
  families ??= await import('./subgroup-kernels.ts');
}

importForDevices(({ subgroupSize }) => (subgroupSize === undefined ? undefined : loadSubgroupKernels()));

export const matmulSubgroup: MatmulFamily = (matmul, capabilities) =>
  families?.matmulSubgroup(matmul, capabilities) ?? [];

export const attentionSubgroup: AttentionFamily = (attention, capabilities) =>
  families?.attentionSubgroup(attention, capabilities) ?? [];
