// Operators on shapes that nobody chose: of any size, and more often than chance just at, below or above what tiles are made of.
import type { OperatorCase } from '../conformance.ts';
import { randomStream } from '../random.ts';
import { attentionCase } from './attention.cases.ts';
import { linearCase, patchCase } from './matmul.cases.ts';
import { resampleCase } from './resample.cases.ts';
import { addCase, layerNormCase, tokensCase } from './rows.cases.ts';

/** `count` cases, one operator after another, the same for the same seed. */
export function randomCases(seed: number, count: number): OperatorCase[] {
  const random = randomStream(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const chance = (share: number) => random() < share;
  const oneOf = <T>(values: readonly T[]): T => values[below(values.length)];
  /** 1..most. */
  const size = (most: number) => {
    const edge = oneOf([4, 8, 16, 32, 64, 128]) + below(3) - 1;
    return chance(0.5) && edge <= most ? edge : 1 + below(most);
  };
  const makers: readonly ((seed: number) => OperatorCase)[] = [
    (own) => {
      const activation = oneOf([undefined, 'gelu', 'relu'] as const);
      const shape = { m: size(200), n: size(200), k: size(300), bias: chance(0.7), residual: chance(0.4) };
      const fused = { ...shape, ...(activation && { activation }), ...(chance(0.2) && { result: 'f32' as const }) };
      // a result in another storage than the operands' has no residual
      return linearCase({ ...fused, residual: shape.residual && !('result' in fused), asOnGpu: chance(0.2) }, own);
    },
    (own) => {
      const [patch, grid] = [1 + below(9), 1 + below(4)];
      const frames = 1 + below(3);
      return patchCase({ frames, size: patch * grid, patch, channels: size(100), tokens: chance(0.5) }, own);
    },
    (own) => {
      const [sequences, tokens] = [1 + below(3), size(140)];
      return attentionCase(
        { sequences, tokens, heads: 1 + below(4), dimension: 4 * size(32), steep: chance(0.3) },
        own,
      );
    },
    (own) =>
      layerNormCase([1 + below(3), 1 + below(9), 1 + size(900)], own, {
        mean: oneOf([0, 512]),
        firstTokenOnly: chance(0.3),
      }),
    (own) => tokensCase([1 + below(4), 2 + below(20), size(130)], own),
    (own) => addCase([1 + below(5), size(130), size(130)], own),
    (own) => {
      const [width, height] = [1 + size(90), 1 + size(90)];
      const to: [number, number] = [1 + size(70), 1 + size(70)];
      const format = oneOf(['RGB', 'RGBA', 'BGRA', 'I420', 'NV12'] as const);
      const crop = { size: size(64), left: below(20) - 10, top: below(20) - 10 };
      return resampleCase({ width, height, to, ...crop, frames: 1 + below(2), format, fullRange: chance(0.3) }, own);
    },
  ];
  return Array.from({ length: count }, (_, i) => makers[i % makers.length](below(2 ** 31)));
}
