// A ViT image classifier on the engine.
import type { TensorSource, Value } from '../../index.ts'; // 'stam-webgpu' in your app
import {
  attention,
  createPlan,
  Device,
  Graph,
  layerNorm,
  linear,
  Program,
  panelLayout,
  patchEmbed,
  Weights,
} from '../../index.ts';

export const size = { image: 32, patch: 8, channels: 64, depth: 2, heads: 4, classes: 10 };

/** `images` [B, 3, S, S] -> `logits` [B, classes]; keys are timm's. */
export function vit(batch: number): Graph {
  const { image, patch, channels, depth, heads, classes } = size;
  const tokens = (image / patch) ** 2 + 1;
  const graph = new Graph();
  const table = (name: string, shape: readonly number[]) => graph.weight(name, shape, 'f32');
  const matrix = (name: string, shape: readonly number[]) => graph.weight(name, shape, 'f32', panelLayout);
  const dense = (name: string, input: Value, n: number, options: { activation?: 'gelu'; residual?: Value } = {}) => {
    const weight = matrix(`${name}.weight`, [n, input.shape.at(-1) ?? 0]);
    return linear(graph, input, { name, weight, bias: table(`${name}.bias`, [n]), ...options });
  };
  const norm = (name: string, input: Value, firstTokenOnly = false) => {
    const [weight, bias] = ['weight', 'bias'].map((part) => table(`${name}.${part}`, [channels]));
    return layerNorm(graph, input, { name, weight, bias, epsilon: 1e-6, firstTokenOnly });
  };
  let x = patchEmbed(graph, graph.input('images', [batch, 3, image, image], 'f32'), {
    name: 'patch_embed',
    weight: matrix('patch_embed.proj.weight', [channels, 3, patch, patch]),
    bias: table('patch_embed.proj.bias', [channels]),
    tokens: { classToken: table('cls_token', [1, 1, channels]), positions: table('pos_embed', [1, tokens, channels]) },
    storage: 'f32',
  }); // [B, T, C]
  for (let i = 0; i < depth; i++) {
    const qkv = dense(`blocks.${i}.attn.qkv`, norm(`blocks.${i}.norm1`, x), 3 * channels);
    x = dense(`blocks.${i}.attn.proj`, attention(graph, qkv, { name: `blocks.${i}.attn`, heads }), channels, {
      residual: x,
    });
    const hidden = dense(`blocks.${i}.mlp.fc1`, norm(`blocks.${i}.norm2`, x), 4 * channels, { activation: 'gelu' });
    x = dense(`blocks.${i}.mlp.fc2`, hidden, channels, { residual: x });
  }
  graph.keep('logits', dense('head', norm('norm', x, true), classes)); // of the class token
  return graph;
}

export async function classifyImages(gpu: GPUDevice, weights: TensorSource, images: Float32Array<ArrayBuffer>) {
  const device = await Device.adopt(gpu);
  const plan = createPlan(vit(images.length / (3 * size.image ** 2)), device.capabilities);
  const program = await Program.create(device, plan, await Weights.upload(device, weights, plan.weights));
  const outputs = await program.run({ images });
  device.dispose();
  return outputs.get('logits') ?? new Float32Array();
}
