// X3D's checkpoint: every key of pytorchvideo's state_dict, and BatchNorm folded into the convolutions before it.
import type { Shape } from '../engine/shape.ts';
import { elementCount } from '../engine/shape.ts';
import type { TensorSource } from '../engine/weights.ts';
import type { X3dConfig } from './x3d-config.ts';

/** A convolution without a bias, and the module path of the BatchNorm behind it, if there is one. */
interface Convolution {
  readonly key: string;
  readonly shape: Shape;
  readonly norm?: string | undefined;
}

/** What is neither a convolution nor a BatchNorm: the two layers of squeeze and excitation, and the classifier. */
interface Dense {
  readonly path: string;
  readonly shape: Shape;
}

type Layer = Convolution | Dense;

/** How many batches a BatchNorm has seen in training: an integer that inference has no use for. */
export const isCounter = (name: string): boolean => name.endsWith('.num_batches_tracked');

/** The layers in the order of the state_dict. */
function layers({ stem, stages, pooled, projected, classes }: X3dConfig): Layer[] {
  const found: Layer[] = [
    // the names are those of the official code, in which conv_t is the one over lines and columns
    { key: 'blocks.0.conv.conv_t.weight', shape: [stem, 3, 1, 3, 3] },
    { key: 'blocks.0.conv.conv_xy.weight', shape: [stem, 1, 5, 1, 1], norm: 'blocks.0.norm' },
  ];
  let before = stem;
  for (const [i, { blocks, channels, inner, squeeze }] of stages.entries()) {
    for (let block = 0; block < blocks; block++) {
      const path = `blocks.${i + 1}.res_blocks.${block}`;
      const branch = `${path}.branch2`;
      if (block === 0) {
        const norm = changesChannels(before, channels) ? `${path}.branch1_norm` : undefined;
        found.push({ key: `${path}.branch1_conv.weight`, shape: [channels, before, 1, 1, 1], norm });
      }
      found.push({ key: `${branch}.conv_a.weight`, shape: [inner, before, 1, 1, 1], norm: `${branch}.norm_a` });
      found.push({ key: `${branch}.conv_b.weight`, shape: [inner, 1, 3, 3, 3], norm: `${branch}.norm_b.0` });
      if (squeezes(block)) {
        found.push({ path: `${branch}.norm_b.1.block.0`, shape: [squeeze, inner, 1, 1, 1] });
        found.push({ path: `${branch}.norm_b.1.block.2`, shape: [inner, squeeze, 1, 1, 1] });
      }
      found.push({ key: `${branch}.conv_c.weight`, shape: [channels, inner, 1, 1, 1], norm: `${branch}.norm_c` });
      before = channels;
    }
  }
  found.push({
    key: 'blocks.5.pool.pre_conv.weight',
    shape: [pooled, before, 1, 1, 1],
    norm: 'blocks.5.pool.pre_norm',
  });
  found.push({ key: 'blocks.5.pool.post_conv.weight', shape: [projected, pooled, 1, 1, 1] });
  found.push({ path: 'blocks.5.proj', shape: [classes, projected] });
  return found;
}

/** Whether a block squeezes and excites. */
export const squeezes = (block: number): boolean => block % 2 === 0;

/** Whether the shortcut of a stage's first block is normalised: where it only halves lines and columns it is not. */
export const changesChannels = (before: number, after: number): boolean => before !== after;

/** Every key of the official state_dict and its shape, in its order. */
export function x3dShapes(config: X3dConfig): Map<string, Shape> {
  const shapes = new Map<string, Shape>();
  for (const layer of layers(config)) {
    if ('path' in layer) {
      shapes.set(`${layer.path}.weight`, layer.shape);
      shapes.set(`${layer.path}.bias`, layer.shape.slice(0, 1));
      continue;
    }
    shapes.set(layer.key, layer.shape);
    if (layer.norm === undefined) continue;
    for (const part of ['weight', 'bias', 'running_mean', 'running_var']) {
      shapes.set(`${layer.norm}.${part}`, layer.shape.slice(0, 1));
    }
    shapes.set(`${layer.norm}.num_batches_tracked`, []);
  }
  return shapes;
}

/**
 * The weights as the network multiplies by them. A BatchNorm is gone: its scale is in the weight of the convolution before it, what it
 * adds is left under its own key NORM.bias; both are computed in double precision, tensor by tensor as they are read. Weights of
 * pointwise convolutions are matrices [N, K].
 */
export function foldBatchNorms(source: TensorSource, config: X3dConfig): TensorSource {
  const tensors = new Map<string, { dtype: string; shape: Shape }>();
  const scaledBy = new Map<string, string>();
  const norms = new Set<string>();
  for (const layer of layers(config)) {
    const key = 'path' in layer ? `${layer.path}.weight` : layer.key;
    tensors.set(key, { dtype: 'F32', shape: asMatrix(layer.shape) });
    const bias = 'path' in layer ? `${layer.path}.bias` : layer.norm && `${layer.norm}.bias`;
    if (bias) tensors.set(bias, { dtype: 'F32', shape: layer.shape.slice(0, 1) });
    if ('path' in layer || layer.norm === undefined) continue;
    scaledBy.set(key, layer.norm);
    norms.add(layer.norm);
  }

  /** What BatchNorm multiplies each channel by. */
  async function scales(norm: string, signal: AbortSignal | undefined): Promise<Float64Array> {
    const weight = await source.read(`${norm}.weight`, signal);
    const variance = await source.read(`${norm}.running_var`, signal);
    return Float64Array.from(weight, (gain, i) => gain / Math.sqrt(variance[i] + config.epsilon));
  }

  return {
    name: source.name,
    tensors,
    order: () => source.order().filter((name) => tensors.has(name)),
    async read(name, signal, allocate) {
      const norm = scaledBy.get(name);
      if (norm !== undefined) {
        const scale = await scales(norm, signal);
        const weight = await source.read(name, signal, allocate);
        const perChannel = weight.length / scale.length;
        return Float32Array.from(weight, (value, i) => value * scale[Math.floor(i / perChannel)]);
      }
      const ownNorm = name.slice(0, -'.bias'.length);
      if (!norms.has(ownNorm)) return await source.read(name, signal, allocate);
      const scale = await scales(ownNorm, signal);
      const mean = await source.read(`${ownNorm}.running_mean`, signal);
      const bias = await source.read(name, signal);
      return Float32Array.from(bias, (value, i) => value - mean[i] * scale[i]);
    },
  };
}

/** The shape of a pointwise convolution's weight as a matrix; any other stays as it is. */
function asMatrix(shape: Shape): Shape {
  return shape.length === 5 && elementCount(shape.slice(2)) === 1 ? shape.slice(0, 2) : shape;
}
