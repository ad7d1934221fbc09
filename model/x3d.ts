// X3D: "Expanding Architectures for Efficient Video Recognition" (arXiv 2004.04730), as pytorchvideo computes it. Module paths are those
// of its state_dict, so that they name the weights too; foldBatchNorms() gives the weights, in which there are no norms any more.
//
// Activations are [V, T, H, W, C], so that a pointwise convolution is a matmul of rows and a depthwise one works on quads of channels.
import type { Capabilities } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { storageBytes } from '../engine/dtype.ts';
import type { Part, Value } from '../engine/graph.ts';
import { Graph } from '../engine/graph.ts';
import { rowLayout } from '../engine/layout.ts';
import type { LinearOptions } from '../shaders/index.ts';
import { averagePool, depthwise, frameConv, linear, squeezeExcite, tapLayout } from '../shaders/index.ts';
import { dense, matrix, table } from './layers.ts';
import type { X3dConfig, X3dStage } from './x3d-config.ts';
import { changesChannels, squeezes } from './x3d-weights.ts';

/** Pixels in 0..1 are normalised by these before the first convolution, all three colours alike. */
const mean = 0.45;
const deviation = 0.225;

export interface X3dGraphOptions {
  /** V: videos of a batch. */
  readonly videos: number;
  readonly storage: StorageType;
  /** How many videos go through the network at a time. */
  readonly videosPerPass: number;
  /** The most bytes of an activation. Where one of a single video has more, its frames are computed in parts. */
  readonly largestBytes: number;
  /** Which activations to keep beside the logits, by module path; PATH.mean is a block's mean over lines and columns. */
  readonly keep?: ((name: string) => boolean) | undefined;
}

/** The whole network: `frames` [V, 3, F, S, S] in 0..1 -> `logits` [V, classes]. */
export function x3dGraph(config: X3dConfig, options: X3dGraphOptions): Graph {
  const { videos, storage, videosPerPass, largestBytes, keep } = options;
  const graph = new Graph(keep);
  const { frames, imageSize, stages } = config;
  for (let start = 0; start < videos; start += videosPerPass) {
    const count = Math.min(videosPerPass, videos - start);
    const part = { start, of: videos };
    const pixels = graph.input('frames', [count, 3, frames, imageSize, imageSize], 'f32', part);
    let x = stem(graph, config, pixels, storage); // [V, F, S/2, S/2, C]
    keepBlock(graph, 'blocks.0', x, part);
    for (const [i, stage] of stages.entries()) {
      for (let block = 0; block < stage.blocks; block++) {
        const path = `blocks.${i + 1}.res_blocks.${block}`;
        x = residualBlock(graph, x, stage, { path, block, largestBytes, part }); // [V, F, S/4, S/4, C], then S/8 ...
        graph.keepIfWanted(path, x, part);
      }
      keepBlock(graph, `blocks.${i + 1}`, x, part);
    }
    graph.keep('logits', head(graph, config, x, part), part);
  }
  return graph;
}

function keepBlock(graph: Graph, path: string, x: Value, part: Part): void {
  graph.keepIfWanted(path, x, part);
  const name = `${path}.mean`;
  if (!graph.wants(name)) return;
  const [videos, frames, height, width, channels] = x.shape;
  const means = averagePool(graph, x, { name, window: [1, height, width], result: 'f32' });
  graph.keep(name, graph.reshape(means, [videos, frames, channels]), part);
}

/** A convolution over lines and columns, one over frames: [V, 3, F, S, S] -> [V, F, S/2, S/2, C]. */
function stem(graph: Graph, { stem: channels }: X3dConfig, frames: Value, storage: StorageType): Value {
  const name = 'blocks.0.conv';
  const spatial = filters(graph, `${name}.conv_t`, [channels, 3, 1, 3, 3]);
  const x = frameConv(graph, frames, { name: `${name}.conv_t`, weight: spatial, stride: 2, mean, deviation, storage });
  const weight = filters(graph, `${name}.conv_xy`, [channels, 1, 5, 1, 1]);
  const bias = table(graph, 'blocks.0.norm.bias', [channels]);
  return depthwise(graph, x, { name: `${name}.conv_xy`, weight, bias, activation: 'relu' });
}

interface BlockOptions {
  readonly path: string;
  /** Its number in the stage: the first halves lines and columns. */
  readonly block: number;
  readonly largestBytes: number;
  readonly part: Part;
}

/** A bottleneck that widens, with a depthwise convolution inside: [V, F, H, W, C] -> the same, or half of it and other channels. */
function residualBlock(graph: Graph, x: Value, { channels, inner, squeeze }: X3dStage, options: BlockOptions): Value {
  const { path, block, part } = options;
  const branch = `${path}.branch2`;
  const [, , , , before] = x.shape;
  const stride = block === 0 ? 2 : 1;
  const shortcut =
    block === 0
      ? pointwise(graph, `${path}.branch1_conv`, x, channels, {
          norm: changesChannels(before, channels) ? `${path}.branch1_norm` : undefined,
          pixels: { stride },
        })
      : x;
  const hidden = widen(graph, x, inner, stride, options); // [V, F, H', W', inner]
  graph.keepIfWanted(squeezes(block) ? `${branch}.norm_b.0` : `${branch}.act_b`, hidden, part);
  return pointwise(graph, `${branch}.conv_c`, hidden, channels, {
    norm: `${branch}.norm_c`,
    gate: squeezes(block) ? excite(graph, `${branch}.norm_b.1`, hidden, squeeze) : undefined,
    residual: shortcut,
    activation: 'relu',
    activateSum: true,
  });
}

/** conv_a and conv_b. What is between them is the largest activation of all: if it is too large, only some of its frames exist at a time. */
function widen(
  graph: Graph,
  x: Value,
  inner: number,
  stride: number,
  { path, block, largestBytes, part }: BlockOptions,
): Value {
  const branch = `${path}.branch2`;
  const [videos, frames, height, width] = x.shape;
  const expand = (pixels?: LinearOptions['pixels']) =>
    pointwise(graph, `${branch}.conv_a`, x, inner, { norm: `${branch}.norm_a`, activation: 'relu', pixels });
  const filter = {
    name: `${branch}.conv_b`,
    weight: filters(graph, `${branch}.conv_b`, [inner, 1, 3, 3, 3]),
    bias: table(graph, `${branch}.norm_b.0.bias`, [inner]),
    activation: squeezes(block) ? 'none' : 'swish',
    stride,
  } as const;
  const frameBytes = rowLayout.elements([videos, height, width, inner]) * storageBytes[x.storage];
  if (frames * frameBytes <= largestBytes || videos > 1) {
    return depthwise(graph, graph.keepIfWanted(`${branch}.act_a`, expand(), part), filter);
  }
  const result = [1, frames, Math.ceil(height / stride), Math.ceil(width / stride), inner];
  const into = graph.activation(filter.name, result, x.storage);
  const halo = 1;
  const most = Math.max(1, Math.floor(largestBytes / frameBytes) - 2 * halo);
  const count = Math.ceil(frames / Math.ceil(frames / most));
  for (let start = 0; start < frames; start += count) {
    const make = { start, count: Math.min(count, frames - start) };
    const first = Math.max(0, start - halo);
    const held = { start: first, count: Math.min(frames, start + make.count + halo) - first };
    depthwise(graph, expand({ frames: held }), { ...filter, window: { into, make, held } });
  }
  return into;
}

/** What squeeze and excitation multiply the channels by: [V, F, H, W, C] -> [V, C]. */
function excite(graph: Graph, path: string, x: Value, hidden: number): Value {
  const [videos, frames, height, width, channels] = x.shape;
  const means = averagePool(graph, x, { name: `${path}.block.pool`, window: [1, height, width], result: 'f32' });
  return squeezeExcite(graph, graph.reshape(means, [videos, frames, channels]), {
    name: `${path}.block`,
    squeeze: table(graph, `${path}.block.0.weight`, [hidden, channels]),
    squeezeBias: table(graph, `${path}.block.0.bias`, [hidden]),
    expand: table(graph, `${path}.block.2.weight`, [channels, hidden]),
    expandBias: table(graph, `${path}.block.2.bias`, [channels]),
  });
}

/** Logits at each place of the head's window, and their mean: [V, F, H, W, C] -> [V, classes]. */
function head(graph: Graph, config: X3dConfig, x: Value, part: Part): Value {
  const { pooled, projected, classes, window } = config;
  const path = 'blocks.5.pool';
  const [videos, frames] = x.shape;
  const widened = pointwise(graph, `${path}.pre_conv`, x, pooled, { norm: `${path}.pre_norm`, activation: 'relu' });
  const averages = averagePool(graph, widened, { name: `${path}.pool`, window: [frames, window, window] });
  const features = pointwise(graph, `${path}.post_conv`, averages, projected, { activation: 'relu' }); // [V, 1, h, w, projected]
  graph.keepIfWanted(path, features, part);
  const scores = dense(graph, 'blocks.5.proj', features, classes, { result: 'f32' });
  const [, , height, width] = scores.shape;
  return graph.reshape(averagePool(graph, scores, { name: 'blocks.5.output_pool', window: [1, height, width] }), [
    videos,
    classes,
  ]);
}

type PointwiseOptions = Omit<LinearOptions, 'name' | 'weight' | 'bias'> & {
  /** The BatchNorm behind it, whose scale is in the weight: its bias is what is left of it. */
  readonly norm?: string | undefined;
};

/** A convolution of 1 x 1 x 1. */
function pointwise(graph: Graph, name: string, x: Value, n: number, { norm, ...fused }: PointwiseOptions): Value {
  const weight = matrix(graph, `${name}.weight`, [n, x.shape.at(-1) ?? 0], x.storage);
  return linear(graph, x, {
    name,
    weight,
    bias: norm === undefined ? undefined : table(graph, `${norm}.bias`, [n]),
    ...fused,
  });
}

/** A convolution's weight for other kernels than matmuls. */
function filters(graph: Graph, path: string, shape: readonly number[]): Value {
  return graph.weight(`${path}.weight`, shape, 'f32', tapLayout);
}

/** How many videos go through the network at a time: as many as `wanted`, within the device's binding size. */
export function videosPerPass(
  { imageSize, frames, stem, stages }: X3dConfig,
  { videos, storage, wanted }: { videos: number; storage: StorageType; wanted: number },
  capabilities: Capabilities,
): number {
  const bytes = (size: number, channels: number) =>
    rowLayout.elements([frames, size, size, channels]) * storageBytes[storage];
  const widest = Math.max(
    4 * rowLayout.elements([3, frames, imageSize, imageSize]),
    bytes(Math.ceil(imageSize / 2), stem),
    ...stages.map(({ inner }, i) => bytes(Math.ceil(imageSize / 2 ** (i + 1)), inner)),
  );
  return Math.min(videos, Math.max(1, Math.min(wanted, Math.floor(largestBytes(capabilities) / widest))));
}

/** Of one tensor on a device. */
export function largestBytes({ limits }: Capabilities): number {
  return Math.min(limits.storageBufferBindingBytes, limits.bufferBytes);
}
