// What operators compute: one row of the result, in plain loops and double precision. The self-check compares kernels with it.
// Operands are dense and row-major, under the names of the kernels' bindings.
import type { NodeCheck } from '../engine/graph.ts';
import type { Activation } from './activations.ts';

export type Row = NodeCheck['row'];

/** erf by Abramowitz and Stegun, 7.1.26: good to 1.5e-7. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592].reduce((s, a) => (s + a) * t, 0);
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

export const activations: Readonly<Record<Activation, (x: number) => number>> = {
  none: (x) => x,
  relu: (x) => Math.max(0, x),
  gelu: (x) => (x / 2) * (1 + erf(x / Math.SQRT2)),
  swish: (x) => x / (1 + Math.exp(-x)),
};

/** The product of a row [K] and a column of a weight [N, K]. */
function dot(row: Float32Array, weight: Float32Array, column: number): number {
  const start = column * row.length;
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += row[i] * weight[start + i];
  return sum;
}

/** The left operand of a matmul: what a row of it is made of. */
export type RowOf = (operands: Readonly<Record<string, Float32Array>>, row: number, k: number) => Float32Array;

export const plainRow: RowOf = ({ input }, row, k) => input.subarray(row * k, (row + 1) * k);

/** Swish(input * gate), the gate being that of a video of so many rows; where there is one video, it has all of them. */
export function gatedRow(videoRows: number): RowOf {
  return (operands, row, k) => {
    const gate = Math.min(Math.floor(row / videoRows) * k, operands['gate'].length - k);
    return plainRow(operands, row, k).map((x, i) => activations.swish(x * operands['gate'][gate + i]));
  };
}

/** Every `stride`-th pixel of every `stride`-th line, of frames [T, H, W, K] from `start` on. */
export function pixelRow({
  height,
  width,
  stride,
  start,
}: Record<'height' | 'width' | 'stride' | 'start', number>): RowOf {
  const [outHeight, outWidth] = [Math.ceil(height / stride), Math.ceil(width / stride)];
  return (operands, row, k) => {
    const line = Math.floor(row / outWidth);
    const source = (start + Math.floor(line / outHeight)) * height + (line % outHeight) * stride;
    return plainRow(operands, source * width + (row % outWidth) * stride, k);
  };
}

/** activation(left weight^T + bias) + residual, or the activation of the sum: [M, K], [N, K], [N], [M, N] -> [M, N] */
export function linearRow(
  n: number,
  k: number,
  { activation, activateSum, rowOf }: { activation: Activation; activateSum: boolean; rowOf: RowOf },
): Row {
  const activate = activations[activation];
  return (operands, row) => {
    const { weight, bias, residual } = operands;
    const left = rowOf(operands, row, k);
    return Float64Array.from({ length: n }, (_, column) => {
      const sum = dot(left, weight, column) + (bias?.[column] ?? 0);
      const added = residual?.[row * n + column] ?? 0;
      return activateSum ? activate(sum + added) : activate(sum) + added;
    });
  };
}

/** Pixels [F, 3, S, S], weight [C, 3, P, P], [C]; with class token [C] and positions [T, C] -> [F, T, C] */
export function patchEmbedRow(channels: number, size: number, patch: number): Row {
  const grid = size / patch;
  return ({ frames, weight, bias, class_token: classToken, positions }, row) => {
    const classTokens = classToken ? 1 : 0;
    const token = row % (grid * grid + classTokens);
    const position = (column: number) => positions?.[token * channels + column] ?? 0;
    if (token < classTokens) return Float64Array.from({ length: channels }, (_, c) => classToken[c] + position(c));
    const frame = Math.floor(row / (grid * grid + classTokens));
    const [top, left] = [Math.floor((token - classTokens) / grid) * patch, ((token - classTokens) % grid) * patch];
    const pixels = Float32Array.from({ length: 3 * patch * patch }, (_, i) => {
      const [plane, y, x] = [Math.floor(i / patch ** 2), Math.floor(i / patch) % patch, i % patch];
      return frames[((frame * 3 + plane) * size + top + y) * size + left + x];
    });
    return Float64Array.from({ length: channels }, (_, c) => dot(pixels, weight, c) + bias[c] + position(c));
  };
}

/** softmax(q k^T / sqrt D) v for each of H heads: [B, T, 3, H, D] -> [B, T, H, D] */
export function attentionRow(tokens: number, heads: number, dimension: number): Row {
  const channels = heads * dimension;
  return ({ qkv }, row) => {
    const first = row - (row % tokens);
    const at = (token: number, which: number, head: number) => (token * 3 + which) * channels + head * dimension;
    const output = new Float64Array(channels);
    for (let head = 0; head < heads; head++) {
      const query = qkv.subarray(at(row, 0, head), at(row, 0, head) + dimension);
      const scores = Float64Array.from({ length: tokens }, (_, t) => {
        return query.reduce((sum, q, d) => sum + q * qkv[at(first + t, 1, head) + d], 0) / Math.sqrt(dimension);
      });
      const peak = Math.max(...scores);
      const shares = scores.map((score) => Math.exp(score - peak));
      const total = shares.reduce((a, b) => a + b);
      for (const [t, share] of shares.entries()) {
        for (let d = 0; d < dimension; d++) {
          output[head * dimension + d] += (share / total) * qkv[at(first + t, 2, head) + d];
        }
      }
    }
    return output;
  };
}

/** (x - mean) / sqrt(variance + epsilon) weight + bias of every `stride`-th row of [R, C] */
export function layerNormRow(length: number, stride: number, epsilon: number): Row {
  return ({ input, weight, bias }, row) => {
    const x = Float64Array.from(input.subarray(row * stride * length, (row * stride + 1) * length));
    const mean = x.reduce((a, b) => a + b) / length;
    const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / length;
    return x.map((value, i) => ((value - mean) / Math.sqrt(variance + epsilon)) * weight[i] + bias[i]);
  };
}

/** concat(class token, input) + positions: [B, T - 1, C], [C], [T, C] -> [B, T, C] */
export function assembleTokensRow(tokens: number, channels: number): Row {
  return ({ input, class_token: classToken, positions }, row) => {
    const token = row % tokens;
    const before = Math.floor(row / tokens) + 1; // class tokens up to here, none of which the input has
    return Float64Array.from({ length: channels }, (_, c) => {
      return (token === 0 ? classToken[c] : input[(row - before) * channels + c]) + positions[token * channels + c];
    });
  };
}

/** left + right */
export function addRow(length: number): Row {
  return ({ left, right }, row) =>
    Float64Array.from({ length }, (_, i) => left[row * length + i] + right[row * length + i]);
}
