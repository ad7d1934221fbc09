// The kernels that compute in the registers of subgroups, as far as they are loaded: they come with the first device that has subgroups of a
// size to count on, and before that there are none.
import { forDevices } from '../engine/kernel-modules.ts';
import type { AttentionFamily } from './attention-family.ts';
import type { MatmulFamily } from './matmul-family.ts';

const kernels = forDevices(
  () => import('./subgroup-kernels.ts'),
  ({ subgroupSize }) => subgroupSize !== undefined,
);
export const { load: loadSubgroupKernels } = kernels;

export const matmulSubgroup: MatmulFamily = (...problem) => kernels.loaded?.matmulSubgroup(...problem) ?? [];

export const attentionSubgroup: AttentionFamily = (...problem) => kernels.loaded?.attentionSubgroup(...problem) ?? [];
