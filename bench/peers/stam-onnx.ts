// STAM as an ONNX graph, for peers that read ONNX. The same network as model/stam.ts, in ONNX's operators; for one video.
// Attention is MatMul, Softmax, MatMul: onnxruntime's fused MultiHeadAttention gives wrong logits on adapters with small subgroups.
import type { StamConfig } from '../../model/config.ts';
import type { Parameter } from './onnx.ts';
import { OnnxGraph } from './onnx.ts';

export interface OnnxModel {
  /** The content of the .onnx file. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What the weights' file beside it holds, by name in the graph, in the order of the file. */
  readonly parameters: ReadonlyMap<string, Parameter>;
}

/** `frames` [F, 3, S, S] in 0..1 -> `logits` [1, classes]. With `layout` the weights are read from another model's file. */
export function stamOnnx(config: StamConfig, weightsFile: string, layout?: ReadonlyMap<string, Parameter>): OnnxModel {
  const { frames, channels, imageSize, classes, temporalLayers, depth } = config;
  const graph = new OnnxGraph(layout);
  const layers = new Layers(graph, config);
  const tokens = (imageSize / config.patchSize) ** 2 + 1;

  let x = layers.embed('frames', tokens); // [F, T, C]
  for (let i = 0; i < depth; i++) {
    const block = `blocks.${i}`;
    const attended = layers.attention(layers.norm(x, `${block}.norm1`), {
      qkv: [`${block}.attn.qkv.weight`, `${block}.attn.qkv.bias`],
      out: `${block}.attn.proj`,
      batch: frames,
      tokens,
      heads: config.heads,
    });
    x = graph.op('Add', [x, attended]);
    const hidden = layers.linear(layers.norm(x, `${block}.norm2`), `${block}.mlp.fc1`, channels, config.mlp);
    const activated = graph.op('Gelu', [hidden], { approximate: 'none' });
    x = graph.op('Add', [x, layers.linear(activated, `${block}.mlp.fc2`, config.mlp, channels)]);
  }
  // a norm is per token: the class token may be taken before it
  const features = layers.norm(layers.firstToken(x), 'norm'); // [F, C]

  const sequence = graph.op('Reshape', [features, graph.integers([1, frames, channels])]);
  const classToken = graph.parameter('aggregate.cls_token', [1, 1, channels]);
  const positions = graph.parameter('aggregate.pos_embed', [1, frames + 1, channels]);
  x = graph.op('Add', [graph.op('Concat', [classToken, sequence], { axis: 1 }), positions]); // [1, F + 1, C]
  for (let i = 0; i < temporalLayers; i++) {
    const layer = `aggregate.transformer_enc.layers.${i}`;
    const attended = layers.attention(x, {
      qkv: [`${layer}.self_attn.in_proj_weight`, `${layer}.self_attn.in_proj_bias`],
      out: `${layer}.self_attn.out_proj`,
      batch: 1,
      tokens: frames + 1,
      heads: config.temporalHeads,
    });
    x = layers.norm(graph.op('Add', [x, attended]), `${layer}.norm1`);
    const hidden = graph.op('Relu', [layers.linear(x, `${layer}.linear1`, channels, config.temporalMlp)]);
    const fed = layers.linear(hidden, `${layer}.linear2`, config.temporalMlp, channels);
    x = layers.norm(graph.op('Add', [x, fed]), `${layer}.norm2`);
  }
  const video = layers.norm(layers.firstToken(x), 'aggregate.transformer_enc.norm'); // [1, C]
  graph.op('Identity', [layers.linear(video, 'head', channels, classes)], {}, 'logits');

  const input = { name: 'frames', shape: [frames, 3, imageSize, imageSize] };
  const bytes = graph.encode('stam', weightsFile, input, { name: 'logits', shape: [1, classes] });
  return { bytes, parameters: graph.parameters };
}

interface AttentionOptions {
  /** Keys of the weight [3 C, C] and the bias [3 C], rows q | k | v. */
  readonly qkv: readonly [weight: string, bias: string];
  /** Module path of the projection behind the heads. */
  readonly out: string;
  readonly batch: number;
  readonly tokens: number;
  readonly heads: number;
}

/** The modules of STAM, each as the nodes it takes. */
class Layers {
  readonly #graph: OnnxGraph;
  readonly #config: StamConfig;

  constructor(graph: OnnxGraph, config: StamConfig) {
    this.#graph = graph;
    this.#config = config;
  }

  norm(x: string, name: string): string {
    const { channels, epsilon } = this.#config;
    const [weight, bias] = ['weight', 'bias'].map((part) => this.#graph.parameter(`${name}.${part}`, [channels]));
    return this.#graph.op('LayerNormalization', [x, weight, bias], { axis: -1, epsilon });
  }

  linear(x: string, name: string, k: number, n: number): string {
    const weight = this.#graph.parameter(`${name}.weight`, [n, k], { transposed: true });
    return this.#affine(x, weight, this.#graph.parameter(`${name}.bias`, [n]));
  }

  /** Patches, a class token before them, positions. The stride is the patch, so the convolution is a product of patch vectors. */
  embed(frames: string, tokens: number): string {
    const { frames: count, channels, imageSize, patchSize } = this.#config;
    const grid = imageSize / patchSize;
    const pixels = this.#reshape(frames, [count, 3, grid, patchSize, grid, patchSize]);
    const rows = this.#graph.op('Transpose', [pixels], { perm: [0, 2, 4, 1, 3, 5] });
    const flat = this.#reshape(rows, [count, tokens - 1, 3 * patchSize ** 2]);
    const shape = [channels, 3, patchSize, patchSize];
    const weight = this.#graph.parameter('patch_embed.proj.weight', shape, { transposed: true });
    const patches = this.#affine(flat, weight, this.#graph.parameter('patch_embed.proj.bias', [channels]));
    const token = this.#graph.parameter('cls_token', [1, 1, channels]);
    const classTokens = this.#graph.op('Expand', [token, this.#graph.integers([count, 1, channels])]);
    const sequence = this.#graph.op('Concat', [classTokens, patches], { axis: 1 });
    return this.#graph.op('Add', [sequence, this.#graph.parameter('pos_embed', [1, tokens, channels])]);
  }

  attention(x: string, { qkv, out, batch, tokens, heads }: AttentionOptions): string {
    const { channels } = this.#config;
    const width = channels / heads;
    const [q, k, v] = [0, 1, 2].map((part) => {
      const rows = [part * channels, (part + 1) * channels] as const;
      const weight = this.#graph.parameter(qkv[0], [3 * channels, channels], { rows, transposed: true });
      return this.#affine(x, weight, this.#graph.parameter(qkv[1], [3 * channels], { rows }));
    });
    const split = (value: string, perm: readonly number[]) =>
      this.#graph.op('Transpose', [this.#reshape(value, [batch, tokens, heads, width])], { perm });
    // scaled before the product: queries are fewer than scores
    const scaled = this.#graph.op('Mul', [q, this.#graph.scalar(width ** -0.5)]);
    const scores = this.#graph.op('MatMul', [split(scaled, [0, 2, 1, 3]), split(k, [0, 2, 3, 1])]);
    const weights = this.#graph.op('Softmax', [scores], { axis: -1 });
    const mixed = this.#graph.op('MatMul', [weights, split(v, [0, 2, 1, 3])]);
    const joined = this.#graph.op('Transpose', [mixed], { perm: [0, 2, 1, 3] });
    return this.linear(this.#reshape(joined, [batch, tokens, channels]), out, channels, channels);
  }

  firstToken(x: string): string {
    return this.#graph.op('Gather', [x, this.#graph.integers(0)], { axis: 1 });
  }

  #affine(x: string, weight: string, bias: string): string {
    return this.#graph.op('Add', [this.#graph.op('MatMul', [x, weight]), bias]);
  }

  #reshape(x: string, shape: readonly number[]): string {
    return this.#graph.op('Reshape', [x, this.#graph.integers(shape)]);
  }
}
