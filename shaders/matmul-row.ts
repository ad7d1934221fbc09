// matmul-row: few rows, where reading the weight is the work. Needs no feature.
import type { MatmulFamily } from './matmul-family.ts';
import { matmulParts } from './matmul-family.ts';
import source from './matmul-row.wgsl';
import { panelColumns } from './panels.ts';

const mostRows = 8;

/** None for more than eight rows, for which other families have more arithmetic to a load. */
export const matmulRow: MatmulFamily = (matmul, capabilities) => {
  if (matmul.rows > mostRows) return [];
  const { label, ...parts } = matmulParts(matmul, capabilities);
  // one of few variants, so that batches of different sizes share their pipelines
  const rows = [1, 4, mostRows].find((count) => matmul.rows <= count) ?? mostRows;
  return [
    {
      ...parts,
      name: 'matmul-row',
      variant: `${rows}x${panelColumns} ${label}`,
      source,
      constants: { ...parts.constants, ROWS: rows },
      workgroups: [Math.ceil(matmul.n / panelColumns), 1, 1],
    },
  ];
};
