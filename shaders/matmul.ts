// linear and patchEmbed: the two operators that are matrix multiplications, in every kernel family that can run them.
import type { Capabilities } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { StamError } from '../engine/errors.ts';
import type { Graph, Value } from '../engine/graph.ts';
import type { Kernel } from '../engine/kernel.ts';
import { quads, rowCount, rowLength } from '../engine/shape.ts';
import type { Activation } from './activations.ts';
import { activationImports } from './activations.ts';
import type { RowOf } from './definitions.ts';
import { gatedRow, linearRow, patchEmbedRow, pixelRow, plainRow } from './definitions.ts';
import { expectTensor } from './expect.ts';
import { fewRows, mostRows } from './few-rows.ts';
import type { FrameRange } from './frame-range.ts';
import { matmulHalves, matmulOuter } from './gpu-families.ts';
import type { Matmul, MatmulFamily } from './matmul-family.ts';
import { matmulRow } from './matmul-row.ts';
import { matmulTile } from './matmul-tile.ts';
import { matmulMatrix } from './matrix-families.ts';
import { panelLayout } from './panels.ts';
import biasAdd from './shared/bias-add.wgsl';
import biasNone from './shared/bias-none.wgsl';
import epilogueLinear from './shared/epilogue-linear.wgsl';
import epilogueSum from './shared/epilogue-sum.wgsl';
import epilogueTokens from './shared/epilogue-tokens.wgsl';
import residualAdd from './shared/residual-add.wgsl';
import residualNone from './shared/residual-none.wgsl';
import rowsGated from './shared/rows-gated.wgsl';
import rowsPatches from './shared/rows-patches.wgsl';
import rowsPatchesOdd from './shared/rows-patches-odd.wgsl';
import rowsPixels from './shared/rows-pixels.wgsl';
import rowsPlain from './shared/rows-plain.wgsl';
import swish from './shared/swish.wgsl';
import { matmulSubgroup } from './subgroup-families.ts';

/** Every kernel that can run a matmul on such a device, best guess first. */
function kernels(capabilities: Capabilities, matmul: Matmul): Kernel[] {
  const of = (...families: readonly MatmulFamily[]) => families.map((family) => family(matmul, capabilities));
  if (capabilities.adapter.software) return of(matmulSubgroup, matmulRow, matmulTile).flat();
  // which of the families of tiles is the fastest differs from GPU to GPU, so that the tuner is to meet the best of each before their others
  const tiles = inTurn(of(matmulTile, matmulOuter, matmulHalves));
  return [...of(matmulRow, matmulMatrix).flat(), ...tiles, ...of(matmulSubgroup).flat()];
}

/** The first of each list, then the second of each, and so on. */
function inTurn<T>(lists: readonly (readonly T[])[]): T[] {
  const length = Math.max(...lists.map((list) => list.length));
  return Array.from({ length }, (_, place) => lists.flatMap((list) => list.slice(place, place + 1))).flat();
}

/** What linear() takes beside its input. */
export interface LinearOptions {
  /** The node's module path. */
  readonly name: string;
  /** [N, K] in panelLayout, stored as the input is. */
  readonly weight: Value;
  /** [N] in f32. */
  readonly bias?: Value | undefined;
  readonly activation?: Activation;
  /**
   * [..., N], stored as the result is, added after the activation; its memory becomes the result's, so that nothing may read it
   * afterwards.
   */
  readonly residual?: Value | undefined;
  /** The residual is added before the activation. */
  readonly activateSum?: boolean;
  /** [V, K] in f32, for an input [V, ..., K]: what is multiplied is Swish(input * gate), as after squeeze and excitation. */
  readonly gate?: Value | undefined;
  /**
   * Only some pixels of an input [V, T, H, W, K], as a pointwise convolution has it: every `stride`-th line and column, and of one
   * video only these frames.
   */
  readonly pixels?: { readonly stride?: number; readonly frames?: FrameRange } | undefined;
  /** Storage type of the result; by default that of the input. f16 only where that is. */
  readonly result?: StorageType;
}

/**
 * activation(input weight^T + bias) + residual: [..., K] -> [..., N]. Throws shape-mismatch for a tensor of another shape, storage type
 * or layout.
 */
export function linear(graph: Graph, input: Value, options: LinearOptions): Value {
  const {
    name,
    weight,
    bias,
    activation = 'none',
    residual,
    activateSum = false,
    gate,
    result = input.storage,
  } = options;
  const [n, k] = weight.shape;
  // kernels write their sums in f32 or as the input is stored
  const storage = result === 'f16' ? result : undefined;
  expectTensor(name, input, [...input.shape.slice(0, -1), k], storage);
  expectTensor(name, weight, [n, k], input.storage, panelLayout);
  const source = rowSource(name, input, options);
  const shape = [...source.shape, n];
  if (bias) expectTensor(name, bias, [n], 'f32');
  if (residual) expectTensor(name, residual, shape, result);
  const output = graph.activation(name, shape, result);
  const rows = rowCount(shape);
  const finish = [
    source.label,
    bias ? 'bias' : '',
    ...(activateSum ? ['residual', activation] : [activation === 'none' ? '' : activation, residual ? 'residual' : '']),
  ].filter(Boolean);
  graph.add({
    name,
    operator: 'linear',
    inputs: { input, weight, ...(bias && { bias }), ...(residual && { residual }), ...(gate && { gate }) },
    outputs: { output },
    ...(residual && { takesOver: { output: 'residual' } }),
    flops: 2 * rows * n * k,
    candidates: (capabilities) =>
      kernels(capabilities, {
        storage: input.storage,
        result,
        rows,
        n,
        k,
        label: finish.join(' '),
        constants: source.constants,
        imports: {
          ...source.imports,
          epilogue: activateSum ? epilogueSum : epilogueLinear,
          bias: bias ? biasAdd : biasNone,
          ...activationImports(activation),
          residual: residual ? residualAdd : residualNone,
        },
      }),
    check: {
      shapes: { ...source.few, ...(residual && { residual: [...source.fewShape, n] }) },
      build: (small, operands) => linear(small, operands['input'], { ...options, ...source.fewOptions, ...operands }),
      row: linearRow(n, k, { activation, activateSum, rowOf: source.rowOf }),
    },
  });
  return output;
}

interface RowSource extends Pick<Matmul, 'label' | 'constants' | 'imports'> {
  /** Of the result, but for its channels. */
  readonly shape: readonly number[];
  /** Of the operands of the self-check's small problem, and of its result but for the channels; what differs in its options. */
  readonly few: Readonly<Record<string, readonly number[]>>;
  readonly fewShape: readonly number[];
  readonly fewOptions?: Pick<LinearOptions, 'pixels'>;
  /** Which row of the small problem's input makes a row of its result, and what becomes of it first. */
  readonly rowOf: RowOf;
}

/** Where linear() takes its rows from. Throws unsupported for pixels behind a gate. */
function rowSource(name: string, input: Value, { gate, pixels }: LinearOptions): RowSource {
  const before = input.shape.slice(0, -1);
  const k = rowLength(input.shape);
  if (gate && pixels)
    throw new StamError('unsupported', { where: name, problem: 'pixels are not chosen behind a gate' });
  if (gate) {
    const [videos] = input.shape;
    expectTensor(name, gate, [videos, k], 'f32');
    const rows = rowCount(input.shape) / videos;
    const [label, constants] =
      videos === 1
        ? ['gate', { ONE_VIDEO: 1, GATE_QUADS: 1 }]
        : [`gate every ${rows}`, { ONE_VIDEO: 0, GATE_QUADS: rows * quads(k) }];
    // the kernel knows how many rows a video has, unless there is one only
    const few = videos === 1 ? [1, Math.min(rows, mostRows)] : [2, rows];
    return {
      shape: before,
      label,
      constants,
      imports: { rows: rowsGated, swish },
      few: { input: [...few, k], gate: [few[0], k] },
      fewShape: few,
      rowOf: gatedRow(few[1]),
    };
  }
  if (!pixels) {
    const few = fewRows(input.shape);
    return {
      shape: before,
      label: '',
      constants: {},
      imports: { rows: rowsPlain },
      few: { input: few },
      fewShape: few.slice(0, 1),
      rowOf: plainRow,
    };
  }
  const [videos, frames, height, width] = before;
  const { stride = 1, frames: { start, count } = { start: 0, count: frames } } = pixels;
  const isWhole = start === 0 && count === frames;
  if (!isWhole) expectTensor(name, input, [1, Math.max(frames, start + count), height, width, k]);
  const [outHeight, outWidth] = [Math.ceil(height / stride), Math.ceil(width / stride)];
  const few = { start, count: Math.min(count, Math.ceil(mostRows / (outHeight * outWidth))) };
  return {
    shape: [videos, count, outHeight, outWidth],
    label: `${height}x${width}${stride > 1 ? ` every ${stride}` : ''}${start > 0 ? ` from ${start}` : ''}`,
    constants: {
      FIRST_FRAME: start,
      STRIDE: stride,
      HEIGHT: height,
      WIDTH: width,
      OUT_HEIGHT: outHeight,
      OUT_WIDTH: outWidth,
    },
    imports: { rows: rowsPixels },
    few: { input: [1, few.start + few.count, height, width, k] },
    fewShape: [1, few.count, outHeight, outWidth],
    fewOptions: { pixels: { stride, frames: few } },
    rowOf: pixelRow({ height, width, stride, start }),
  };
}

/** What patchEmbed() takes beside the frames. */
export interface PatchEmbedOptions {
  readonly name: string;
  /** [C, 3, P, P] in panelLayout, in `storage`: a convolution's weight whose stride is its size. */
  readonly weight: Value;
  /** [C] in f32. */
  readonly bias: Value;
  /** With these two the result has a class token before each frame's patches, and positions are added: [C] and [T, C], in f32. */
  readonly tokens?: { readonly classToken: Value; readonly positions: Value } | undefined;
  readonly storage: StorageType;
}

/**
 * Pixels to tokens: [F, 3, S, S] in 0..1, in f32 -> [F, T, C], or [F, T - 1, C] without class token and positions. Throws shape-mismatch
 * for a tensor of another shape, storage type or layout.
 */
export function patchEmbed(graph: Graph, frames: Value, options: PatchEmbedOptions): Value {
  const { name, weight, bias, tokens, storage } = options;
  const [count, , size] = frames.shape;
  const [channels, , patch] = weight.shape;
  const grid = size / patch;
  const k = 3 * patch * patch;
  const classTokens = tokens ? 1 : 0;
  const length = grid * grid + classTokens;
  expectTensor(name, frames, [count, 3, grid * patch, grid * patch], 'f32');
  expectTensor(name, weight, [channels, 3, patch, patch], storage, panelLayout);
  expectTensor(name, bias, [channels], 'f32');
  if (tokens) {
    expectTensor(name, tokens.classToken, [channels], 'f32');
    expectTensor(name, tokens.positions, [length, channels], 'f32');
  }
  const output = graph.activation(name, [count, length, channels], storage);
  graph.add({
    name,
    operator: 'patchEmbed',
    inputs: {
      frames,
      weight,
      bias,
      ...(tokens && { class_token: tokens.classToken, positions: tokens.positions }),
    },
    outputs: { output },
    flops: 2 * count * grid * grid * channels * k,
    candidates: (capabilities) =>
      kernels(capabilities, {
        storage,
        result: storage,
        rows: count * length,
        n: channels,
        k,
        label: tokens ? 'patches tokens' : 'patches bias',
        constants: {
          TOKENS: length,
          CLASS_TOKENS: classTokens,
          GRID: grid,
          PATCH: patch,
          SIZE: size,
          PITCH: quads(size) * 4,
        },
        imports: {
          rows: patch % 4 === 0 ? rowsPatches : rowsPatchesOdd,
          ...(tokens
            ? { epilogue: epilogueTokens, bias: biasAdd, residual: residualNone }
            : { epilogue: epilogueLinear, bias: biasAdd, ...activationImports('none'), residual: residualNone }),
        },
      }),
    check: {
      shapes: { frames: [Math.min(count, Math.ceil(mostRows / length)), ...frames.shape.slice(1)] },
      build: (small, operands) =>
        patchEmbed(small, operands['frames'], {
          ...options,
          ...operands,
          tokens: tokens && { classToken: operands['class_token'], positions: operands['positions'] },
        }),
      row: patchEmbedRow(channels, size, patch),
    },
  });
  return output;
}
