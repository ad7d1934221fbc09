// matmul-subgroup: a subgroup's own registers and no workgroup memory. Needs subgroups of a known size.
import type { Capabilities } from '../engine/device.ts';
import type { MatmulFamily } from './matmul-family.ts';
import { matmulParts } from './matmul-family.ts';
import source from './matmul-subgroup.wgsl';
import { paddedDepth } from './panels.ts';
import depthShuffled from './shared/depth-shuffled.wgsl';
import depthSwapped from './shared/depth-swapped.wgsl';
import { packedStorageOf } from './storage.ts';
import type { Subgroups } from './subgroups.ts';
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

/** Rows of the tile that compiles the fastest, for small problems. */
const fewRows = 8;

/** Whether llvmpipe comes with Mesa 26 or a newer one, whose compiler makes as much of lower tiles, in a third of the time. */
function hasNewerMesa({ adapter }: Capabilities): boolean {
  return Number(/Mesa (\d+)/.exec(adapter.description)?.[1]) >= 26;
}

/** Whether a subgroup is one quad of SwiftShader's, which swaps within a quad in one instruction and shuffles in dozens. */
function swapsQuads({ lanes }: Subgroups, capabilities: Capabilities): boolean {
  return lanes === 4 && capabilities.adapter.software && !isLlvmpipe(capabilities);
}

/** Best first: many rows to a load, but not more than there are. For few rows come last, for the self-check, the tiles of many. */
function tilesOf(rows: number, columns: number, capabilities: Capabilities, canSwap: boolean): readonly Tile[] {
  const tiles = (quads: number, ...counts: number[]): Tile[] => counts.map((count) => ({ rows: count, quads }));
  if (rows <= 64) return rows > fewRows ? tiles(2, fewRows, 32) : tiles(2, fewRows);
  const isNarrow = columns < narrowColumns;
  const isHigh = rows > 512;
  if (isLlvmpipe(capabilities)) {
    if (!isHigh) return [...tiles(2, 32, fewRows), ...(isNarrow ? tiles(1, 32, 64) : tiles(2, 64))];
    if (!isNarrow) return hasNewerMesa(capabilities) ? tiles(2, 32, 64) : tiles(2, 64, 32);
    return rows > manyRows ? tiles(1, 64, 32) : tiles(1, 32, 64);
  }
  if (!canSwap || isNarrow) return tiles(2, 32, fewRows);
  return isHigh ? [...tiles(3, 48), ...tiles(2, 32)] : [...tiles(2, 32, fewRows), ...tiles(3, 48)];
}

export const matmulSubgroup: MatmulFamily = (matmul, capabilities) => {
  const { rows, n, k } = matmul;
  const subgroups = subgroupsOf(capabilities);
  if (!subgroups || paddedDepth(k) % (subgroups.lanes * 4) !== 0) return [];
  const { lanes } = subgroups;
  const canSwap = swapsQuads(subgroups, capabilities);
  const { label, ...parts } = matmulParts(matmul, capabilities, packedStorageOf(matmul.storage));
  return tilesOf(rows, n, capabilities, canSwap).map(({ rows: count, quads }) => {
    const columns = lanes * quads * 4;
    const size = `${count}x${columns}`;
    const loops = rowLoops(count, capabilities);
    return {
      ...parts,
      name: 'matmul-subgroup',
      tile: size,
      variant: `${size} ${label}`,
      source,
      imports: {
        ...parts.imports,
        subgroup: subgroups.text,
        'row-count': loops.text,
        'depth-loop': canSwap ? depthSwapped : depthShuffled,
      },
      constants: {
        ...parts.constants,
        ...loops.constants,
        ...(canSwap && { ROW_GROUPS: count / 4 }),
        LANES: lanes,
        QUADS: quads,
      },
      workgroups: [Math.ceil(n / columns), Math.ceil(rows / count), 1],
      features: [...parts.features, ...subgroups.features],
    };
  });
};
