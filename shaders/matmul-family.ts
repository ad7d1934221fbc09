// What the kernel families of a matmul have in common: the problem as its operator states it, and the parts that every kernel of it has.
import type { Capabilities } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import type { Kernel } from '../engine/kernel.ts';
import { quads } from '../engine/shape.ts';
import { paddedDepth, panelColumns } from './panels.ts';
import finishQuads from './shared/finish-quads.wgsl';
import resultF32 from './shared/result-f32.wgsl';
import resultSame from './shared/result-same.wgsl';
import weightBlocks from './shared/weight-blocks.wgsl';
import weightPanels from './shared/weight-panels.wgsl';
import type { Storage } from './storage.ts';
import { storageOf } from './storage.ts';
import { usableMatrices } from './usable-matrices.ts';

/** epilogue(rows weight^T): [M, K] by [N, K] -> [M, N]. */
export interface Matmul {
  readonly storage: StorageType;
  readonly result: StorageType;
  /** M */
  readonly rows: number;
  readonly n: number;
  readonly k: number;
  /** Where rows come from and what becomes of the sums, for a variant's name. */
  readonly label: string;
  readonly constants: Readonly<Record<string, number>>;
  /** `rows`, `epilogue` and what these import. */
  readonly imports: Readonly<Record<string, string>>;
}

/** A kernel family: its kernels for a matmul on a device, best first; none where it cannot run. */
export type MatmulFamily = (matmul: Matmul, capabilities: Capabilities) => Kernel[];

/** A kernel of a family, before it is known how well it does. */
export interface RankedKernel {
  readonly kernel: Kernel;
  /** Of the speed that the family's fastest tile reaches where there is enough to do. */
  readonly speed: number;
  /** How many of its workgroups the device runs at the same time. */
  readonly atOnce: number;
}

/** By the likely speed, the highest first: a tile's own, and how much of the device its last wave of workgroups leaves idle. */
export function likeliestFirst(kernels: readonly RankedKernel[]): Kernel[] {
  return kernels.toSorted((a, b) => likelySpeed(b) - likelySpeed(a)).map(({ kernel }) => kernel);
}

function likelySpeed({ kernel, speed, atOnce }: RankedKernel): number {
  const [x, y, z] = kernel.workgroups;
  const waves = (x * y * z) / atOnce;
  return (speed * waves) / Math.ceil(waves);
}

/** The parts that a matmul's kernels share, whatever the family. `label` ends the variant's name. */
export function matmulParts(
  matmul: Matmul,
  capabilities: Capabilities,
  storage: Storage = storageOf(matmul.storage, capabilities),
): Pick<Kernel, 'imports' | 'constants' | 'params' | 'features'> & { readonly label: string } {
  const { rows, n, k } = matmul;
  const resultIsSame = matmul.result === matmul.storage;
  return {
    label: `${storage.label}${resultIsSame ? '' : `-${matmul.result}`} ${n}x${k} ${matmul.label}`.trim(),
    imports: {
      ...matmul.imports,
      storage: storage.text,
      finish: finishQuads,
      result: resultIsSame ? resultSame : resultF32,
      weight: usableMatrices(matmul.storage, capabilities).length > 0 ? weightBlocks : weightPanels,
    },
    constants: {
      K: paddedDepth(k),
      K_QUADS: quads(k),
      N_QUADS: quads(n),
      PANELS: Math.ceil(n / panelColumns),
      ...matmul.constants,
    },
    params: { rows },
    features: storage.features,
  };
}
