// What a kernel needs that multiplies subgroup matrices.
import type { Capabilities } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import type { Kernel } from '../engine/kernel.ts';
import type { MatrixShape } from '../engine/matrices.ts';
import { matrixFeature } from '../engine/matrices.ts';
import chunkF16 from './shared/chunk-f16.wgsl';
import chunkF32 from './shared/chunk-f32.wgsl';
import chunkPacked from './shared/chunk-packed.wgsl';
import columnsF16 from './shared/columns-f16.wgsl';
import columnsF32 from './shared/columns-f32.wgsl';
import componentF16 from './shared/component-f16.wgsl';
import componentF32 from './shared/component-f32.wgsl';
import matrix from './shared/matrix.wgsl';
import { subgroupsOf } from './subgroups.ts';
import { usableMatrices } from './usable-matrices.ts';

export interface MatrixUse {
  readonly shape: MatrixShape;
  readonly lanes: number;
  /** `16x16x16`, for a variant's name. */
  readonly label: string;
  /** `matrix`, the types of matrices, and `subgroup`, which stands between a kernel's attributes and its function. */
  readonly imports: Readonly<Record<string, string>>;
  /** The import `chunk`, for kernels that look into what matrices are made of. */
  readonly chunk: string;
  /** The import `columns`, which turns squares of elements in chunks. */
  readonly columns: string;
  readonly constants: Readonly<Record<'LANES' | 'MATRIX_M' | 'MATRIX_N' | 'MATRIX_K' | 'CHUNK', number>>;
  readonly features: Kernel['features'];
}

/** Elements of a chunk, the 16 bytes in which matrices are moved. */
const chunkElements = { f16: 8, f32: 4 } as const;

/**
 * How kernels multiply tensors of this storage type by matrices on such a device, a way for each shape that it can use, the likeliest
 * first: components of that type, sums in f32.
 */
export function matricesOf(storage: StorageType, capabilities: Capabilities): MatrixUse[] {
  const { features } = capabilities;
  const subgroups = subgroupsOf(capabilities);
  if (!subgroups) return [];
  // where matrices are emulated, in tests, there is no feature to ask for
  const feature = matrixFeature(features);
  return usableMatrices(storage, capabilities).map((shape) => {
    const { m, n, k } = shape;
    return {
      shape,
      lanes: subgroups.lanes,
      label: `${m}x${n}x${k}`,
      imports: { component: storage === 'f16' ? componentF16 : componentF32, matrix, subgroup: subgroups.text },
      chunk: storage === 'f32' ? chunkF32 : features.has('shader-f16') ? chunkF16 : chunkPacked,
      columns: storage === 'f32' ? columnsF32 : columnsF16,
      constants: { LANES: subgroups.lanes, MATRIX_M: m, MATRIX_N: n, MATRIX_K: k, CHUNK: chunkElements[storage] },
      features: [...subgroups.features, ...(feature ? [feature] : [])],
    };
  });
}
