// Which pixels of a picture make each pixel of a resized one, in Pillow's integers: its Resample.c, as resample.ts has it.

/** One axis of a resize, of which only the outputs from `first` on are wanted. Lengths are in pixels. */
export interface Axis {
  /** Of the picture. */
  readonly from: number;
  /** Of the resized picture. */
  readonly to: number;
  /** The first wanted pixel of the resized picture; pixels outside of it are black. */
  readonly first: number;
}

/** Which pixels of the input make each output pixel, and with what weights. */
export interface Taps {
  /** Most weights of any output pixel. */
  readonly reach: number;
  /** [outputs, 2 + reach]: the first input pixel, how many there are, and their weights in units of 2^-22. */
  readonly table: Int32Array<ArrayBuffer>;
}

/** Weights are integers, in units of 2^-22: 255 times their sum still fits 31 bits. */
export const unit = 2 ** 22;

/** The taps of `outputs` pixels in a row. A picture of the right size already gives each pixel back. */
export function resampleTaps({ from, to, first }: Axis, outputs: number): Taps {
  const scale = from / to;
  const support = Math.max(scale, 1);
  const reach = from === to ? 1 : Math.min(from, 2 * Math.ceil(support) + 1);
  const table = new Int32Array(outputs * (2 + reach));
  for (let i = 0; i < outputs; i++) {
    const position = first + i;
    if (position < 0 || position >= to) continue; // no taps: black
    const [start, weights] = from === to ? [position, [1]] : tent((position + 0.5) * scale, support, from);
    table.set([start, weights.length, ...weights.map((weight) => Math.floor(weight * unit + 0.5))], i * (2 + reach));
  }
  return { reach, table };
}

/** The triangle filter around `centre`, cut at the ends of the picture, its weights adding up to one. */
function tent(centre: number, support: number, length: number): [start: number, weights: number[]] {
  const start = Math.max(0, Math.trunc(centre - support + 0.5));
  const end = Math.min(length, Math.trunc(centre + support + 0.5));
  const narrowing = 1 / support;
  const weights: number[] = [];
  for (let i = start; i < end; i++) weights.push(Math.max(0, 1 - Math.abs((i - centre + 0.5) * narrowing)));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return [start, sum === 0 ? weights : weights.map((weight) => weight / sum)];
}

/** The rows of the picture that the taps of its columns read: [first, end). */
export function rowsRead({ table, reach }: Taps): [first: number, end: number] {
  let [first, end] = [Number.POSITIVE_INFINITY, 0];
  for (let at = 0; at < table.length; at += 2 + reach) {
    const [start, count] = [table[at], table[at + 1]];
    if (count === 0) continue;
    first = Math.min(first, start);
    end = Math.max(end, start + count);
  }
  return first < end ? [first, end] : [0, 1];
}
