// resample: the crop of a resized picture, to the last bit as Pillow's Image.resize(BILINEAR) and torchvision's ToTensor give it.
//
// Pillow resizes along rows, rounds to bytes, then along columns, and weighs pixels by integers. Source of the arithmetic:
// python-pillow/Pillow src/libImaging/Resample.c, unchanged from 7.0 to 12.
import { StamError } from '../engine/errors.ts';
import type { AnyValue, Graph, Part, Value } from '../engine/graph.ts';
import { linearGrid } from '../engine/kernel.ts';
import { quads } from '../engine/shape.ts';
import { formatTexts, type PixelFormat, pictureBytes } from './pixels.ts';
import columnsSource from './resample-columns.wgsl';
import rowsSource from './resample-rows.wgsl';
import textureSource from './resample-texture.wgsl';
import imageExternal from './shared/image-external.wgsl';
import imageTexture from './shared/image-texture.wgsl';
import tapsSource from './shared/taps.wgsl';

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
const unit = 2 ** 22;

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

/** What float each byte stands for: byte / 255 in float32, as ToTensor divides. */
export function byteLevels(): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: 256 }, (_, byte) => byte / 255);
}

/** A table of taps as the kernels bind it. */
export function tapsInput(graph: Graph, name: string, { table }: Taps): Value<'u32'> {
  return graph.input(name, [table.length], 'u32');
}

interface Crop {
  readonly name: string;
  /** Of the S columns and the S rows of the result. */
  readonly across: { readonly taps: Taps; readonly table: AnyValue };
  readonly down: { readonly taps: Taps; readonly table: AnyValue };
  /** byteLevels(), [256]. */
  readonly levels: Value;
}

export interface ResampleOptions extends Crop {
  readonly format: PixelFormat;
  /** Of planes: whether luma is 0..255 rather than 16..235. */
  readonly fullRange: boolean;
  /** W and H of the picture. */
  readonly width: number;
  readonly height: number;
  /** The result, [F, 3, S, S] in f32, and which of its frames are made here. */
  readonly into: { readonly value: Value; readonly part: Part };
}

/**
 * One picture in a texture, or with `external` in a frame of video -> [1, 3, S, S], as resample() does it. Texels count as bytes: 255
 * times their value, rounded.
 */
export function resampleTexture(
  graph: Graph,
  image: AnyValue,
  { name, across, down, levels, size, external }: Crop & { readonly size: number; readonly external: boolean },
): Value {
  const output = graph.activation(name, [1, 3, size, size], 'f32');
  const columns = 4 * quads(size);
  graph.add({
    name,
    operator: 'resample',
    inputs: { image, across: across.table, down: down.table, levels },
    outputs: { output },
    flops: 6 * size * size * (across.taps.reach + 1) * down.taps.reach,
    candidates: () => [
      {
        name: 'resample-texture',
        variant: external ? 'external' : 'texture',
        source: textureSource,
        imports: { image: external ? imageExternal : imageTexture, taps: tapsSource },
        constants: {},
        params: { columns, size, reach_across: across.taps.reach, reach_down: down.taps.reach },
        workgroups: [Math.ceil(columns / 8), Math.ceil(size / 8), 1],
        features: [],
      },
    ],
  });
  return output;
}

/**
 * Pictures of dense bytes, `pixels` [F, words of a picture] -> F frames of `into` [.., 3, S, S], each byte turned into a float.
 * Throws shape-mismatch when the pixels are too few for such pictures.
 */
export function resample(graph: Graph, pixels: AnyValue, options: ResampleOptions): void {
  const { name, format, fullRange, width, height, across, down, levels, into } = options;
  const { label, text, constants } = formatTexts[format];
  const [frames, words] = pixels.shape;
  const size = into.value.shape.at(-1) ?? 0;
  const columns = 4 * quads(size);
  const bytes = pictureBytes(format, width, height);
  if (4 * words < bytes) {
    throw new StamError('shape-mismatch', {
      where: name,
      problem: 'the pictures have too few bytes',
      got: `${4 * words}`,
      expected: `${bytes} (${format}, ${width}x${height})`,
    });
  }
  const [firstRow, endRow] = rowsRead(down.taps);
  const rows = endRow - firstRow;
  const narrowed = graph.activation(`${name} across`, [frames, rows, columns], 'u32');
  const count = frames * rows * columns;
  graph.add({
    name: `${name} across`,
    operator: 'resample',
    inputs: { input: pixels, taps: across.table },
    outputs: { output: narrowed },
    flops: 6 * count * across.taps.reach,
    candidates: () => [
      {
        name: 'resample-rows',
        variant: label,
        source: rowsSource,
        imports: { taps: tapsSource, pixels: text },
        constants,
        params: {
          count,
          width,
          height,
          full_range: fullRange ? 1 : 0,
          first_row: firstRow,
          rows,
          columns,
          frame_words: 4 * quads(words),
          reach: across.taps.reach,
        },
        workgroups: linearGrid(Math.ceil(count / 64)),
        features: [],
      },
    ],
  });
  const quadCount = frames * size * quads(size);
  graph.add({
    name: `${name} down`,
    operator: 'resample',
    inputs: { input: narrowed, taps: down.table, levels },
    outputs: { output: into.value },
    flops: 24 * quadCount * down.taps.reach,
    candidates: () => [
      {
        name: 'resample-columns',
        variant: 'rgb',
        source: columnsSource,
        imports: { taps: tapsSource },
        constants: {},
        params: {
          count: quadCount,
          first_frame: into.part.start,
          first_row: firstRow,
          rows,
          size,
          reach: down.taps.reach,
        },
        workgroups: linearGrid(Math.ceil(quadCount / 64)),
        features: [],
      },
    ],
  });
}
