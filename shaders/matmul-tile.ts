// matmul-tile: tiles in workgroup memory, the family for GPUs. Needs no feature.
import type { MatmulFamily } from './matmul-family.ts';
import { matmulParts } from './matmul-family.ts';
import source from './matmul-tile.wgsl';

/** Rows and columns of a workgroup, and rows of an invocation, which has eight columns; the fastest first, as STAM's layers are on an H200. */
const tiles = [
  { rows: 128, columns: 64, laneRows: 8 },
  { rows: 128, columns: 128, laneRows: 8 },
  { rows: 64, columns: 64, laneRows: 4 },
  { rows: 32, columns: 64, laneRows: 4 },
] as const;
type Tile = (typeof tiles)[number];

/** Workgroups that a large GPU holds twice over: with fewer, its last round leaves too much of it idle. */
const enoughWorkgroups = 256;

export const matmulTile: MatmulFamily = (matmul, capabilities) => {
  const { rows, n } = matmul;
  const { label, ...parts } = matmulParts(matmul, capabilities);
  const grid = (tile: Tile): [number, number, number] => [Math.ceil(n / tile.columns), Math.ceil(rows / tile.rows), 1];
  const fills = (tile: Tile) => grid(tile)[0] * grid(tile)[1] >= enoughWorkgroups;
  // the fastest tile that fills a GPU, then the others that do; those too large come last, the least of them first
  const ordered = [...tiles.filter(fills), ...tiles.filter((tile) => !fills(tile)).toReversed()];
  // a software adapter has no use for the family but where it lacks subgroups, and compiles large tiles for seconds
  const offered = capabilities.adapter.software ? tiles.slice(-1) : ordered;
  return offered.map((tile) => {
    const lanes = (tile.rows / tile.laneRows) * (tile.columns / 8);
    return {
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
      workgroups: grid(tile),
    };
  });
};
