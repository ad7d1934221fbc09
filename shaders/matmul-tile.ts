// matmul-tile: tiles in workgroup memory, the family for GPUs. Needs no feature.
import type { MatmulFamily } from './matmul-family.ts';
import { matmulParts } from './matmul-family.ts';
import source from './matmul-tile.wgsl';

export const matmulTile: MatmulFamily = (matmul, capabilities) => {
  const { label, ...parts } = matmulParts(matmul, capabilities);
  return [
    {
      ...parts,
      name: 'matmul-tile',
      tile: '64x64',
      variant: `64x64 ${label}`,
      source,
      workgroups: [Math.ceil(matmul.n / 64), Math.ceil(matmul.rows / 64), 1],
    },
  ];
};
