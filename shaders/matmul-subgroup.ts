// matmul-subgroup: a subgroup's own registers and no workgroup memory. Needs subgroups of a known size.
import type { Capabilities } from '../engine/device.ts';
import type { MatmulFamily } from './matmul-family.ts';
import { matmulParts } from './matmul-family.ts';
import source from './matmul-subgroup.wgsl';
import { paddedDepth } from './panels.ts';
import { packedStorageOf } from './storage.ts';
import { isLlvmpipe, rowLoops, subgroupsOf } from './subgroups.ts';

/** Rows that a lane holds, and quads of columns of each. */
interface Tile {
  readonly rows: number;
  readonly quads: number;
}

/** Columns of a result below which half of a wide tile is often padding. */
const narrowColumns = 640;
/** Rows past which the higher of two narrow tiles, with half as many workgroups, is worth three times as long to compile. */
const manyRows = 8192;

/** Best first: many rows to a load, but not more than there are. */
function tilesOf(rows: number, columns: number, capabilities: Capabilities): readonly Tile[] {
  const tiles = (quads: number, ...counts: number[]): Tile[] => counts.map((count) => ({ rows: count, quads }));
  const isNarrow = columns < narrowColumns;
  if (rows > 512 && isLlvmpipe(capabilities)) {
    if (!isNarrow) return tiles(2, 64, 32);
    return rows > manyRows ? tiles(1, 64, 32) : tiles(1, 32, 64);
  }
  if (rows > 64) {
    // those of many rows come last, for the self-check, whose problems have few
    const higher = isNarrow ? tiles(1, 32, 64) : tiles(2, 64);
    return [...tiles(2, 32, 8), ...(isLlvmpipe(capabilities) ? higher : [])];
  }
  return rows > 8 ? tiles(2, 8, 32) : tiles(2, 8);
}

export const matmulSubgroup: MatmulFamily = (matmul, capabilities) => {
  const { rows, n, k } = matmul;
  const subgroups = subgroupsOf(capabilities);
  if (!subgroups || paddedDepth(k) % (subgroups.lanes * 4) !== 0) return [];
  const { lanes } = subgroups;
  const { label, ...parts } = matmulParts(matmul, capabilities, packedStorageOf(matmul.storage));
  return tilesOf(rows, n, capabilities).map(({ rows: count, quads }) => {
    const columns = lanes * quads * 4;
    const size = `${count}x${columns}`;
    const loops = rowLoops(count, capabilities);
    return {
      ...parts,
      name: 'matmul-subgroup',
      tile: size,
      variant: `${size} ${label}`,
      source,
      imports: { ...parts.imports, subgroup: subgroups.text, 'row-count': loops.text },
      constants: { ...parts.constants, ...loops.constants, LANES: lanes, QUADS: quads },
      workgroups: [Math.ceil(n / columns), Math.ceil(rows / count), 1],
      features: [...parts.features, ...subgroups.features],
    };
  });
};
