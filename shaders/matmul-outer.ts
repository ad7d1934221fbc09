// matmul-outer: outer products from tiles in workgroup memory, the family for GPUs whose lanes have few registers, in f32 and in f16.
import type { Capabilities } from '../engine/device.ts';
import type { Kernel } from '../engine/kernel.ts';
import type { Matmul, MatmulFamily } from './matmul-family.ts';
import { matmulParts } from './matmul-family.ts';
import source from './matmul-outer.wgsl';
import { paddedDepth } from './panels.ts';
import depthCount from './shared/depth-count.wgsl';
import nothing from './shared/nothing.wgsl';
import productsF16 from './shared/products-f16.wgsl';
import productsF32 from './shared/products-f32.wgsl';

/** Rows and columns of a workgroup, and rows of an invocation, which has four columns. */
interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly laneRows: number;
}

const tiles: Readonly<Record<'tall' | 'square', readonly Tile[]>> = {
  // what localfold measured to be the fastest f32 tile on an A100 comes first
  tall: [
    { rows: 128, columns: 64, laneRows: 8 },
    { rows: 64, columns: 64, laneRows: 8 },
    { rows: 32, columns: 64, laneRows: 8 },
  ],
  square: [
    { rows: 64, columns: 64, laneRows: 4 },
    { rows: 32, columns: 32, laneRows: 4 },
  ],
};

/** Neighbours in k of the tiles in workgroup memory. */
const depth = 16;
/** Neighbours in k that are added in f16. */
const short = 4;

export const matmulOuter: MatmulFamily = (matmul, capabilities) => {
  return [...tiles.tall, ...tiles.square].map((tile) => kernelOf(matmul, capabilities, tile));
};

/** The same with products in f16, for operands in f16 on devices that compute with it. */
export const matmulHalves: MatmulFamily = (matmul, capabilities) => {
  if (matmul.storage !== 'f16' || !capabilities.features.has('shader-f16')) return [];
  return [...tiles.tall, ...tiles.square].map((tile) => kernelOf(matmul, capabilities, tile, 'f16'));
};

function kernelOf(
  matmul: Matmul,
  capabilities: Capabilities,
  { rows, columns, laneRows }: Tile,
  arithmetic: 'f16' | 'f32' = 'f32',
): Kernel {
  const { label, ...parts } = matmulParts(matmul, capabilities);
  const lanes = (rows / laneRows) * (columns / 4);
  const size = `${rows}x${columns} by ${lanes}`;
  const isHalf = arithmetic === 'f16';
  const depthTurns = isHalf ? depth / short : depth;
  const looped = capabilities.adapter.vendor === 'intel';
  return {
    ...parts,
    name: isHalf ? 'matmul-halves' : 'matmul-outer',
    tile: size,
    variant: `${size} ${label}`,
    source,
    imports: {
      ...parts.imports,
      products: isHalf ? productsF16 : productsF32,
      'depth-count': looped ? depthCount : nothing,
    },
    constants: {
      ...parts.constants,
      ROWS: rows,
      COLUMNS: columns,
      DEPTH: depth,
      ...(isHalf && { SHORT: short }),
      ...(looped ? {} : { DEPTH_COUNT: depthTurns }),
      LANE_ROWS: laneRows,
      LANE_PAIRS: laneRows / 2,
      WEIGHT_LOADS: (depth * laneRows) / rows,
    },
    params: { ...parts.params, k: paddedDepth(matmul.k), depth: depthTurns },
    workgroups: [Math.ceil(matmul.n / columns), Math.ceil(matmul.rows / rows), 1],
  };
}
