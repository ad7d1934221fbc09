// Operators that work row by row: layerNorm, assembleTokens, add.
import { add, assembleTokens, layerNorm } from '../../shaders/index.ts';
import type { OperatorCase } from '../conformance.ts';
import { nasty, randomStream, uniform } from '../random.ts';
import * as reference from '../reference.ts';
import { storageTolerance, sumTolerance } from '../tolerance.ts';

const epsilon = 1e-5;

export function layerNormCase(
  shape: readonly number[],
  seed: number,
  { mean = 0, step = 1, firstTokenOnly = false } = {},
): OperatorCase {
  const random = randomStream(seed);
  const length = shape.at(-1) ?? 1;
  const count = shape.reduce((a, b) => a * b, 1);
  // around a large mean: integers, exact in f16, whose squares cancel in a careless variance; in tiny steps: a variance like epsilon
  const plain = mean === 0 && step === 1;
  const data = plain ? nasty(random, count) : uniform(random, count).map((x) => step * (mean + Math.round(8 * x)));
  const weight = uniform(random, length);
  const bias = uniform(random, length);
  const tokens = shape.at(-2) ?? 1;
  const first = data.filter((_, i) => Math.floor(i / length) % tokens === 0);
  return {
    operator: 'layerNorm',
    name: `[${shape.join(', ')}]${mean ? ` around ${mean}` : ''}${step < 1 ? ` in steps of ${step}` : ''}${firstTokenOnly ? ', first tokens' : ''}`,
    operands: {
      input: { shape, data },
      weight: { shape: [length], data: weight, f32: true },
      bias: { shape: [length], data: bias, f32: true },
    },
    build: (graph, values) =>
      layerNorm(graph, values['input'], {
        name: 'layerNorm',
        weight: values['weight'],
        bias: values['bias'],
        epsilon,
        firstTokenOnly,
      }),
    expected: () => reference.layerNorm(firstTokenOnly ? first : data, weight, bias, { epsilon }),
    // the mean is off by sumTolerance of a mean's magnitude, in units of the standard deviation, which is 1 or more, or 4 steps
    tolerance: (storage) =>
      sumTolerance(length, Math.max(mean, 2)) +
      2 * sumTolerance(length, Math.sqrt(length)) +
      storageTolerance(storage, Math.sqrt(length)),
  };
}

export function tokensCase(
  [sequences, tokens, channels]: readonly [number, number, number],
  seed: number,
): OperatorCase {
  const random = randomStream(seed);
  const input = uniform(random, sequences * (tokens - 1) * channels);
  const classToken = uniform(random, channels);
  const positions = uniform(random, tokens * channels);
  return {
    operator: 'assembleTokens',
    name: `[${sequences}, ${tokens}, ${channels}]`,
    operands: {
      input: { shape: [sequences, tokens - 1, channels], data: input },
      classToken: { shape: [1, 1, channels], data: classToken, f32: true },
      positions: { shape: [1, tokens, channels], data: positions, f32: true },
    },
    build: (graph, values) =>
      assembleTokens(graph, values['input'], {
        name: 'tokens',
        classToken: values['classToken'],
        positions: values['positions'],
      }),
    expected: () => reference.assembleTokens(input, classToken, positions, { channels }),
    tolerance: (storage) => storageTolerance(storage, 2) + sumTolerance(1, 2),
  };
}

export function addCase(shape: readonly number[], seed: number): OperatorCase {
  const random = randomStream(seed);
  const count = shape.reduce((a, b) => a * b, 1);
  const left = nasty(random, count);
  const right = nasty(random, count);
  return {
    operator: 'add',
    name: `[${shape.join(', ')}]`,
    operands: { left: { shape, data: left }, right: { shape, data: right } },
    build: (graph, values) => add(graph, values['left'], values['right'], { name: 'add' }),
    expected: () => reference.add(left, right),
    tolerance: (storage) => storageTolerance(storage, 128),
  };
}

export const rowCases: readonly OperatorCase[] = [
  layerNormCase([7, 768], 31),
  layerNormCase([2, 5, 64], 32, { firstTokenOnly: true }),
  layerNormCase([3, 10], 33),
  layerNormCase([4, 1030], 34, { mean: 1024 }),
  layerNormCase([130, 96], 35, { mean: 512 }),
  layerNormCase([1, 17], 36),
  layerNormCase([6, 64], 30, { step: 2 ** -11 }),
  tokensCase([2, 5, 96], 37),
  tokensCase([3, 17, 30], 38),
  addCase([3, 5, 7], 39),
  addCase([1, 1024], 40),
];
