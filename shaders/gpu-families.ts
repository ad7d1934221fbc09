// Kernels that only GPUs are offered, most of all those whose lanes have few registers, as far as they are loaded: they come with the first
// device that is no software adapter, and before that there are none.
import { importForDevices } from '../engine/kernel-modules.ts';
import type { AttentionFamily } from './attention-family.ts';
import type { MatmulFamily } from './matmul-family.ts';

let families: typeof import('./gpu-kernels.ts') | undefined;

/** Loads them, for capabilities that are not those of a device. */
export async function loadGpuKernels(): Promise<void> {
  families ??= await import('./gpu-kernels.ts');
}

importForDevices(({ adapter }) => (adapter.software ? undefined : loadGpuKernels()));

export const matmulOuter: MatmulFamily = (matmul, capabilities) => families?.matmulOuter(matmul, capabilities) ?? [];

export const matmulHalves: MatmulFamily = (matmul, capabilities) => families?.matmulHalves(matmul, capabilities) ?? [];

export const attentionOuter: AttentionFamily = (attention, capabilities) =>
  families?.attentionOuter(attention, capabilities) ?? [];

/** The text of depthwise-channel. */
export const depthwiseChannel = (): string | undefined => families?.depthwiseChannel;
