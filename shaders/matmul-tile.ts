// matmul-tile: tiles in workgroup memory, the family for GPUs. Needs no feature.
import type { Kernel } from '../engine/kernel.ts';
import type { MatmulFamily } from './matmul-family.ts';
import { likeliestFirst, matmulParts } from './matmul-family.ts';
import source from './matmul-tile.wgsl';

/**
 * Rows and columns of a workgroup, and rows of an invocation, which has eight columns; speeds are those of STAM's layers on an H200, as
 * far as they are known.
 */
const tiles = [
  { rows: 128, columns: 64, laneRows: 8, speed: 1 },
  { rows: 128, columns: 128, laneRows: 8, speed: 0.95 },
  { rows: 64, columns: 64, laneRows: 4, speed: 0.89 },
  { rows: 32, columns: 64, laneRows: 4, speed: 0.7 },
] as const;

/** Workgroups that a unit runs at the same time: a single one waits for memory too often. */
const unitWorkgroups = 2;

export const matmulTile: MatmulFamily = (matmul, capabilities) => {
  const { rows, n } = matmul;
  const { label, ...parts } = matmulParts(matmul, capabilities);
  // a software adapter has no use for the family but where it lacks subgroups, and compiles large tiles for seconds
  const offered = capabilities.adapter.software ? tiles.slice(-1) : tiles;
  const ranked = offered.map(({ speed, ...tile }) => {
    const lanes = (tile.rows / tile.laneRows) * (tile.columns / 8);
    const kernel: Kernel = {
      ...parts,
      name: 'matmul-tile',
      tile: `${tile.rows}x${tile.columns}`,
      variant: `${tile.rows}x${tile.columns} ${label}`,
      source,
      constants: {
        ...parts.constants,
        ROWS: tile.rows,
        COLUMNS: tile.columns,
        LANE_ROWS: tile.laneRows,
        // a tile is 8 k deep: two quads of every row, two of every column
        INPUT_LOADS: (tile.rows * 2) / lanes,
        WEIGHT_LOADS: (tile.columns * 2) / lanes,
      },
      workgroups: [Math.ceil(n / tile.columns), Math.ceil(rows / tile.rows), 1],
    };
    return { kernel, speed, atOnce: unitWorkgroups * capabilities.units };
  });
  return likeliestFirst(ranked);
};
