// linear() as convolutional networks use it: on some pixels, behind a gate, with Swish, and activated after the residual.
import type { Activation } from '../../shaders/index.ts';
import { add, linear, panelLayout } from '../../shaders/index.ts';
import type { OperatorCase, Tensor } from '../conformance.ts';
import { nasty, randomStream, uniform } from '../random.ts';
import * as reference from '../reference.ts';
import type { Extent } from '../reference-convolutions.ts';
import { choosePixels, gated } from '../reference-convolutions.ts';
import { storageTolerance, sumTolerance, swishTolerance } from '../tolerance.ts';

interface Pointwise {
  readonly extent: Extent;
  readonly n: number;
  readonly activation?: Activation;
  readonly bias?: boolean;
  readonly gate?: boolean;
  readonly stride?: number;
  readonly frames?: { readonly start: number; readonly count: number };
  readonly residual?: boolean;
  readonly asOnGpu?: boolean;
}

const largest = (values: ArrayLike<number>) =>
  Array.from(values).reduce((peak, value) => Math.max(peak, Math.abs(value)), 0);

function pointwiseCase(
  { extent, n, activation = 'none', bias, gate, stride = 1, frames, residual, asOnGpu }: Pointwise,
  seed: number,
): OperatorCase {
  const random = randomStream(seed);
  const [videos, count, height, width, k] = extent;
  const range = frames ?? { start: 0, count };
  const out = [videos, range.count, Math.ceil(height / stride), Math.ceil(width / stride), n];
  const results = out.reduce((a, b) => a * b, 1);
  const elements = extent.reduce((a, b) => a * b, 1);
  const input: Tensor = { shape: extent, data: (gate ? uniform : nasty)(random, elements) };
  const weight: Tensor = { shape: [n, k], data: uniform(random, n * k), layout: panelLayout };
  const operands: Record<string, Tensor> = {
    input,
    weight,
    ...(bias && { bias: { shape: [n], data: uniform(random, n), f32: true } }),
    ...(gate && { gate: { shape: [videos, k], data: uniform(random, videos * k), f32: true } }),
    ...(residual && {
      residual: { shape: out, data: nasty(random, results) },
      zeros: { shape: out, data: new Float32Array(results) },
    }),
  };
  const rows = gate
    ? gated(input.data, operands['gate'].data, { videos })
    : choosePixels(input.data, extent, { stride, ...range });
  const onRows = (values: ArrayLike<number>, factors: ArrayLike<number>, absolute = false) => {
    const of = (name: string) => operands[name]?.data.map(absolute ? Math.abs : (x) => x);
    const [shift, added] = [of('bias'), of('residual')];
    return reference.linear(values, factors, {
      k,
      ...(shift && { bias: shift }),
      ...(added && { residual: added }),
      activation: absolute ? 'none' : activation,
      activateSum: true,
    });
  };
  const fused = [
    frames && `frames ${range.start}+${range.count}`,
    stride > 1 && `every ${stride}`,
    gate && 'gate',
    bias && 'bias',
    residual && 'residual first',
    activation,
    asOnGpu && 'as on a GPU',
  ].filter(Boolean);
  return {
    operator: 'linear',
    name: `pointwise [${extent.join(', ')}] to ${n}, ${fused.join(' ')}`,
    operands,
    ...(asOnGpu && { asOnGpu }),
    build: (graph, values) =>
      linear(graph, values['input'], {
        name: 'linear',
        weight: values['weight'],
        bias: values['bias'],
        activation,
        activateSum: residual ?? false,
        // its memory becomes the result's, so it must be an activation: a sum with zero makes it one
        residual: values['residual'] && add(graph, values['residual'], values['zeros'], { name: 'residual' }),
        gate: values['gate'],
        ...((stride > 1 || frames) && { pixels: { stride, ...(frames && { frames }) } }),
      }),
    expected: () => onRows(rows, weight.data),
    tolerance: (storage, expected) => {
      const sums = largest(onRows(rows.map(Math.abs), weight.data.map(Math.abs), true));
      // a gated row is off by Swish's own error, and matrices of halves have it rounded to halves
      const gating = gate
        ? k * swishTolerance(1) + (storage === 'f16' ? 4 * Math.sqrt(k) * storageTolerance(storage, largest(rows)) : 0)
        : 0;
      return (
        1.1 * (sumTolerance(k + 2, sums) + gating) +
        (activation === 'swish' ? swishTolerance(largest(expected)) : 0) +
        storageTolerance(storage, largest(expected))
      );
    },
    products: () => ({
      terms: k,
      magnitude: largest(reference.linear(rows.map(Math.abs), weight.data.map(Math.abs), { k })),
    }),
  };
}

export const pointwiseCases: readonly OperatorCase[] = [
  pointwiseCase({ extent: [1, 3, 5, 7, 24], n: 54, bias: true, activation: 'relu' }, 60),
  pointwiseCase({ extent: [1, 2, 9, 11, 54], n: 24, bias: true, gate: true, residual: true, activation: 'relu' }, 61),
  pointwiseCase({ extent: [2, 2, 4, 3, 37], n: 20, gate: true }, 62),
  pointwiseCase({ extent: [2, 3, 7, 10, 24], n: 48, bias: true, stride: 2 }, 63),
  pointwiseCase({ extent: [1, 6, 5, 3, 10], n: 13, frames: { start: 2, count: 3 }, activation: 'swish' }, 64),
  pointwiseCase({ extent: [1, 5, 4, 3, 33], n: 8, frames: { start: 0, count: 2 }, stride: 2, bias: true }, 65),
  pointwiseCase({ extent: [1, 2, 11, 8, 72], n: 136, gate: true, bias: true, asOnGpu: true }, 66),
  pointwiseCase({ extent: [1, 3, 9, 7, 30], n: 70, stride: 2, bias: true, asOnGpu: true }, 67),
];
