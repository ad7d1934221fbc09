import { attention } from '../../shaders/index.ts';
import type { OperatorCase } from '../conformance.ts';
import { nasty, randomStream, uniform } from '../random.ts';
import * as reference from '../reference.ts';
import { expTolerance, storageTolerance, sumTolerance } from '../tolerance.ts';

interface AttentionShape {
  readonly sequences: number;
  readonly tokens: number;
  readonly heads: number;
  readonly dimension: number;
  /** Values up to 64, so that the softmax saturates. */
  readonly steep?: boolean;
}

export function attentionCase(
  { sequences, tokens, heads, dimension, steep = false }: AttentionShape,
  seed: number,
): OperatorCase {
  const shape = [sequences, tokens, 3 * heads * dimension];
  const data = (steep ? nasty : uniform)(randomStream(seed), sequences * tokens * 3 * heads * dimension);
  const largest = steep ? 64 : 1;
  // a score is a sum of D products; steep ones are dominated by the few large factors
  const score = (steep ? 8 * 64 : 1) * Math.sqrt(dimension);
  return {
    operator: 'attention',
    name: `${sequences}x${tokens} tokens, ${heads} heads of ${dimension}${steep ? ', steep' : ''}`,
    operands: { qkv: { shape, data } },
    build: (graph, { qkv }) => attention(graph, qkv, { name: 'attention', heads }),
    expected: () => reference.attention(data, { tokens, heads, dimension }),
    tolerance: (storage) =>
      largest * (2 * sumTolerance(dimension, score) + expTolerance(Math.min(score, 88)) + sumTolerance(tokens, 1)) +
      storageTolerance(storage, largest),
  };
}

export const attentionCases: readonly OperatorCase[] = [
  attentionCase({ sequences: 2, tokens: 197, heads: 2, dimension: 64 }, 21),
  attentionCase({ sequences: 3, tokens: 17, heads: 8, dimension: 96 }, 22),
  attentionCase({ sequences: 1, tokens: 65, heads: 3, dimension: 16 }, 23),
  attentionCase({ sequences: 2, tokens: 5, heads: 4, dimension: 12 }, 24),
  attentionCase({ sequences: 1, tokens: 1, heads: 1, dimension: 4 }, 25),
  attentionCase({ sequences: 1, tokens: 130, heads: 1, dimension: 128, steep: true }, 26),
  attentionCase({ sequences: 1, tokens: 16, heads: 2, dimension: 8, steep: true }, 27),
  attentionCase({ sequences: 1, tokens: 33, heads: 3, dimension: 20 }, 28),
  attentionCase({ sequences: 1, tokens: 9, heads: 1, dimension: 136 }, 29),
];
