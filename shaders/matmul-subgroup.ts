// matmul-subgroup: a subgroup's own registers and no workgroup memory. Needs subgroups of a known size.
import type { Capabilities } from '../engine/device.ts';
import type { MatmulFamily } from './matmul-family.ts';
import { matmulParts } from './matmul-family.ts';
import source from './matmul-subgroup.wgsl';
import { paddedDepth } from './panels.ts';
import { packedStorageOf } from './storage.ts';
import { isLlvmpipe, rowLoops, subgroupsOf } from './subgroups.ts';

/** Quads of columns that a lane holds of each row. */
const quads = 2;

/** Rows that a lane holds, best first: many rows to a load, but not more than there are. */
function tileRows(rows: number, capabilities: Capabilities): readonly number[] {
  if (rows > 64 && isLlvmpipe(capabilities)) return rows > 512 ? [64, 32] : [32, 8, 64];
  if (rows > 64) return [32, 8];
  return rows > 8 ? [8, 32] : [8];
}

export const matmulSubgroup: MatmulFamily = (matmul, capabilities) => {
  const { rows, n, k } = matmul;
  const subgroups = subgroupsOf(capabilities);
  if (!subgroups || paddedDepth(k) % (subgroups.lanes * 4) !== 0) return [];
  const { lanes } = subgroups;
  const { label, ...parts } = matmulParts(matmul, capabilities, packedStorageOf(matmul.storage));
  const columns = lanes * quads * 4;
  return tileRows(rows, capabilities).map((count) => {
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
