// Which of our operators computes a web-platform-test, and with what operands. Elements are moved about and padded, never computed with.
import type { StorageType } from '../../engine/dtype.ts';
import { elementCount, formatShape, sameShape } from '../../engine/shape.ts';
import { add, attention, layerNorm, linear, panelLayout, squeezeExcite } from '../../shaders/index.ts';
import { axesLast, permute } from './arrange.ts';
import type { WptCase } from './cases.ts';
import { floatsOf, inputOf } from './cases.ts';
import { convolution } from './convolution.ts';
import type { Part } from './part.ts';
import { tolerances } from './tolerance.ts';

export interface Mapped {
  readonly storage: StorageType;
  readonly parts: readonly Part[];
}

type Mapper = (test: WptCase) => readonly Part[] | string;

const mappers: Readonly<Record<string, Mapper>> = {
  add: sum,
  relu: rectifier,
  sigmoid: sigmoidByGate,
  matmul: matrixProduct,
  layerNormalization: normalisation,
  softmax: softmaxByAttention,
  conv2d: convolution,
};

/** More elements than this take a software adapter, and the memory of the machine that it runs on, too long. */
const mostElements = 2 ** 20;

/** A case as calls of our operators, or why it is left out. */
export function mapCase(test: WptCase): Mapped | string {
  const mapper = mappers[test.operator];
  if (!mapper) return 'no such operator: it is folded into convolutions when weights are read';
  const storage = ({ float32: 'f32', float16: 'f16' } as const)[test.output.dataType];
  if (!storage) return 'integers';
  if (elementCount(test.output.shape) > mostElements) return `${formatShape(test.output.shape)} is too large here`;
  const parts = mapper(test);
  return typeof parts === 'string' ? parts : { storage, parts };
}

/** The operands by these names. Throws where the case lacks one. */
function inputsOf(test: WptCase, ...names: readonly string[]) {
  return names.map((name) => {
    const operand = inputOf(test, name);
    if (!operand) throw new Error(`${test.name}: no ${name}`);
    return { shape: operand.shape, data: floatsOf(operand) };
  });
}

function sum(test: WptCase): readonly Part[] | string {
  const [left, right] = inputsOf(test, 'a', 'b');
  if (!sameShape(left.shape, right.shape)) return 'add does not broadcast';
  return [
    {
      operator: 'add',
      name: test.name,
      operands: { left, right },
      build: (graph, values) => add(graph, values['left'], values['right'], { name: 'add' }),
      expected: floatsOf(test.output),
      tolerance: tolerances.add,
    },
  ];
}

/** linear with the identity, which is exact for finite numbers, and ReLU as its activation. */
function rectifier(test: WptCase): readonly Part[] {
  const [{ data }] = inputsOf(test, 'input');
  const length = data.length % 4 === 0 ? 4 : 1; // element by element, so that rows may be of any length
  const identity = Float32Array.from({ length: length ** 2 }, (_, i) => (i % (length + 1) === 0 ? 1 : 0));
  return [
    {
      operator: 'linear',
      name: test.name,
      operands: {
        input: { shape: [data.length / length, length], data },
        weight: { shape: [length, length], data: identity, layout: panelLayout },
      },
      build: (graph, values) =>
        linear(graph, values['input'], { name: 'relu', weight: values['weight'], activation: 'relu' }),
      expected: floatsOf(test.output),
      tolerance: tolerances.relu,
    },
  ];
}

/** Squeeze and excitation of nothing: of its sums only the bias is left, which is the case's input. */
function sigmoidByGate(test: WptCase): readonly Part[] | string {
  if (test.output.dataType !== 'float32') return 'gates are f32';
  const [{ data }] = inputsOf(test, 'input');
  const zeros = (...shape: number[]) => ({ shape, data: new Float32Array(elementCount(shape)), f32: true });
  const channels = data.length;
  return [
    {
      operator: 'squeezeExcite',
      name: test.name,
      operands: {
        means: zeros(1, 1, channels),
        squeeze: zeros(1, channels),
        squeezeBias: zeros(1),
        expand: zeros(channels, 1),
        expandBias: { shape: [channels], data, f32: true },
      },
      build: (graph, { means, squeeze, squeezeBias, expand, expandBias }) =>
        squeezeExcite(graph, means, { name: 'sigmoid', squeeze, squeezeBias, expand, expandBias }),
      expected: floatsOf(test.output),
      tolerance: tolerances.sigmoid,
    },
  ];
}

/** A linear for each matrix of the batch, or for all of their rows where they share the right one, which is transposed as a weight. */
function matrixProduct(test: WptCase): readonly Part[] {
  const [left, right] = inputsOf(test, 'a', 'b');
  const [k, n] = right.shape.slice(-2);
  const m = left.shape.at(-2) ?? 1;
  const batch = test.output.shape.slice(0, -2);
  const expected = floatsOf(test.output);
  const isShared = elementCount(right.shape) === k * n;
  const matrices = elementCount(batch);
  const count = isShared ? 1 : matrices;
  const rows = (m * matrices) / count;
  /** Where a matrix of the batch begins in an operand that may be broadcast. */
  const start = (shape: readonly number[], matrix: number) => {
    const sizes = [...Array<number>(batch.length + 2 - shape.length).fill(1), ...shape.slice(0, -2)];
    let rest = matrix;
    let index = 0;
    let stride = elementCount(shape.slice(-2));
    for (let axis = batch.length - 1; axis >= 0; axis--) {
      index += sizes[axis] === 1 ? 0 : (rest % batch[axis]) * stride;
      stride *= sizes[axis];
      rest = Math.floor(rest / batch[axis]);
    }
    return index;
  };
  return Array.from({ length: count }, (_, matrix): Part => {
    const from = start(left.shape, matrix);
    const weightFrom = start(right.shape, matrix);
    return {
      operator: 'linear',
      name: test.name,
      operands: {
        input: { shape: [rows, k], data: left.data.slice(from, from + rows * k) },
        weight: {
          shape: [n, k],
          data: permute(right.data.slice(weightFrom, weightFrom + k * n), [k, n], [1, 0]),
          layout: panelLayout,
        },
      },
      build: (graph, values) => linear(graph, values['input'], { name: 'matmul', weight: values['weight'] }),
      expected: expected.slice(matrix * rows * n, (matrix + 1) * rows * n),
      tolerance: tolerances.matmul(k),
    };
  });
}

/** layerNorm over the axes that the case names, once they lie last; without names, over all but the first. */
function normalisation(test: WptCase): readonly Part[] {
  const [input] = inputsOf(test, 'input');
  const rank = input.shape.length;
  const { axes = [...Array(rank).keys()].slice(1), epsilon = 1e-5 } = test.arguments as {
    axes?: readonly number[];
    epsilon?: number;
  };
  const length = elementCount(axes.map((axis) => input.shape[axis]));
  const order = axesLast(rank, axes);
  const scale = inputOf(test, 'scale');
  const bias = inputOf(test, 'bias');
  return [
    {
      operator: 'layerNorm',
      name: test.name,
      operands: {
        input: { shape: [input.data.length / length, length], data: permute(input.data, input.shape, order) },
        weight: { shape: [length], data: scale ? floatsOf(scale) : new Float32Array(length).fill(1), f32: true },
        bias: { shape: [length], data: bias ? floatsOf(bias) : new Float32Array(length), f32: true },
      },
      build: (graph, values) =>
        layerNorm(graph, values['input'], {
          name: 'layerNorm',
          weight: values['weight'],
          bias: values['bias'],
          epsilon,
        }),
      expected: permute(floatsOf(test.output), input.shape, order),
      tolerance: tolerances.layerNormalization,
    },
  ];
}

/**
 * Attention of which each row x is a sequence: queries are sqrt(D) x, a power of two times it, keys and values the identity. So the
 * scores are x and the result is softmax(x), exactly, followed by D - N zeros; once for each of N queries.
 */
function softmaxByAttention(test: WptCase): readonly Part[] {
  const [input] = inputsOf(test, 'input');
  const axis = Number(test.arguments['axis']);
  const order = axesLast(input.shape.length, [axis]);
  const tokens = input.shape[axis];
  const dimension = 4 ** Math.ceil(Math.log2(Math.max(tokens, 4)) / 2);
  const x = permute(input.data, input.shape, order);
  const result = permute(floatsOf(test.output), input.shape, order);
  const sequences = x.length / tokens;
  const qkv = new Float32Array(sequences * tokens * 3 * dimension);
  const expected = new Float32Array(sequences * tokens * dimension);
  for (let row = 0; row < sequences * tokens; row++) {
    const token = row % tokens;
    const first = row - token;
    for (let i = 0; i < tokens; i++) {
      qkv[row * 3 * dimension + i] = x[first + i] * Math.sqrt(dimension);
      expected[row * dimension + i] = result[first + i];
    }
    qkv[(row * 3 + 1) * dimension + token] = 1;
    qkv[(row * 3 + 2) * dimension + token] = 1;
  }
  return [
    {
      operator: 'attention',
      name: test.name,
      operands: { qkv: { shape: [sequences, tokens, 3 * dimension], data: qkv } },
      build: (graph, values) => attention(graph, values['qkv'], { name: 'softmax', heads: 1 }),
      expected,
      tolerance: tolerances.softmax(tokens),
    },
  ];
}
