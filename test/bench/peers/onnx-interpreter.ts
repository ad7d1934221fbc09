// The operators of the written graph as ONNX defines them, in plain loops and double precision.
import { erf } from '../../reference.ts';
import type { OnnxFile, OnnxNode, OnnxTensor } from './onnx-reader.ts';
import { floats } from './onnx-reader.ts';

interface Tensor {
  readonly dims: readonly number[];
  readonly data: ArrayLike<number>;
}

/** Runs the nodes in order. `weights` is the file that the external tensors lie in. Throws for a value that no earlier node made. */
export function runOnnx(file: OnnxFile, input: ArrayLike<number>, weights: Uint8Array): ArrayLike<number> {
  const values = new Map<string, Tensor>([[file.input.name, { dims: file.input.shape, data: input }]]);
  for (const tensor of file.initializers) values.set(tensor.name, { dims: tensor.dims, data: dataOf(tensor, weights) });
  for (const node of file.nodes) {
    const inputs = node.inputs.map((name) => {
      const value = values.get(name);
      if (value) return value;
      throw new Error(`${node.output}: nothing made ${name}`);
    });
    values.set(node.output, apply(node, inputs));
  }
  const output = values.get(file.output.name);
  if (output && `${output.dims}` === `${file.output.shape}`) return output.data;
  throw new Error(`${file.output.name}: got ${output?.dims}, expected ${file.output.shape}`);
}

function dataOf({ raw, type, external, name }: OnnxTensor, weights: Uint8Array): ArrayLike<number> {
  if (raw) return type === 7 ? [...new BigInt64Array(raw.slice().buffer)].map(Number) : floats(raw);
  const offset = Number(external.get('offset'));
  // copied, so that the floats are aligned; a Buffer's slice would be a view
  const bytes = Uint8Array.from(weights.subarray(offset, offset + Number(external.get('length'))));
  if (bytes.length === Number(external.get('length'))) return new Float32Array(bytes.buffer);
  throw new Error(`${name}: the weights' file is too short`);
}

function apply({ type, attributes }: OnnxNode, inputs: readonly Tensor[]): Tensor {
  const [x, y, z] = inputs;
  const last = x.dims.at(-1) ?? 1;
  const list = (name: string) => attributes.get(name) as readonly number[];
  const number = (name: string) => attributes.get(name) as number;
  switch (type) {
    case 'Identity':
      return x;
    case 'Reshape':
      if (product(Array.from(y.data)) !== x.data.length) throw new Error(`Reshape: ${x.dims} to ${Array.from(y.data)}`);
      return { dims: Array.from(y.data), data: x.data };
    case 'Expand':
      return binary(x, { dims: Array.from(y.data), data: [] }, (a) => a);
    case 'Add':
      return binary(x, y, (a, b) => a + b);
    case 'Mul':
      return binary(x, y, (a, b) => a * b);
    case 'Relu':
      return { dims: x.dims, data: Float64Array.from(x.data, (value) => Math.max(0, value)) };
    case 'Gelu':
      if (attributes.get('approximate') !== 'none') throw new Error('Gelu: not the exact one');
      return { dims: x.dims, data: Float64Array.from(x.data, (value) => 0.5 * value * (1 + erf(value / Math.SQRT2))) };
    case 'Transpose':
      return transpose(x, list('perm'));
    case 'Concat':
      return concatenate(x, y, number('axis'));
    case 'Gather': // the one index is 0
      if (y.dims.length > 0 || y.data[0] !== 0 || number('axis') !== 1) throw new Error('Gather: not the first token');
      return {
        dims: x.dims.filter((_, axis) => axis !== 1),
        data: Float64Array.from({ length: x.data.length / x.dims[1] }, (_, i) => {
          const inner = product(x.dims.slice(2));
          return x.data[Math.floor(i / inner) * x.dims[1] * inner + (i % inner)];
        }),
      };
    case 'Softmax':
      return rows(x, last, (row) => {
        const powers = row.map((value) => Math.exp(value - Math.max(...row)));
        const sum = powers.reduce((a, b) => a + b);
        return powers.map((value) => value / sum);
      });
    case 'LayerNormalization':
      return rows(x, last, (row) => {
        const mean = row.reduce((a, b) => a + b) / last;
        const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / last;
        const scale = 1 / Math.sqrt(variance + number('epsilon'));
        return row.map((value, i) => (value - mean) * scale * y.data[i] + z.data[i]);
      });
    case 'MatMul':
      return matmul(x, y);
  }
  throw new Error(`${type}: an operator that the graph should not need`);
}

function matmul(x: Tensor, y: Tensor): Tensor {
  const [m, k] = x.dims.slice(-2);
  const [inner, n] = y.dims.slice(-2);
  const batches = product(x.dims.slice(0, -2));
  const isShared = y.dims.length === 2;
  if (inner !== k || (!isShared && product(y.dims.slice(0, -2)) !== batches)) throw new Error(`${x.dims} @ ${y.dims}`);
  const data = new Float64Array(batches * m * n);
  for (let i = 0; i < data.length; i++) {
    const [row, column] = [Math.floor(i / n), i % n];
    const from = isShared ? 0 : Math.floor(row / m) * k * n;
    for (let j = 0; j < k; j++) data[i] += x.data[row * k + j] * y.data[from + j * n + column];
  }
  return { dims: [...x.dims.slice(0, -1), n], data };
}

/** Both broadcast to the larger rank and size of each dimension. */
function binary(x: Tensor, y: Tensor, combine: (a: number, b: number) => number): Tensor {
  const rank = Math.max(x.dims.length, y.dims.length);
  const pad = ({ dims }: Tensor) => [...Array<number>(rank - dims.length).fill(1), ...dims];
  const dims = pad(x).map((size, i) => Math.max(size, pad(y)[i]));
  const strides = [x, y].map((tensor) =>
    pad(tensor).map((size, i) => (size === 1 ? 0 : product(pad(tensor).slice(i + 1)))),
  );
  const data = Float64Array.from({ length: product(dims) }, (_, index) => {
    const at = positions(index, dims);
    const [a, b] = strides.map((stride) => stride.reduce((sum, step, i) => sum + step * at[i], 0));
    return combine(x.data[a], y.data[b]);
  });
  return { dims, data };
}

function transpose(x: Tensor, perm: readonly number[]): Tensor {
  const dims = perm.map((axis) => x.dims[axis]);
  const strides = perm.map((axis) => product(x.dims.slice(axis + 1)));
  const data = Float64Array.from(
    { length: x.data.length },
    (_, index) => x.data[positions(index, dims).reduce((sum, position, i) => sum + position * strides[i], 0)],
  );
  return { dims, data };
}

function concatenate(x: Tensor, y: Tensor, axis: number): Tensor {
  const dims = x.dims.map((size, i) => (i === axis ? size + y.dims[i] : size));
  const [a, b] = [x, y].map((tensor) => product(tensor.dims.slice(axis)));
  const outer = product(dims.slice(0, axis));
  const slices = Array.from({ length: outer }, (_, i) => [
    ...Array.from(x.data).slice(i * a, (i + 1) * a),
    ...Array.from(y.data).slice(i * b, (i + 1) * b),
  ]);
  return { dims, data: slices.flat() };
}

function rows(x: Tensor, length: number, change: (row: number[]) => number[]): Tensor {
  const values = Array.from(x.data);
  const changed = Array.from({ length: values.length / length }, (_, i) =>
    change(values.slice(i * length, (i + 1) * length)),
  );
  return { dims: x.dims, data: changed.flat() };
}

function positions(index: number, dims: readonly number[]): number[] {
  let rest = index;
  return dims
    .toReversed()
    .map((size) => {
      const position = rest % size;
      rest = Math.floor(rest / size);
      return position;
    })
    .reverse();
}

const product = (values: readonly number[]) => values.reduce((whole, value) => whole * value, 1);
