// STAM: "An Image is Worth 16x16 Words, What is a Video Worth?" (arXiv 2103.13915), as github.com/Alibaba-MIIL/STAM computes it.
// Module paths are those of the official state_dict, so that they name the weights too.
import type { Capabilities } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { storageBytes } from '../engine/dtype.ts';
import type { Part, Value } from '../engine/graph.ts';
import { Graph } from '../engine/graph.ts';
import { assembleTokens, attention, patchEmbed } from '../shaders/index.ts';
import type { StamConfig } from './config.ts';
import { dense, denseOntoResidual, matrix, norm, table } from './layers.ts';

export interface StamGraphOptions {
  /** V: videos of a batch. */
  readonly videos: number;
  readonly storage: StorageType;
  /** How many frames go through the spatial transformer at a time. They may belong to several videos. */
  readonly framesPerPass: number;
  /** Which activations to keep beside the logits, by module path. */
  readonly keep?: ((name: string) => boolean) | undefined;
}

/** The whole network: `frames` [V F, 3, S, S] in 0..1 -> `logits` [V, classes]. */
export function stamGraph(config: StamConfig, { videos, storage, framesPerPass, keep }: StamGraphOptions): Graph {
  const graph = new Graph(keep);
  const total = videos * config.frames;
  const features = graph.activation('frame_features', [total, config.channels], storage);
  for (let start = 0; start < total; start += framesPerPass) {
    const count = Math.min(framesPerPass, total - start);
    const { imageSize } = config;
    const frames = graph.input('frames', [count, 3, imageSize, imageSize], 'f32', { start, of: total });
    spatialTransformer(graph, config, frames, { features, storage, part: { start, of: total } });
  }
  graph.keepIfWanted('frame_features', features);
  const video = temporalTransformer(graph, config, features, videos);
  graph.keep('logits', dense(graph, 'head', video, config.classes, { result: 'f32' }));
  return graph;
}

/** The network's first part on some frames: `frames` [F, 3, S, S] in 0..1 -> `frame_features` [F, C]. */
export function spatialGraph(config: StamConfig, storage: StorageType, count = 1): Graph {
  const graph = new Graph();
  const { imageSize, channels } = config;
  const features = graph.activation('frame_features', [count, channels], storage);
  const frames = graph.input('frames', [count, 3, imageSize, imageSize], 'f32');
  spatialTransformer(graph, config, frames, { features, storage, part: { start: 0, of: count } });
  graph.keep('frame_features', features);
  return graph;
}

/** Its second part on the features of one video: `features` [F, C] -> `logits` [1, classes]. */
export function temporalGraph(config: StamConfig, storage: StorageType): Graph {
  const graph = new Graph();
  const features = graph.input('features', [config.frames, config.channels], storage);
  const video = temporalTransformer(graph, config, features, 1);
  graph.keep('logits', dense(graph, 'head', video, config.classes, { result: 'f32' }));
  return graph;
}

/** A ViT on each frame: [F, 3, S, S] -> rows of `features` [V F, C], the normalised class tokens. */
function spatialTransformer(
  graph: Graph,
  config: StamConfig,
  frames: Value,
  { features, storage, part }: { features: Value; storage: StorageType; part: Part },
): void {
  const { epsilon } = config;
  const keep = (name: string, value: Value) => graph.keepIfWanted(name, value, part);
  let x = embed(graph, config, frames, storage, part); // [F, T, C]
  for (let i = 0; i < config.depth; i++) {
    const block = `blocks.${i}`;
    const attended = norm(graph, `${block}.norm1`, x, { epsilon });
    keep(`${block}.norm1`, attended);
    const qkv = dense(graph, `${block}.attn.qkv`, attended, 3 * config.channels); // [F, T, 3 C]
    const heads = attention(graph, qkv, { name: `${block}.attn`, heads: config.heads }); // [F, T, C]
    x = denseOntoResidual(graph, `${block}.attn.proj`, { branch: `${block}.attn`, input: heads, residual: x, part });
    const normed = norm(graph, `${block}.norm2`, x, { epsilon });
    const hidden = dense(graph, `${block}.mlp.fc1`, normed, config.mlp, { activation: 'gelu' }); // [F, T, 4 C]
    x = denseOntoResidual(graph, `${block}.mlp.fc2`, { branch: `${block}.mlp`, input: hidden, residual: x, part });
    keep(block, x);
  }
  if (graph.wants('norm')) keep('norm', norm(graph, 'norm', x, { epsilon }));
  norm(graph, 'norm', x, { epsilon, firstTokenOnly: true, into: { value: features, firstRow: part.start } });
}

/** Patches, a class token before them, positions: [F, 3, S, S] -> [F, T, C]. */
function embed(graph: Graph, config: StamConfig, frames: Value, storage: StorageType, part: Part): Value {
  const { channels, patchSize, imageSize } = config;
  const name = 'patch_embed';
  const weight = matrix(graph, `${name}.proj.weight`, [channels, 3, patchSize, patchSize], storage);
  const bias = table(graph, `${name}.proj.bias`, [channels]);
  const tokens = {
    classToken: table(graph, 'cls_token', [1, 1, channels]),
    positions: table(graph, 'pos_embed', [1, (imageSize / patchSize) ** 2 + 1, channels]),
  };
  if (!graph.wants(name)) return patchEmbed(graph, frames, { name, weight, bias, storage, tokens });
  const patches = graph.keepIfWanted(name, patchEmbed(graph, frames, { name, weight, bias, storage }), part);
  return assembleTokens(graph, patches, { name: 'pos_embed', ...tokens });
}

/** A post-norm transformer over the frames of each video: [V F, C] -> [V, C]. */
function temporalTransformer(graph: Graph, config: StamConfig, features: Value, videos: number): Value {
  const { channels, frames, epsilon } = config;
  let x = assembleTokens(graph, graph.reshape(features, [videos, frames, channels]), {
    // [V, F + 1, C]
    name: 'aggregate',
    classToken: table(graph, 'aggregate.cls_token', [1, 1, channels]),
    positions: table(graph, 'aggregate.pos_embed', [1, frames + 1, channels]),
  });
  for (let i = 0; i < config.temporalLayers; i++) {
    const layer = `aggregate.transformer_enc.layers.${i}`;
    const qkv = dense(graph, `${layer}.self_attn.in_proj`, x, 3 * channels, {
      // [V, F + 1, 3 C]
      weightKey: `${layer}.self_attn.in_proj_weight`,
      biasKey: `${layer}.self_attn.in_proj_bias`,
    });
    const heads = attention(graph, qkv, { name: `${layer}.self_attn`, heads: config.temporalHeads });
    x = dense(graph, `${layer}.self_attn.out_proj`, heads, channels, { residual: x });
    x = norm(graph, `${layer}.norm1`, x, { epsilon });
    const hidden = dense(graph, `${layer}.linear1`, x, config.temporalMlp, { activation: 'relu' });
    x = dense(graph, `${layer}.linear2`, hidden, channels, { residual: x });
    x = norm(graph, `${layer}.norm2`, x, { epsilon });
  }
  const video = norm(graph, 'aggregate.transformer_enc.norm', x, { epsilon, firstTokenOnly: true }); // [V, C]
  return graph.keepIfWanted('video_features', video);
}

/** How many frames go through the spatial transformer at a time: as many as `wanted`, within the device's binding size. */
export function framesPerPass(
  config: StamConfig,
  { videos, storage, wanted }: { videos: number; storage: StorageType; wanted: number },
  { limits }: Capabilities,
): number {
  const tokens = (config.imageSize / config.patchSize) ** 2 + 1;
  const pixelBytes = 3 * config.imageSize * Math.ceil(config.imageSize / 4) * 16;
  const widest = Math.max(tokens * Math.max(3 * config.channels, config.mlp) * storageBytes[storage], pixelBytes);
  const most = Math.floor(Math.min(limits.storageBufferBindingBytes, limits.bufferBytes) / widest);
  return Math.min(videos * config.frames, Math.max(1, Math.min(wanted, most)));
}
