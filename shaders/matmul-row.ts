// matmul-row: few rows, where reading the weight is the work. Needs no feature.
import type { Capabilities } from '../engine/device.ts';
import type { Matmul, MatmulFamily } from './matmul-family.ts';
import { matmulParts } from './matmul-family.ts';
import source from './matmul-row.wgsl';
import { panelColumns } from './panels.ts';
import { usableMatrices } from './usable-matrices.ts';

/** Rows that are few on any device. */
const fewRows = 8;
/** More rows have enough tiles to fill a GPU. */
const mostRows = 128;
/** The tile of other families of which a GPU would need one for each of its units. */
const tile = { rows: 32, columns: 64 } as const;

/**
 * Up to eight rows; where a GPU multiplies no matrices, up to as many as would leave some of its units without a tile, for each workgroup
 * cuts K into sixteen parts. None for more, for which other families have more arithmetic to a load.
 */
export const matmulRow: MatmulFamily = (matmul, capabilities) => {
  const { rows, n } = matmul;
  if (rows > fewRows && !leavesIdle(matmul, capabilities)) return [];
  const { label, ...parts } = matmulParts(matmul, capabilities);
  const blocks = blocksOf(rows, capabilities);
  return blocks.map((block) => ({
    ...parts,
    name: 'matmul-row',
    ...(blocks.length > 1 && { tile: `by ${block}` }),
    variant: `${block}x${panelColumns} ${label}`,
    source,
    constants: { ...parts.constants, ROWS: block },
    workgroups: [Math.ceil(n / panelColumns), Math.ceil(rows / block), 1],
  }));
};

/** Rows of a workgroup, few variants, so that batches of different sizes share their pipelines; eight fill more than 64 registers. */
function blocksOf(rows: number, { laneRegisters }: Capabilities): readonly number[] {
  if (rows === 1) return [1];
  if (rows <= 4 || Number.isFinite(laneRegisters)) return [4];
  return rows <= fewRows ? [8] : [8, 4];
}

function leavesIdle({ rows, n, storage }: Matmul, capabilities: Capabilities): boolean {
  if (capabilities.adapter.software || usableMatrices(storage, capabilities).length > 0) return false;
  return rows <= mostRows && Math.ceil(rows / tile.rows) * Math.ceil(n / tile.columns) < capabilities.units;
}
