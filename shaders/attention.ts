// attention: scaled dot-product attention over the heads of every sequence.
import { StamError } from '../engine/errors.ts';
import type { Graph, Value } from '../engine/graph.ts';
import source from './attention.wgsl';
import { expectShape } from './expect.ts';
import { storageOf } from './storage.ts';

export interface AttentionOptions {
  readonly name: string;
  /** H; the head dimension D = C / H must be a multiple of four. */
  readonly heads: number;
}

/**
 * softmax(q k^T / sqrt D) v per head, without a mask: [B, T, 3 C] -> [B, T, C]. The rows of the input are q | k | v, each of H heads
 * of D, as PyTorch's in_proj and timm's qkv give them. Throws unsupported for a head dimension that is no multiple of four.
 */
export function attention(graph: Graph, qkv: Value, { name, heads }: AttentionOptions): Value {
  const [sequences, tokens, width] = qkv.shape;
  const channels = width / 3;
  const headDimension = channels / heads;
  expectShape(name, qkv, [sequences, tokens, Math.round(channels) * 3]);
  if (!Number.isInteger(headDimension) || headDimension % 4 !== 0) {
    throw new StamError('unsupported', {
      where: name,
      problem: 'the channels of a head must be a multiple of four',
      got: `${channels} channels in ${heads} heads`,
    });
  }
  const headQuads = headDimension / 4;
  const output = graph.activation(name, [sequences, tokens, channels], qkv.storage);
  graph.add({
    name,
    operator: 'attention',
    inputs: { qkv },
    outputs: { output },
    flops: 4 * sequences * tokens * tokens * channels,
    candidates: (capabilities) => {
      const storage = storageOf(qkv.storage, capabilities);
      // keys and values of a block share WebGPU's guaranteed 16 KiB
      const block = Math.min(16, Math.floor(16384 / (headQuads * 32)));
      if (block === 0) return [];
      return [
        {
          name: 'attention',
          variant: `${storage.label} ${tokens}x${heads}x${headDimension}`,
          source,
          imports: { storage: storage.text },
          constants: {
            TOKENS: tokens,
            HEADS: heads,
            HEAD_QUADS: headQuads,
            BLOCK: block,
            SCALE: headDimension ** -0.5,
          },
          params: {},
          workgroups: [Math.ceil(tokens / 64), heads, sequences],
          features: storage.features,
        },
      ];
    },
  });
  return output;
}
