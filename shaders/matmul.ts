// linear and patchEmbed: the two operators that are matrix multiplications, in every kernel family that can run them.
import type { Capabilities } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import type { Graph, Value } from '../engine/graph.ts';
import type { Kernel } from '../engine/kernel.ts';
import { quads, rowCount } from '../engine/shape.ts';
import type { Activation } from './definitions.ts';
import { linearRow, patchEmbedRow } from './definitions.ts';
import { expectShape } from './expect.ts';
import { fewRows, mostRows } from './few-rows.ts';
import type { Matmul } from './matmul-family.ts';
import { matmulMatrix } from './matmul-matrix.ts';
import { matmulRow } from './matmul-row.ts';
import { matmulSubgroup } from './matmul-subgroup.ts';
import { matmulTile } from './matmul-tile.ts';
import gelu from './shared/activation-gelu.wgsl';
import identity from './shared/activation-none.wgsl';
import relu from './shared/activation-relu.wgsl';
import biasAdd from './shared/bias-add.wgsl';
import biasNone from './shared/bias-none.wgsl';
import epilogueLinear from './shared/epilogue-linear.wgsl';
import epilogueTokens from './shared/epilogue-tokens.wgsl';
import residualAdd from './shared/residual-add.wgsl';
import residualNone from './shared/residual-none.wgsl';
import rowsPatches from './shared/rows-patches.wgsl';
import rowsPatchesOdd from './shared/rows-patches-odd.wgsl';
import rowsPlain from './shared/rows-plain.wgsl';

const activations: Readonly<Record<Activation, string>> = { none: identity, gelu, relu };

/** Every kernel that can run a matmul on such a device, best guess first. */
function kernels(capabilities: Capabilities, matmul: Matmul): Kernel[] {
  const { software } = capabilities.adapter;
  const families = software
    ? [matmulSubgroup, matmulRow, matmulTile]
    : [matmulRow, matmulMatrix, matmulTile, matmulSubgroup];
  return families.flatMap((family) => family(matmul, capabilities));
}

/** What linear() takes beside its input. */
export interface LinearOptions {
  /** The node's module path. */
  readonly name: string;
  /** [N, K] in panelLayout. */
  readonly weight: Value;
  /** [N] in f32. */
  readonly bias?: Value | undefined;
  readonly activation?: Activation;
  /** [..., N], added after the activation; its memory becomes the result's, so that nothing may read it afterwards. */
  readonly residual?: Value | undefined;
  /** Storage type of the result; by default that of the input. */
  readonly result?: StorageType;
}

/** activation(input weight^T + bias) + residual: [..., K] -> [..., N]. Throws shape-mismatch when the shapes do not fit. */
export function linear(graph: Graph, input: Value, options: LinearOptions): Value {
  const { name, weight, bias, activation = 'none', residual, result = input.storage } = options;
  const [n, k] = weight.shape;
  const shape = [...input.shape.slice(0, -1), n];
  expectShape(name, input, [...input.shape.slice(0, -1), k]);
  if (bias) expectShape(name, bias, [n]);
  if (residual) expectShape(name, residual, shape);
  const output = graph.activation(name, shape, result);
  const rows = rowCount(shape);
  const finish = [bias ? 'bias' : '', activation === 'none' ? '' : activation, residual ? 'residual' : ''].filter(
    Boolean,
  );
  graph.add({
    name,
    operator: 'linear',
    inputs: { input, weight, ...(bias && { bias }), ...(residual && { residual }) },
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
        constants: {},
        imports: {
          rows: rowsPlain,
          epilogue: epilogueLinear,
          bias: bias ? biasAdd : biasNone,
          activation: activations[activation],
          residual: residual ? residualAdd : residualNone,
        },
      }),
    check: {
      shapes: { input: fewRows(input.shape), ...(residual && { residual: fewRows(shape) }) },
      build: (small, operands) =>
        linear(small, operands['input'], {
          ...options,
          weight: operands['weight'],
          bias: operands['bias'],
          residual: operands['residual'],
        }),
      row: linearRow(n, k, activation),
    },
  });
  return output;
}

/** What patchEmbed() takes beside the frames. */
export interface PatchEmbedOptions {
  readonly name: string;
  /** [C, 3, P, P] in panelLayout: a convolution's weight whose stride is its size. */
  readonly weight: Value;
  /** [C] in f32. */
  readonly bias: Value;
  /** With these two the result has a class token before each frame's patches, and positions are added: [C] and [T, C], in f32. */
  readonly tokens?: { readonly classToken: Value; readonly positions: Value } | undefined;
  readonly storage: StorageType;
}

/** Pixels to tokens: [F, 3, S, S] in 0..1 -> [F, T, C], or [F, T - 1, C] without class token and positions. */
export function patchEmbed(graph: Graph, frames: Value, options: PatchEmbedOptions): Value {
  const { name, weight, bias, tokens, storage } = options;
  const [count, , size] = frames.shape;
  const [channels, , patch] = weight.shape;
  const grid = size / patch;
  const k = 3 * patch * patch;
  const classTokens = tokens ? 1 : 0;
  const length = grid * grid + classTokens;
  expectShape(name, frames, [count, 3, grid * patch, grid * patch]);
  expectShape(name, weight, [channels, 3, patch, patch]);
  if (tokens) expectShape(name, tokens.positions, [length, channels]);
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
            ? { epilogue: epilogueTokens }
            : { epilogue: epilogueLinear, bias: biasAdd, activation: identity, residual: residualNone }),
        },
      }),
    check: {
      shapes: { frames: [Math.min(count, Math.ceil(mostRows / length)), ...frames.shape.slice(1)] },
      build: (small, operands) =>
        patchEmbed(small, operands['frames'], {
          ...options,
          weight: operands['weight'],
          bias: operands['bias'],
          tokens: tokens && { classToken: operands['class_token'], positions: operands['positions'] },
        }),
      row: patchEmbedRow(channels, size, patch),
    },
  });
  return output;
}
