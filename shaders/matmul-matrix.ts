// matmul-matrix: subgroup matrices, which is what GPUs have tensor cores for. Needs them for the storage type of the operands.
import type { Capabilities } from '../engine/device.ts';
import type { Kernel, Split } from '../engine/kernel.ts';
import { linearGrid } from '../engine/kernel.ts';
import { quads } from '../engine/shape.ts';
import type { Matmul, MatmulFamily } from './matmul-family.ts';
import { likeliestFirst, matmulParts } from './matmul-family.ts';
import source from './matmul-matrix.wgsl';
import splitSource from './matmul-split.wgsl';
import type { MatrixUse } from './matrices.ts';
import { matricesOf } from './matrices.ts';
import { paddedDepth } from './panels.ts';
import finishChunks from './shared/finish-chunks.wgsl';
import finishPairs from './shared/finish-pairs.wgsl';
import leftChunks from './shared/left-chunks.wgsl';
import leftRows from './shared/left-rows.wgsl';
import partialOutput from './shared/partial-output.wgsl';
import residualAdd from './shared/residual-add.wgsl';
import residualPairAdd from './shared/residual-pair-add.wgsl';
import residualPairNone from './shared/residual-pair-none.wgsl';
import rightDirect from './shared/right-direct.wgsl';
import rightStaged from './shared/right-staged.wgsl';
import rowsPlain from './shared/rows-plain.wgsl';
import sumsFinished from './shared/sums-finished.wgsl';
import sumsPartial from './shared/sums-partial.wgsl';

/** How a workgroup is cut up. */
export interface MatrixTile {
  readonly rows: number;
  readonly columns: number;
  readonly subgroups: readonly [down: number, across: number];
  /** 16-byte chunks of k that are staged at a time: 4 are 32 of k in f16, 16 in f32. */
  readonly depthChunks?: 4 | 8;
  readonly buffers?: 1 | 2;
  /** The prefetch distance: how many times that much is on its way from memory into registers. */
  readonly prefetch?: 1 | 2;
  /** Whether the weights are staged, too, or come straight from memory. */
  readonly weights?: 'staged' | 'direct';
  /** Parts of K that are computed at the same time. */
  readonly splits?: 1 | 2;
  /** Of the speed that the fastest tile reaches where there is enough to do. */
  readonly speed: number;
}

/**
 * From the fastest where there is enough to do to those of the most workgroups; variants that only a GPU can judge behind them. Speeds are
 * those of STAM's layers on an H200.
 */
export const matrixTiles: readonly MatrixTile[] = [
  { rows: 128, columns: 128, subgroups: [2, 2], speed: 1 },
  { rows: 128, columns: 256, subgroups: [2, 4], speed: 0.98 },
  { rows: 256, columns: 128, subgroups: [4, 2], speed: 0.94 },
  { rows: 96, columns: 96, subgroups: [2, 2], speed: 0.82 },
  { rows: 128, columns: 128, subgroups: [2, 4], speed: 0.8 },
  { rows: 128, columns: 64, subgroups: [2, 2], speed: 0.72 },
  { rows: 128, columns: 128, subgroups: [2, 2], splits: 2, speed: 0.65 },
  { rows: 64, columns: 64, subgroups: [2, 2], speed: 0.6 },
  { rows: 64, columns: 64, subgroups: [2, 2], splits: 2, speed: 0.4 },
  { rows: 32, columns: 64, subgroups: [1, 4], speed: 0.35 },
  { rows: 32, columns: 64, subgroups: [1, 4], depthChunks: 8, splits: 2, speed: 0.42 },
  { rows: 32, columns: 64, subgroups: [1, 4], splits: 2, speed: 0.3 },
  { rows: 16, columns: 64, subgroups: [1, 4], speed: 0.25 },
  { rows: 128, columns: 256, subgroups: [2, 4], prefetch: 2, speed: 0.1 },
  { rows: 256, columns: 128, subgroups: [4, 2], prefetch: 2, speed: 0.1 },
  { rows: 64, columns: 128, subgroups: [1, 2], speed: 0.1 },
  { rows: 128, columns: 128, subgroups: [2, 4], depthChunks: 8, speed: 0.1 },
  { rows: 64, columns: 64, subgroups: [2, 2], depthChunks: 8, speed: 0.1 },
  { rows: 128, columns: 128, subgroups: [2, 2], buffers: 2, speed: 0.1 },
  { rows: 128, columns: 128, subgroups: [2, 4], buffers: 2, speed: 0.1 },
  { rows: 128, columns: 64, subgroups: [2, 2], buffers: 2, speed: 0.1 },
  { rows: 64, columns: 64, subgroups: [2, 2], buffers: 2, speed: 0.1 },
  { rows: 16, columns: 64, subgroups: [1, 4], buffers: 2, speed: 0.1 },
  { rows: 128, columns: 128, subgroups: [2, 2], buffers: 2, weights: 'direct', speed: 0.1 },
  { rows: 64, columns: 64, subgroups: [2, 2], buffers: 2, weights: 'direct', speed: 0.1 },
];

/** K that is worth splitting. */
const leastSplitDepth = 512;

export const matmulMatrix: MatmulFamily = (matmul, capabilities) =>
  matricesOf(matmul.storage, capabilities).flatMap((use, index) =>
    likeliestFirst(
      matrixTiles
        // of a shape that is not the likeliest only the tiles with which it could be the best
        .filter(({ speed }) => index === 0 || speed > 0.95)
        .flatMap((tile) => {
          const kernel = kernelOf(tile, use, matmul, capabilities);
          return kernel ? [{ kernel, speed: tile.speed, atOnce: capabilities.units }] : [];
        }),
    ),
  );

/** Undefined where the shape of the matrices or the device's workgroup memory or invocations do not allow it. */
function kernelOf(tile: MatrixTile, use: MatrixUse, matmul: Matmul, capabilities: Capabilities): Kernel | undefined {
  const { limits, units } = capabilities;
  const parts = partition(tile, use, matmul.k);
  if (!parts || parts.memory > limits.workgroupStorageBytes || parts.invocations > limits.workgroupInvocations) {
    return undefined;
  }
  const { rows, columns, subgroups, depthChunks = 4, buffers = 1, prefetch = 1, weights = 'staged', splits = 1 } = tile;
  const [across, down] = [Math.ceil(matmul.n / columns), Math.ceil(matmul.rows / rows)];
  // where there is enough to do, or little to split, adding up costs more than idle units
  const isWorthSplitting =
    across * down < 2 * units && matmul.k >= leastSplitDepth && matmul.imports['rows'] === rowsPlain;
  if (splits > 1 && !isWorthSplitting) return undefined;
  const { label, ...common } = matmulParts(matmul, capabilities);
  const { weight: _, rows: rowsText, finish, result, residual, ...imports } = common.imports;
  const name = [
    `${rows}x${columns} by ${subgroups[0] * subgroups[1]}`,
    depthChunks === 8 ? 'deep' : '',
    buffers === 2 ? 'two buffers' : '',
    prefetch === 2 ? 'prefetch 2' : '',
    weights === 'direct' ? 'direct' : '',
    splits === 2 ? 'split' : '',
    use.label,
  ]
    .filter(Boolean)
    .join(' ');
  const split =
    splits === 1
      ? undefined
      : reduction({ ...common, label }, { splits, rows: down * rows, columns: across * columns }, matmul);
  return {
    ...common,
    name: 'matmul-matrix',
    tile: name,
    variant: `${name} ${label}`,
    source,
    imports: {
      ...(split ? { storage: imports['storage'] } : imports),
      ...use.imports,
      ...leftOf(matmul, rowsText, use.chunk),
      right: weights === 'staged' ? rightStaged : rightDirect,
      ...(split
        ? { sums: sumsPartial, finish: partialOutput }
        : { sums: sumsFinished, ...finishOf(matmul, use.chunk, { finish, result, residual }) }),
    },
    constants: {
      ...common.constants,
      ...use.constants,
      SUBGROUPS_DOWN: subgroups[0],
      SUBGROUPS_ACROSS: subgroups[1],
      DEPTH_CHUNKS: depthChunks,
      BUFFERS: buffers,
      PREFETCH: prefetch,
      WEIGHTS_STAGED: weights === 'staged' ? 1 : 0,
      ...parts.constants,
      ROW_CHUNKS: Math.ceil(matmul.k / use.constants.CHUNK),
      ...(split && { PARTIAL_QUADS: (across * columns) / 4 }),
    },
    params: { ...common.params, depth: paddedDepth(matmul.k) / splits },
    workgroups: [across, down, splits],
    features: [...common.features, ...use.features],
    ...(split && { split }),
  };
}

/** What adds up the parts of K, of a result padded to this size. */
function reduction(
  { label, ...common }: ReturnType<typeof matmulParts>,
  { splits, rows, columns }: Readonly<Record<'splits' | 'rows' | 'columns', number>>,
  matmul: Matmul,
): Split {
  const { weight: _, rows: __, ...imports } = common.imports;
  return {
    scratch: 'partial',
    bytes: splits * rows * columns * 4,
    reduction: {
      ...common,
      name: 'matmul-split',
      variant: `${columns} wide ${label}`,
      source: splitSource,
      imports,
      constants: { ...common.constants, SPLITS: splits, PARTIAL_QUADS: columns / 4 },
      params: { rows: matmul.rows, padded_rows: rows },
      workgroups: linearGrid(Math.ceil((matmul.rows * quads(matmul.n)) / 64)),
    },
  };
}

/** A tile in matrices of a shape: workgroup memory in bytes, and what the text has as constants. */
function partition(
  {
    rows,
    columns,
    subgroups: [down, across],
    depthChunks = 4,
    buffers = 1,
    prefetch = 1,
    weights = 'staged',
    splits = 1,
  }: MatrixTile,
  { shape: { m, n, k }, lanes, constants: { CHUNK: chunk } }: MatrixUse,
  depth: number,
): { readonly invocations: number; readonly memory: number; readonly constants: Record<string, number> } | undefined {
  const invocations = down * across * lanes;
  const [pieceRows, pieceColumns] = [rows / down, columns / across];
  const staged = weights === 'staged';
  const isWhole = pieceRows % m === 0 && pieceColumns % n === 0 && (depthChunks * chunk) % k === 0;
  const isCarried = invocations % depthChunks === 0 && paddedDepth(depth) % (splits * depthChunks * chunk) === 0;
  // a matrix of weights lies in memory within one block of 16 x 16
  if (!isWhole || !isCarried || (!staged && (n > 16 || k > 16))) return undefined;
  const pitch = depthChunks + 1;
  const stepRows = invocations / depthChunks;
  // each step of carrying is whole, but of a low tile
  if ((rows % stepRows !== 0 && rows > stepRows) || (staged && columns % stepRows !== 0)) return undefined;
  // the largest regions of which each subgroup has one to itself when the sums leave
  const strips = [64, 32, 16].flatMap((regionRows) => {
    const divides = pieceRows % regionRows === 0 && (!staged || pieceColumns % regionRows === 0);
    // so that what an invocation carries in a step lies as far into one region as in the first step
    const isEven = stepRows % regionRows === 0 || regionRows % stepRows === 0;
    const regions = (rows + (staged ? columns : 0)) / regionRows;
    if (!divides || !isEven || regionRows % m !== 0 || (staged && regionRows % n !== 0) || regions < down * across)
      return [];
    const strip = [4, 2, 1].find(
      (count) =>
        (pieceColumns / n) % count === 0 && m * ((count * n) / 4 + 1) <= regionRows * pitch && (count * n) / 8 <= lanes,
    );
    return strip === undefined ? [] : [{ regionRows, regions, strip }];
  });
  const best = strips[0];
  if (!best) return undefined;
  const leftSteps = Math.ceil(rows / stepRows);
  const rightSteps = staged ? Math.ceil(columns / stepRows) : 0;
  const stripRows = lanes / ((best.strip * n) / 8);
  return {
    invocations,
    memory: buffers * best.regions * best.regionRows * pitch * 16,
    constants: {
      DOWN: pieceRows / m,
      ACROSS: pieceColumns / n,
      STEPS: (depthChunks * chunk) / k,
      // invocations side by side on every other row; where there are few, they take one row after another
      CARRIERS: invocations % (8 * depthChunks) === 0 ? 4 : 1,
      LEFT_STEPS: leftSteps,
      RIGHT_STEPS: rightSteps,
      LEFT_AHEAD: (prefetch - 1) * leftSteps,
      RIGHT_AHEAD: (prefetch - 1) * rightSteps,
      REGION_ROWS: best.regionRows,
      STRIP: best.strip,
      STRIPS: pieceColumns / n / best.strip,
      STRIP_STEPS: Math.ceil(m / stripRows),
    },
  };
}

/** Where the left operand comes from: whole chunks of memory where rows are made of them. */
function leftOf({ storage, k }: Matmul, rows: string, chunk: string): Readonly<Record<string, string>> {
  if (storage === 'f16' && rows === rowsPlain && k % 8 === 0) return { left: leftChunks };
  return { left: leftRows, rows, chunk };
}

/** Where the result goes: whole chunks of memory where its rows are made of them. */
function finishOf(
  { result, n }: Matmul,
  chunk: string,
  texts: Readonly<Record<'finish' | 'result' | 'residual', string>>,
): Readonly<Record<string, string>> {
  if (result === 'f16' && n % 8 === 0) {
    return {
      finish: finishChunks,
      chunk,
      residual: texts.residual === residualAdd ? residualPairAdd : residualPairNone,
    };
  }
  return { ...texts, finish: finishPairs, 'finish-quads': texts.finish };
}
