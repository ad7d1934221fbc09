// The operators of convolutional networks but for the pointwise ones: frameConv, depthwise, averagePool, squeezeExcite.
import type { Activation } from '../../shaders/index.ts';
import { averagePool, depthwise, frameConv, squeezeExcite, tapLayout } from '../../shaders/index.ts';
import type { OperatorCase, Tensor } from '../conformance.ts';
import { nasty, randomStream, uniform } from '../random.ts';
import type { Extent } from '../reference-convolutions.ts';
import * as reference from '../reference-convolutions.ts';
import { expTolerance, storageTolerance, sumTolerance, swishTolerance } from '../tolerance.ts';

const largest = (values: ArrayLike<number>) =>
  Array.from(values).reduce((peak, value) => Math.max(peak, Math.abs(value)), 0);
const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

interface Depthwise {
  readonly extent: Extent;
  readonly kernel: readonly [number, number, number];
  readonly stride?: number;
  readonly bias?: boolean;
  readonly activation?: Activation;
  /** Where the result is made in two parts, the frame with which the second begins. */
  readonly cut?: number;
  readonly asOnGpu?: boolean;
}

function depthwiseCase(shape: Depthwise, seed: number): OperatorCase {
  const { extent, kernel, stride = 1, bias, activation = 'none', cut, asOnGpu } = shape;
  const random = randomStream(seed);
  const [videos, frames, height, width, channels] = extent;
  const input: Tensor = { shape: extent, data: nasty(random, product(extent)) };
  const weight: Tensor = {
    shape: [channels, 1, ...kernel],
    data: uniform(random, channels * product(kernel)),
    f32: true,
    layout: tapLayout,
  };
  const shift: Tensor = { shape: [channels], data: uniform(random, channels), f32: true };
  const taps = product(kernel);
  const halo = (kernel[0] - 1) / 2;
  const before = cut === undefined ? 0 : Math.max(0, cut - halo);
  const none = new Float32Array(channels);
  const own = bias ? shift.data : none;
  const held = cut === undefined ? input.data : input.data.slice(before * height * width * channels);
  const name = [
    `${kernel.join('x')} of [${extent.join(', ')}]`,
    stride > 1 && `every ${stride}`,
    bias && 'bias',
    activation === 'none' ? '' : activation,
    cut !== undefined && `cut at ${cut}`,
    asOnGpu && 'as on a GPU',
  ];
  return {
    operator: 'depthwise',
    name: name.filter(Boolean).join(' '),
    operands: {
      input,
      weight,
      ...(bias && { shift }),
      ...(cut !== undefined && { held: { shape: [1, frames - before, height, width, channels], data: held } }),
    },
    ...(asOnGpu && { asOnGpu }),
    build(graph, values) {
      const options = { name: 'depthwise', weight: values['weight'], bias: values['shift'], activation, stride };
      if (cut === undefined) return depthwise(graph, values['input'], options);
      const size = [videos, frames, Math.ceil(height / stride), Math.ceil(width / stride), channels];
      const into = graph.activation('parts', size, values['input'].storage);
      const all = { start: 0, count: frames };
      depthwise(graph, values['input'], { ...options, window: { into, make: { start: 0, count: cut }, held: all } });
      const make = { start: cut, count: frames - cut };
      const rest = { start: before, count: frames - before };
      return depthwise(graph, values['held'], { ...options, window: { into, make, held: rest } });
    },
    expected: () => reference.depthwise(input.data, weight.data, own, { extent, kernel, stride, activation }),
    tolerance: (storage, expected) => {
      const magnitudes = [input.data, weight.data, own].map((values) => values.map(Math.abs));
      const [pixels, factors, shifts] = magnitudes;
      const sums = largest(reference.depthwise(pixels, factors, shifts, { extent, kernel, stride }));
      return (
        1.1 * sumTolerance(taps + 1, sums) +
        (activation === 'swish' ? swishTolerance(largest(expected)) : 0) +
        storageTolerance(storage, largest(expected))
      );
    },
  };
}

function frameConvCase(
  [videos, planes, count, size]: readonly [number, number, number, number],
  { channels, kernel, stride, asOnGpu }: { channels: number; kernel: number; stride: number; asOnGpu?: boolean },
  seed: number,
): OperatorCase {
  const random = randomStream(seed);
  const extent = [videos, planes, count, size] as const;
  const shape = [videos, planes, count, size, size];
  const frames: Tensor = { shape, data: uniform(random, product(shape)), f32: true };
  const taps = planes * kernel * kernel;
  const weight: Tensor = {
    shape: [channels, planes, 1, kernel, kernel],
    data: uniform(random, channels * taps),
    f32: true,
    layout: tapLayout,
  };
  const options = { kernel, stride, mean: 0.45, deviation: 0.225 };
  return {
    operator: 'frameConv',
    name: `${kernel}x${kernel} of [${shape.join(', ')}] to ${channels} every ${stride}${asOnGpu ? ' as on a GPU' : ''}`,
    operands: { frames, weight },
    ...(asOnGpu && { asOnGpu }),
    build: (graph, values, storage) =>
      frameConv(graph, values['frames'], { name: 'frameConv', weight: values['weight'], storage, ...options }),
    expected: () => reference.frameConv(frames.data, weight.data, { extent, ...options }),
    // pixels of at most (1 + mean) / deviation = 6.5, each off by a subtraction and a division
    tolerance: (storage, expected) => sumTolerance(taps + 4, 6.5 * taps) + storageTolerance(storage, largest(expected)),
  };
}

function poolCase(
  extent: Extent,
  window: readonly [number, number, number],
  { result, seed }: { result?: 'f32'; seed: number },
): OperatorCase {
  const random = randomStream(seed);
  const input: Tensor = { shape: extent, data: nasty(random, product(extent)) };
  return {
    operator: 'averagePool',
    name: `${window.join('x')} of [${extent.join(', ')}]${result ? ` result ${result}` : ''}`,
    operands: { input },
    build: (graph, values) =>
      averagePool(graph, values['input'], { name: 'averagePool', window, ...(result && { result }) }),
    expected: () => reference.averagePool(input.data, { extent, window }),
    tolerance: (storage, expected) => {
      const magnitude = largest(reference.averagePool(input.data.map(Math.abs), { extent, window }));
      return sumTolerance(product(window) + 1, magnitude) + storageTolerance(result ?? storage, largest(expected));
    },
  };
}

function squeezeExciteCase(
  [videos, frames, channels]: readonly [number, number, number],
  hidden: number,
  seed: number,
): OperatorCase {
  const random = randomStream(seed);
  const operand = (...shape: number[]): Tensor => ({ shape, data: uniform(random, product(shape)), f32: true });
  const operands = {
    means: operand(videos, frames, channels),
    squeeze: operand(hidden, channels),
    squeezeBias: operand(hidden),
    expand: operand(channels, hidden),
    expandBias: operand(channels),
  };
  const { means, squeeze, squeezeBias, expand, expandBias } = operands;
  return {
    operator: 'squeezeExcite',
    name: `[${videos}, ${frames}, ${channels}] by ${hidden}`,
    operands,
    build: (graph, values) =>
      squeezeExcite(graph, values['means'], {
        name: 'squeezeExcite',
        squeeze: values['squeeze'],
        squeezeBias: values['squeezeBias'],
        expand: values['expand'],
        expandBias: values['expandBias'],
      }),
    expected: () =>
      reference.squeezeExcite(means.data, squeeze.data, squeezeBias.data, expand.data, expandBias.data, { frames }),
    // both layers are sums of products of at most one, of `channels` and then of `hidden` of at most channels + 1; sigmoid grows by 1/4
    tolerance: () => {
      const inner = sumTolerance(channels + frames + 1, channels + 1);
      const outer = hidden * inner + sumTolerance(hidden + 1, hidden * Math.sqrt(channels) + 1);
      return (outer + expTolerance(16)) / 4 + sumTolerance(1, 1);
    },
  };
}

export const convolutionCases: readonly OperatorCase[] = [
  depthwiseCase({ extent: [1, 5, 9, 7, 54], kernel: [3, 3, 3], bias: true, activation: 'swish' }, 70),
  depthwiseCase({ extent: [2, 4, 9, 11, 21], kernel: [3, 3, 3], stride: 2, bias: true }, 71),
  depthwiseCase({ extent: [1, 18, 4, 6, 24], kernel: [5, 1, 1], bias: true, activation: 'relu' }, 72),
  depthwiseCase({ extent: [2, 1, 1, 1, 3], kernel: [3, 3, 3] }, 73),
  depthwiseCase({ extent: [1, 19, 3, 5, 6], kernel: [3, 3, 3], stride: 2 }, 74),
  depthwiseCase({ extent: [1, 7, 5, 6, 10], kernel: [3, 3, 3], bias: true, cut: 4 }, 75),
  depthwiseCase({ extent: [1, 6, 4, 5, 9], kernel: [3, 3, 3], stride: 2, bias: true, activation: 'relu', cut: 1 }, 76),
  depthwiseCase({ extent: [1, 4, 6, 5, 16], kernel: [3, 3, 3], bias: true, activation: 'swish', asOnGpu: true }, 77),
  depthwiseCase({ extent: [2, 5, 6, 7, 12], kernel: [3, 3, 3], stride: 2, bias: true, asOnGpu: true }, 78),
  depthwiseCase(
    { extent: [1, 7, 3, 5, 5], kernel: [3, 3, 3], bias: true, activation: 'swish', cut: 4, asOnGpu: true },
    79,
  ),
  depthwiseCase({ extent: [2, 18, 2, 3, 3], kernel: [5, 1, 1], bias: true, activation: 'relu', asOnGpu: true }, 92),
  frameConvCase([1, 3, 3, 17], { channels: 24, kernel: 3, stride: 2 }, 80),
  frameConvCase([2, 3, 2, 16], { channels: 37, kernel: 3, stride: 2 }, 81),
  frameConvCase([1, 2, 1, 6], { channels: 5, kernel: 5, stride: 1 }, 82),
  frameConvCase([1, 3, 2, 10], { channels: 32, kernel: 3, stride: 2, asOnGpu: true }, 83),
  poolCase([2, 3, 9, 7, 54], [1, 9, 7], { result: 'f32', seed: 84 }),
  poolCase([1, 4, 8, 9, 70], [4, 7, 7], { seed: 85 }),
  poolCase([2, 1, 2, 2, 5], [1, 2, 2], { seed: 86 }),
  poolCase([1, 2, 3, 4, 6], [2, 1, 3], { seed: 87 }),
  squeezeExciteCase([1, 16, 54], 8, 88),
  squeezeExciteCase([2, 3, 306], 24, 89),
  squeezeExciteCase([3, 1, 7], 3, 90),
];
