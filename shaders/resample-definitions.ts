// What the kernels of pictures compute, in plain loops over bytes. The self-check compares them with it.
import type { Row } from './definitions.ts';
import type { PixelFormat } from './pixels.ts';
import type { Taps } from './resample-taps.ts';
import { unit } from './resample-taps.ts';

/** R, G and B of a pixel, as bytes. */
export type RgbOf = (x: number, y: number) => readonly number[];

/** One pixel of an axis: the bytes at its taps, weighed, and rounded to a byte. */
function weighed({ table, reach }: Taps, index: number, byteAt: (position: number) => number): number {
  const at = index * (2 + reach);
  let sum = unit / 2;
  for (let i = 0; i < table[at + 1]; i++) sum += byteAt(table[at] + i) * table[at + 2 + i];
  return Math.min(255, Math.max(0, Math.floor(sum / unit)));
}

/** The crop of a resized picture, [1, 3, S, S] in 0..1: along rows first, then along columns. */
export function resampledRow(rgb: RgbOf, across: Taps, down: Taps, size: number): Row {
  return (_, row) => {
    const channel = Math.floor(row / size);
    return Float64Array.from({ length: size }, (_, x) => {
      const narrowed = (y: number) => weighed(across, x, (position) => rgb(position, y)[channel]);
      return weighed(down, row % size, narrowed) / 255;
    });
  };
}

/** Reads a picture of a format, as pixels-*.wgsl do. */
export function rgbOf(
  bytes: Uint8Array,
  { width, height, format, fullRange }: { width: number; height: number; format: PixelFormat; fullRange: boolean },
): RgbOf {
  const order = { RGB: [0, 1, 2], RGBA: [0, 1, 2], BGRA: [2, 1, 0] };
  if (format === 'RGB' || format === 'RGBA' || format === 'BGRA') {
    const pitch = format === 'RGB' ? 3 : 4;
    return (x, y) => order[format].map((i) => bytes[pitch * (y * width + x) + i]);
  }
  const half = Math.ceil(width / 2);
  const chroma = half * Math.ceil(height / 2);
  const [pitch, toV] = format === 'I420' ? [1, chroma] : [2, 1];
  const [black, luma, red, greenU, greenV, blue] = fullRange
    ? [0, 8192, 11485, -2819, -5850, 14516]
    : [16, 9539, 13075, -3209, -6660, 16525];
  const times = (value: number, factor: number) => (8 * value * factor) >> 16;
  return (x, y) => {
    const at = width * height + pitch * ((y >> 1) * half + (x >> 1));
    const [grey, u, v] = [times(bytes[y * width + x] - black, luma), bytes[at] - 128, bytes[at + toV] - 128];
    const rgb = [times(v, red), times(u, greenU) + times(v, greenV), times(u, blue)];
    return rgb.map((value) => Math.min(255, Math.max(0, grey + value)));
  };
}
