// attention: scaled dot-product attention over the heads of every sequence.
import type { Capabilities } from '../engine/device.ts';
import { StamError } from '../engine/errors.ts';
import type { Graph, Value } from '../engine/graph.ts';
import type { Kernel } from '../engine/kernel.ts';
import type { Attention } from './attention-family.ts';
import { attentionTile } from './attention-tile.ts';
import { attentionRow } from './definitions.ts';
import { expectTensor } from './expect.ts';
import { attentionOuter } from './gpu-families.ts';
import { attentionFlash, attentionMatrix } from './matrix-families.ts';
import { attentionSubgroup } from './subgroup-families.ts';

/** What attention() takes beside its input. */
export interface AttentionOptions {
  readonly name: string;
  /** H; the head dimension D = C / H must be a multiple of four. */
  readonly heads: number;
}

/**
 * softmax(q k^T / sqrt D) v per head, without a mask: [B, T, 3 C] -> [B, T, C]. The rows of the input are q | k | v, each of H heads
 * of D, as PyTorch's in_proj and timm's qkv give them. Throws unsupported for a head dimension that is no multiple of four, and
 * shape-mismatch for an input of another shape or layout.
 */
export function attention(graph: Graph, qkv: Value, { name, heads }: AttentionOptions): Value {
  const [sequences, tokens, width] = qkv.shape;
  const channels = width / 3;
  const headDimension = channels / heads;
  expectTensor(name, qkv, [sequences, tokens, Math.round(channels) * 3]);
  if (!Number.isInteger(headDimension) || headDimension % 4 !== 0) {
    throw new StamError('unsupported', {
      where: name,
      problem: 'the channels of a head must be a multiple of four',
      got: `${channels} channels in ${heads} heads`,
    });
  }
  const output = graph.activation(name, [sequences, tokens, channels], qkv.storage);
  graph.add({
    name,
    operator: 'attention',
    inputs: { qkv },
    outputs: { output },
    flops: 4 * sequences * tokens * tokens * channels,
    candidates: (capabilities) =>
      kernels(capabilities, { storage: qkv.storage, sequences, tokens, heads, headQuads: headDimension / 4 }),
    check: {
      shapes: { qkv: [Math.min(sequences, 2), tokens, width] },
      build: (small, operands) => attention(small, operands['qkv'], { name, heads }),
      row: attentionRow(tokens, heads, headDimension),
    },
  });
  return output;
}

/** Every kernel that can run it on such a device, best guess first. */
function kernels(capabilities: Capabilities, problem: Attention): Kernel[] {
  const { software } = capabilities.adapter;
  const families = software
    ? [attentionSubgroup, attentionTile]
    : [attentionFlash, attentionMatrix, attentionTile, attentionOuter, attentionSubgroup];
  return families.flatMap((family) => family(problem, capabilities));
}
