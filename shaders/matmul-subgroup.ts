// matmul-subgroup: a subgroup's own registers and no workgroup memory. Needs subgroups of a known size.
import type { MatmulFamily } from './matmul-family.ts';
import { matmulParts } from './matmul-family.ts';
import source from './matmul-subgroup.wgsl';
import { paddedDepth } from './panels.ts';
import { packedStorageOf } from './storage.ts';
import { subgroupsOf } from './subgroups.ts';

/** Rows and quads of columns that a lane holds, best first where there are rows enough to fill it. */
const tiles = [
  { rows: 32, quads: 2 },
  { rows: 8, quads: 2 },
] as const;

export const matmulSubgroup: MatmulFamily = (matmul, capabilities) => {
  const { rows, n, k } = matmul;
  const subgroups = subgroupsOf(capabilities);
  if (!subgroups || paddedDepth(k) % (subgroups.lanes * 4) !== 0) return [];
  const { lanes } = subgroups;
  const { label, ...parts } = matmulParts(matmul, capabilities, packedStorageOf(matmul.storage));
  return (rows > 64 ? tiles : tiles.toReversed()).map((tile) => {
    const columns = lanes * tile.quads * 4;
    const size = `${tile.rows}x${columns}`;
    return {
      ...parts,
      name: 'matmul-subgroup',
      tile: size,
      variant: `${size} ${label}`,
      source,
      imports: { ...parts.imports, subgroup: subgroups.text },
      constants: { ...parts.constants, LANES: lanes, ROWS: tile.rows, QUADS: tile.quads },
      workgroups: [Math.ceil(n / columns), Math.ceil(rows / tile.rows), 1],
      features: [...parts.features, ...subgroups.features],
    };
  });
};
