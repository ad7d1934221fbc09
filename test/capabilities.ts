// Capabilities as plain data, for tests that plan or compile for devices which are not here.
import type { Capabilities } from '../engine/device.ts';
import type { MatrixShape } from '../engine/matrices.ts';

/** What WebGPU guarantees everywhere, and no more: no feature, 128 MiB bindings, 256 MiB buffers, 16 KiB of workgroup memory. */
export const defaultCapabilities: Capabilities = {
  adapter: { vendor: 'test', architecture: '', device: '', description: 'default limits', software: false },
  features: new Set(),
  subgroupSize: undefined,
  subgroupSizeVaries: false,
  laneRegisters: Number.POSITIVE_INFINITY,
  units: 128,
  matrices: [],
  limits: {
    storageBufferBindingBytes: 128 * 2 ** 20,
    bufferBytes: 256 * 2 ** 20,
    storageBuffers: 8,
    storageOffsetAlignment: 256,
    uniformOffsetAlignment: 256,
    workgroupStorageBytes: 16 * 2 ** 10,
    workgroupInvocations: 256,
  },
};

/** The same device with subgroups of `lanes` lanes, which is their only size or, where it varies, one that kernels ask for. */
export function withSubgroups(capabilities: Capabilities, lanes: number, varies = false): Capabilities {
  const features = new Set([...capabilities.features, 'subgroups', ...(varies ? ['subgroup-size-control'] : [])]);
  return { ...capabilities, features, subgroupSize: lanes, subgroupSizeVaries: varies };
}

/** The same device with or without shader-f16. */
export function withHalves(capabilities: Capabilities, present: boolean): Capabilities {
  const features = new Set(capabilities.features);
  if (present) features.add('shader-f16');
  else features.delete('shader-f16');
  return { ...capabilities, features };
}

/** The same device with subgroup matrices of this shape. */
export function withMatrices(capabilities: Capabilities, shape: MatrixShape): Capabilities {
  const features = new Set([...capabilities.features, 'chromium-experimental-subgroup-matrix']);
  return { ...capabilities, features, matrices: [shape] };
}
