// layerNorm: normalisation of rows, in two ways of summing over a row.
import type { Capabilities } from '../engine/device.ts';
import type { Graph, Value } from '../engine/graph.ts';
import type { Kernel } from '../engine/kernel.ts';
import { linearGrid } from '../engine/kernel.ts';
import { elementCount, quads, rowCount, rowLength } from '../engine/shape.ts';
import { layerNormRow } from './definitions.ts';
import { expectTensor } from './expect.ts';
import { fewRows } from './few-rows.ts';
import source from './layer-norm.wgsl';
import nothing from './shared/nothing.wgsl';
import reduceShared from './shared/reduce-shared.wgsl';
import reduceSubgroup from './shared/reduce-subgroup.wgsl';
import { storageOf } from './storage.ts';
import { subgroupsOf } from './subgroups.ts';
import { unitOf } from './units.ts';

/** What layerNorm() takes beside its input. */
export interface LayerNormOptions {
  readonly name: string;
  /** [C] in f32. */
  readonly weight: Value;
  /** [C] in f32. */
  readonly bias: Value;
  /** Added to the variance. */
  readonly epsilon: number;
  /** Normalise only the first token of each sequence: [B, T, C] -> [B, C]. */
  readonly firstTokenOnly?: boolean;
  /** Write to these rows of an existing [R, C] instead of making a new tensor. */
  readonly into?: { readonly value: Value; readonly firstRow: number } | undefined;
}

/**
 * (x - mean) / sqrt(variance + epsilon) * weight + bias over the last dimension: [..., C] -> [..., C]. Throws shape-mismatch for a tensor
 * of another shape, storage type or layout.
 */
export function layerNorm(graph: Graph, input: Value, options: LayerNormOptions): Value {
  const { name, weight, bias, epsilon, firstTokenOnly = false, into } = options;
  const length = rowLength(input.shape);
  const shape = firstTokenOnly ? [...input.shape.slice(0, -2), length] : input.shape;
  expectTensor(name, input, input.shape);
  expectTensor(name, weight, [length], 'f32');
  expectTensor(name, bias, [length], 'f32');
  const rows = rowCount(shape);
  const stride = firstTokenOnly ? (input.shape.at(-2) ?? 1) : 1;
  const output = into?.value ?? graph.activation(name, shape, input.storage);
  if (into) {
    expectTensor(name, output, [Math.max(rowCount(output.shape), into.firstRow + rows), length], input.storage);
  }
  graph.add({
    name,
    operator: 'layerNorm',
    inputs: { input, weight, bias },
    outputs: { output },
    flops: 8 * elementCount(shape),
    candidates: (capabilities) =>
      kernels(capabilities, input, {
        rows,
        length,
        stride,
        firstRow: into?.firstRow ?? 0,
        epsilon,
      }),
    check: {
      shapes: { input: firstTokenOnly ? [Math.min(rows, 5), ...input.shape.slice(-2)] : fewRows(input.shape) },
      build: (small, operands) => layerNorm(small, operands['input'], { ...options, ...operands, into: undefined }),
      row: layerNormRow(length, stride, epsilon),
      ...(into && { own: { rows: { first: into.firstRow, count: rows } } }),
    },
  });
  return output;
}

interface Rows {
  readonly rows: number;
  readonly length: number;
  readonly stride: number;
  readonly firstRow: number;
  readonly epsilon: number;
}

function kernels(
  capabilities: Capabilities,
  input: Value,
  { rows, length, stride, firstRow, epsilon }: Rows,
): Kernel[] {
  const storage = storageOf(input.storage, capabilities);
  const unit = unitOf(input.storage, quads(length));
  const kernel = (
    label: string,
    workgroup: number,
    { reduce, subgroup, features }: { reduce: string; subgroup: string; features: Kernel['features'] },
  ): Kernel => ({
    name: 'layer-norm',
    tile: label,
    variant: `${label} ${storage.label} ${length}${stride > 1 ? ` every ${stride}` : ''}`,
    source,
    imports: { storage: storage.text, unit: unit.text, reduce, subgroup },
    constants: {
      LENGTH: length,
      QUADS: quads(length),
      STRIDE: stride,
      LANES: workgroup,
      UNIT: unit.quads,
      PER_LANE: Math.ceil(quads(length) / unit.quads / workgroup),
      EPSILON: epsilon,
    },
    params: { rows, first_row: firstRow },
    workgroups: linearGrid(rows),
    features: [...storage.features, ...features],
  });
  const shared = kernel('shared', 64, { reduce: reduceShared, subgroup: nothing, features: [] });
  const subgroups = subgroupsOf(capabilities);
  if (!subgroups) return [shared];
  const { lanes, text, features } = subgroups;
  return [kernel('subgroup', lanes, { reduce: reduceSubgroup, subgroup: text, features }), shared];
}
