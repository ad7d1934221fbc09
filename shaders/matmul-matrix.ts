// matmul-matrix: subgroup matrices, which is what GPUs have tensor cores for. Needs them for the storage type of the operands.
import type { Capabilities } from '../engine/device.ts';
import type { Kernel } from '../engine/kernel.ts';
import type { Matmul, MatmulFamily } from './matmul-family.ts';
import { matmulParts } from './matmul-family.ts';
import source from './matmul-matrix.wgsl';
import type { MatrixUse } from './matrices.ts';
import { matricesOf } from './matrices.ts';
import { paddedDepth } from './panels.ts';
import leftChunks from './shared/left-chunks.wgsl';
import leftRows from './shared/left-rows.wgsl';
import rowsPlain from './shared/rows-plain.wgsl';

/** Subgroups of a workgroup, and matrices that each holds: both down and across. */
interface Tile {
  readonly subgroups: readonly [down: number, across: number];
  readonly matrices: readonly [down: number, across: number];
}

/** From the most multiplications for each load to the most workgroups. */
const tiles: readonly Tile[] = [
  { subgroups: [2, 2], matrices: [4, 4] },
  { subgroups: [2, 2], matrices: [2, 2] },
  { subgroups: [1, 4], matrices: [1, 1] },
];

/** Workgroups that keep a large GPU busy: a tile that makes fewer is no first choice. */
const busyWorkgroups = 128;

/** K of a tile of the input in workgroup memory. */
const tileDepth = 32;

export const matmulMatrix: MatmulFamily = (matmul, capabilities) => {
  const use = matricesOf(matmul.storage, capabilities);
  if (!use) return [];
  const kernels = tiles.flatMap((tile) => kernelOf(tile, use, matmul, capabilities) ?? []);
  const best = kernels.findIndex(({ workgroups: [x, y] }) => x * y >= busyWorkgroups);
  // the tiles behind the best are too small rather than too large, and come before those before it
  return best < 0 ? kernels.toReversed() : [...kernels.slice(best), ...kernels.slice(0, best)];
};

/** Undefined where the device has not the workgroup memory or invocations for it. */
function kernelOf(
  { subgroups: [subgroupsDown, subgroupsAcross], matrices: [down, across] }: Tile,
  use: MatrixUse,
  matmul: Matmul,
  capabilities: Capabilities,
): Kernel | undefined {
  const { limits } = capabilities;
  const { m, n, k } = use.shape;
  const { CHUNK: chunk } = use.constants;
  const invocations = subgroupsDown * subgroupsAcross * use.lanes;
  const rows = subgroupsDown * down * m;
  const columns = subgroupsAcross * across * n;
  const depthChunks = tileDepth / chunk;
  const patches = subgroupsDown * subgroupsAcross * m * ((across * n) / 4 + 2);
  const memory = Math.max(2 * rows * (depthChunks + 1), patches);
  if (memory * 16 > limits.workgroupStorageBytes || invocations > limits.workgroupInvocations) return undefined;
  const { label, ...parts } = matmulParts(matmul, capabilities);
  const { weight: _, rows: rowsText, ...imports } = parts.imports;
  return {
    ...parts,
    name: 'matmul-matrix',
    tile: `${rows}x${columns}`,
    variant: `${rows}x${columns} by ${use.label} ${label}`,
    source,
    imports: { ...imports, ...use.imports, ...leftOf(matmul, rowsText, use.chunk) },
    constants: {
      ...parts.constants,
      ...use.constants,
      SUBGROUPS_DOWN: subgroupsDown,
      SUBGROUPS_ACROSS: subgroupsAcross,
      DOWN: down,
      ACROSS: across,
      DEPTH: tileDepth,
      STEPS: tileDepth / k,
      STAGED: Math.ceil((rows * depthChunks) / invocations),
      MEMORY: memory,
      ROW_CHUNKS: Math.ceil(matmul.k / chunk),
    },
    params: { ...parts.params, depth: paddedDepth(matmul.k) },
    workgroups: [Math.ceil(matmul.n / columns), Math.ceil(matmul.rows / rows), 1],
    features: [...parts.features, ...use.features],
  };
}

/** Where the left operand comes from: whole chunks of memory where rows are made of them. */
function leftOf({ storage, k }: Matmul, rows: string, chunk: string): Readonly<Record<string, string>> {
  if (storage === 'f16' && rows === rowsPlain && k % 8 === 0) return { left: leftChunks };
  return { left: leftRows, rows, chunk };
}
