// matmul-halves: outer products in f16 and long sums in f32, the family for GPUs that multiply halves twice as fast and no subgroup
// matrices. Needs shader-f16.
import type { Capabilities } from '../engine/device.ts';
import type { Kernel } from '../engine/kernel.ts';
import { depthLoop } from './depth-loop.ts';
import type { Matmul, MatmulFamily } from './matmul-family.ts';
import { likeliestFirst, matmulParts } from './matmul-family.ts';
import source from './matmul-halves.wgsl';
import { paddedDepth } from './panels.ts';
import { usableMatrices } from './usable-matrices.ts';

/** Rows and columns of a workgroup, and those of an invocation. */
interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly lane: 4 | 8;
  /** Products that are added in f16; by default eight. */
  readonly short?: 8 | 16;
  /** Of the fastest one's, by matmul-tile's tiles of the same sizes; not measured. */
  readonly speed: number;
}

/**
 * Mesa's compiler for RDNA2 writes 66 to 68 % of the loop of 8x8 as packed arithmetic with short sums of 8, and 75 % with those of 16; for
 * RDNA3 62.5 and 67.5 %. On Intel's GPUs 8x8 spills and 4x4 does not, and of 4x4 Apple's M1 holds 1024 threads.
 */
export const halvesTiles: readonly Tile[] = [
  { rows: 128, columns: 64, lane: 8, speed: 1 },
  { rows: 128, columns: 128, lane: 8, speed: 0.95 },
  { rows: 64, columns: 64, lane: 8, speed: 0.89 },
  { rows: 64, columns: 64, lane: 4, speed: 0.7 },
  { rows: 32, columns: 32, lane: 4, speed: 0.6 },
];

/** Neighbours in k of the tiles in workgroup memory. */
const depth = 32;
/** Workgroups that a unit runs at the same time: while one waits for memory the others multiply. */
const unitWorkgroups = 4;

export const matmulHalves: MatmulFamily = (matmul, capabilities) => {
  if (matmul.storage !== 'f16' || !capabilities.features.has('shader-f16')) return [];
  // matrices multiply halves faster, and the weight lies in memory as they want it
  if (usableMatrices('f16', capabilities).length > 0) return [];
  const hasFewRegisters = Number.isFinite(capabilities.laneRegisters);
  const tiles = halvesTiles.filter(({ lane }) => lane === 8 || hasFewRegisters);
  return likeliestFirst(
    tiles.map((tile) => ({
      kernel: kernelOf(tile, matmul, capabilities),
      speed: tile.speed,
      atOnce: unitWorkgroups * capabilities.units,
    })),
  );
};

function kernelOf({ rows, columns, lane, short = 8 }: Tile, matmul: Matmul, capabilities: Capabilities): Kernel {
  const { label, ...parts } = matmulParts(matmul, capabilities);
  const lanes = (rows / lane) * (columns / lane);
  const size = `${rows}x${columns} by ${lanes} short ${short}`;
  const loop = depthLoop(depth / short, capabilities);
  return {
    ...parts,
    name: 'matmul-halves',
    tile: size,
    variant: `${size} ${label}`,
    source,
    imports: { ...parts.imports, ...loop.imports },
    constants: {
      ...parts.constants,
      ROWS: rows,
      COLUMNS: columns,
      DEPTH: depth,
      SHORT: short,
      ...loop.constants,
      LANE_GROUPS: lane / 4,
      LANE_ROWS: lane,
      LANE_QUADS: lane / 4,
      SUMS: (lane * lane) / 4,
      WEIGHT_LOADS: (depth * columns) / 4 / lanes,
    },
    params: { ...parts.params, ...loop.params, k: paddedDepth(matmul.k) },
    workgroups: [Math.ceil(matmul.n / columns), Math.ceil(matmul.rows / rows), 1],
    shortSum: short,
  };
}
