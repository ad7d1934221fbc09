// matmul-outer: outer products from tiles in workgroup memory, the family for GPUs whose lanes have few registers. Needs no feature.
import type { Capabilities } from '../engine/device.ts';
import type { Kernel } from '../engine/kernel.ts';
import { depthLoop } from './depth-loop.ts';
import type { Matmul, MatmulFamily } from './matmul-family.ts';
import { likeliestFirst, matmulParts } from './matmul-family.ts';
import source from './matmul-outer.wgsl';
import { paddedDepth } from './panels.ts';

/** Rows and columns of a workgroup, and rows of an invocation, which has four columns. */
interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly laneRows: 4 | 8;
  /** Of the fastest one's: an operand of half as many rows or columns serves half as many multiply-adds. */
  readonly speed: number;
}

/** 128x64 by 256 invocations of 8x4 is what localfold found to be the fastest f32 tile on an A100. */
const tiles: readonly Tile[] = [
  { rows: 128, columns: 64, laneRows: 8, speed: 1 },
  { rows: 64, columns: 64, laneRows: 8, speed: 0.95 },
  { rows: 32, columns: 64, laneRows: 8, speed: 0.85 },
  { rows: 64, columns: 64, laneRows: 4, speed: 0.7 },
  { rows: 32, columns: 32, laneRows: 4, speed: 0.6 },
];

/** Neighbours in k of the tiles in workgroup memory. */
const depth = 16;
/** Workgroups that a unit runs at the same time: while one waits for memory the others multiply. */
const unitWorkgroups = 4;

export const matmulOuter: MatmulFamily = (matmul, capabilities) => {
  // rows whose end lies within a tile, or whose elements are gathered, take registers of their own: eight rows of sums leave too few
  const isEven = paddedDepth(matmul.k) === matmul.k;
  return likeliestFirst(
    tiles.map((tile) => ({
      kernel: kernelOf(tile, matmul, capabilities),
      speed: isEven || tile.laneRows === 4 ? tile.speed : tile.speed / 4,
      atOnce: unitWorkgroups * capabilities.units,
    })),
  );
};

function kernelOf({ rows, columns, laneRows }: Tile, matmul: Matmul, capabilities: Capabilities): Kernel {
  const { label, ...parts } = matmulParts(matmul, capabilities);
  const lanes = (rows / laneRows) * (columns / 4);
  const size = `${rows}x${columns} by ${lanes}`;
  const loop = depthLoop(depth, capabilities);
  return {
    ...parts,
    name: 'matmul-outer',
    tile: size,
    variant: `${size} ${label}`,
    source,
    imports: { ...parts.imports, ...loop.imports },
    constants: {
      ...parts.constants,
      ROWS: rows,
      COLUMNS: columns,
      DEPTH: depth,
      ...loop.constants,
      LANE_ROWS: laneRows,
      LANE_PAIRS: laneRows / 2,
      WEIGHT_LOADS: (depth * laneRows) / rows,
    },
    params: { ...parts.params, ...loop.params, k: paddedDepth(matmul.k) },
    workgroups: [Math.ceil(matmul.n / columns), Math.ceil(matmul.rows / rows), 1],
  };
}
