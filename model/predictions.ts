// What logits say: the most probable classes, and where a class stands among all.
import { expectCount } from '../engine/options.ts';

/** One class of a model's answer. */
export interface Prediction {
  readonly index: number;
  /** The class's name; null where nobody has named the classes. */
  readonly label: string | null;
  /** Softmax over all classes, in 0..1. */
  readonly score: number;
}

/** The `topk` most probable classes, best first; of equals the lower number. `logits` are those of one video, [classes]. Throws bad-input. */
export function topPredictions(
  logits: Float32Array,
  topk: number,
  labels: readonly string[] | undefined,
): readonly Prediction[] {
  expectCount('topk', topk);
  const peak = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const shares = Float64Array.from(logits, (logit) => Math.exp(logit - peak));
  const total = shares.reduce((sum, share) => sum + share, 0);
  return [...logits.keys()]
    .sort((a, b) => logits[b] - logits[a] || a - b)
    .slice(0, topk)
    .map((index) => ({ index, label: labels?.[index] ?? null, score: shares[index] / total }));
}

/** How many classes come before this one in topPredictions: 0 for the best. Prec@k counts the ranks below k. */
export function rankOf(logits: Float32Array, label: number): number {
  let before = 0;
  for (let i = 0; i < logits.length; i++) {
    if (logits[i] > logits[label] || (logits[i] === logits[label] && i < label)) before++;
  }
  return before;
}
