import type { LinearOptions } from '../../shaders/index.ts';
import { add, linear, panelLayout, patchEmbed } from '../../shaders/index.ts';
import type { OperatorCase, Tensor } from '../conformance.ts';
import { nasty, randomStream, uniform } from '../random.ts';
import * as reference from '../reference.ts';
import { storageTolerance, sumTolerance } from '../tolerance.ts';

const largest = (values: ArrayLike<number>) =>
  Array.from(values).reduce((peak, value) => Math.max(peak, Math.abs(value)), 0);
const magnitudes = (values: Float32Array) => values.map(Math.abs);

interface LinearShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly bias?: boolean;
  readonly activation?: 'gelu' | 'relu';
  readonly residual?: boolean;
  readonly result?: 'f32';
  /** Inputs in -1..1 only: small sums, whose tolerance is small enough to tell one activation from its approximation. */
  readonly calm?: boolean;
  readonly asOnGpu?: boolean;
}

export function linearCase(shape: LinearShape, seed: number): OperatorCase {
  const { m, n, k, activation, result } = shape;
  const random = randomStream(seed);
  const operands: Record<string, Tensor> = {
    input: { shape: [m, k], data: (shape.calm ? uniform : nasty)(random, m * k) },
    weight: { shape: [n, k], data: uniform(random, n * k), layout: panelLayout },
    ...(shape.bias && { bias: { shape: [n], data: uniform(random, n), f32: true } }),
    ...(shape.residual && {
      residual: { shape: [m, n], data: nasty(random, m * n) },
      zeros: { shape: [m, n], data: new Float32Array(m * n) },
    }),
  };
  const { input, weight, bias, residual } = operands;
  const fused = [
    shape.bias && 'bias',
    activation,
    shape.residual && 'residual',
    result && `result ${result}`,
    shape.calm && 'calm',
    shape.asOnGpu && 'as on a GPU',
  ].filter(Boolean);
  return {
    operator: 'linear',
    name: `${m}x${n}x${k} ${fused.join(' ')}`.trim(),
    operands,
    ...(shape.asOnGpu && { asOnGpu: true }),
    build(graph, values, storage) {
      // the residual's memory becomes the result's, so it must be an activation: a sum with zero makes it one
      const options: LinearOptions = {
        name: 'linear',
        weight: values['weight'],
        bias: values['bias'],
        activation: activation ?? 'none',
        residual: values['residual'] && add(graph, values['residual'], values['zeros'], { name: 'residual' }),
        ...(result && { result }),
      };
      return linear(graph, values['input'], { ...options, result: result ?? storage });
    },
    expected: () =>
      reference.linear(input.data, weight.data, {
        k,
        ...(bias && { bias: bias.data }),
        ...(activation && { activation }),
        ...(residual && { residual: residual.data }),
      }),
    tolerance: (storage, expected) => {
      const sums = largest(
        reference.linear(magnitudes(input.data), magnitudes(weight.data), {
          k,
          ...(bias && { bias: magnitudes(bias.data) }),
        }),
      );
      return (
        sumTolerance(k + 2, sums + largest(residual?.data ?? [])) +
        storageTolerance(result ?? storage, largest(expected))
      );
    },
    products: () => ({
      terms: k,
      magnitude: largest(reference.linear(magnitudes(input.data), magnitudes(weight.data), { k })),
    }),
  };
}

export function patchCase(
  {
    frames,
    size,
    patch,
    channels,
    tokens,
  }: Record<'frames' | 'size' | 'patch' | 'channels', number> & { tokens: boolean },
  seed: number,
): OperatorCase {
  const random = randomStream(seed);
  const grid = size / patch;
  const k = 3 * patch * patch;
  const operands: Record<string, Tensor> = {
    frames: { shape: [frames, 3, size, size], data: uniform(random, frames * 3 * size * size), f32: true },
    weight: { shape: [channels, 3, patch, patch], data: uniform(random, channels * k), layout: panelLayout },
    bias: { shape: [channels], data: uniform(random, channels), f32: true },
    ...(tokens && {
      classToken: { shape: [1, 1, channels], data: uniform(random, channels), f32: true },
      positions: {
        shape: [1, grid * grid + 1, channels],
        data: uniform(random, (grid * grid + 1) * channels),
        f32: true,
      },
    }),
  };
  const patches = () =>
    reference.patchEmbed(operands['frames'].data, operands['weight'].data, operands['bias'].data, { size, patch });
  return {
    operator: 'patchEmbed',
    name: `${frames} frames of ${size}, patch ${patch}, ${channels} channels${tokens ? ', tokens' : ''}`,
    operands,
    build: (graph, values, storage) =>
      patchEmbed(graph, values['frames'], {
        name: 'patchEmbed',
        weight: values['weight'],
        bias: values['bias'],
        storage,
        ...(tokens && { tokens: { classToken: values['classToken'], positions: values['positions'] } }),
      }),
    expected: () =>
      tokens
        ? reference.assembleTokens(patches(), operands['classToken'].data, operands['positions'].data, { channels })
        : patches(),
    tolerance: (storage, expected) => sumTolerance(k + 2, k) + storageTolerance(storage, largest(expected)),
    products: () => {
      const [pixels, weight] = [operands['frames'], operands['weight']].map(({ data }) => magnitudes(data));
      return {
        terms: k,
        magnitude: largest(reference.patchEmbed(pixels, weight, new Float32Array(channels), { size, patch })),
      };
    },
  };
}

export const matmulCases: readonly OperatorCase[] = [
  linearCase({ m: 64, n: 64, k: 32 }, 1),
  linearCase({ m: 1, n: 10, k: 64, bias: true }, 2),
  linearCase({ m: 3, n: 401, k: 128, bias: true, result: 'f32' }, 3),
  linearCase({ m: 8, n: 45, k: 96, bias: true, residual: true }, 15),
  linearCase({ m: 9, n: 20, k: 64 }, 16),
  linearCase({ m: 70, n: 96, k: 192, bias: true, activation: 'gelu' }, 4),
  linearCase({ m: 33, n: 132, k: 96, bias: true, activation: 'relu' }, 5),
  linearCase({ m: 131, n: 68, k: 768, bias: true, residual: true }, 6),
  linearCase({ m: 5, n: 7, k: 13, bias: true, residual: true, activation: 'gelu' }, 7),
  linearCase({ m: 17, n: 3, k: 1 }, 8),
  linearCase({ m: 523, n: 70, k: 33, bias: true, residual: true }, 14),
  linearCase({ m: 515, n: 650, k: 32, bias: true }, 17),
  linearCase({ m: 40, n: 24, k: 8, bias: true, activation: 'gelu', result: 'f32', calm: true }, 13),
  linearCase({ m: 133, n: 197, k: 51, bias: true, asOnGpu: true }, 14),
  patchCase({ frames: 2, size: 32, patch: 16, channels: 64, tokens: true }, 9),
  patchCase({ frames: 3, size: 24, patch: 8, channels: 96, tokens: false }, 10),
  patchCase({ frames: 2, size: 21, patch: 7, channels: 20, tokens: true }, 11),
  patchCase({ frames: 1, size: 42, patch: 14, channels: 72, tokens: true }, 12),
];
