// Kernels that only GPUs are offered, most of all those whose lanes have few registers, as far as they are loaded: they come with the first
// device that is no software adapter, and before that there are none.
import { forDevices } from '../engine/kernel-modules.ts';
import type { AttentionFamily } from './attention-family.ts';
import type { MatmulFamily } from './matmul-family.ts';

const kernels = forDevices(
  () => import('./gpu-kernels.ts'),
  ({ adapter }) => !adapter.software,
);
export const { load: loadGpuKernels } = kernels;

export const matmulOuter: MatmulFamily = (...problem) => kernels.loaded?.matmulOuter(...problem) ?? [];

export const matmulHalves: MatmulFamily = (...problem) => kernels.loaded?.matmulHalves(...problem) ?? [];

export const attentionOuter: AttentionFamily = (...problem) => kernels.loaded?.attentionOuter(...problem) ?? [];

/** The text of depthwise-channel. */
export const depthwiseChannel = (): string | undefined => kernels.loaded?.depthwiseChannel;
