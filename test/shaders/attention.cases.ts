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
  /** Scores that rise evenly from -80 to 80 over the keys for every other query, and fall for those between. */
  readonly rising?: boolean;
}

/** Queries of 5 or -5 in every channel and keys on a line, both with a little noise; exact in f16. Scores stay below 85. */
function raise(data: Float32Array<ArrayBuffer>, { tokens, heads, dimension }: AttentionShape): void {
  const channels = heads * dimension;
  for (let i = 0; i < data.length; i++) {
    const token = Math.floor(i / (3 * channels)) % tokens;
    const which = Math.floor(i / channels) % 3;
    const line =
      which === 0 ? 5 * (1 - 2 * (token % 2)) : (16 / Math.sqrt(dimension)) * ((2 * token) / (tokens - 1) - 1);
    if (which < 2) data[i] = Math.round((line + data[i] / 8) * 64) / 64;
  }
}

export function attentionCase(problem: AttentionShape, seed: number): OperatorCase {
  const { sequences, tokens, heads, dimension, steep = false, rising = false } = problem;
  const shape = [sequences, tokens, 3 * heads * dimension];
  const data = (steep ? nasty : uniform)(randomStream(seed), sequences * tokens * 3 * heads * dimension);
  if (rising) raise(data, problem);
  const largest = steep ? 64 : 1;
  // a score is a sum of D products; steep ones are dominated by the few large factors
  const score = rising ? 85 : (steep ? 8 * 64 : 1) * Math.sqrt(dimension);
  return {
    operator: 'attention',
    name: `${sequences}x${tokens} tokens, ${heads} heads of ${dimension}${steep ? ', steep' : rising ? ', rising' : ''}`,
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
  attentionCase({ sequences: 1, tokens: 70, heads: 1, dimension: 16, rising: true }, 30),
  attentionCase({ sequences: 1, tokens: 1568, heads: 1, dimension: 16 }, 31),
];
