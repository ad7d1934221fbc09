// resample: the crop of a resized picture, to the last bit as Pillow's Image.resize(BILINEAR) and torchvision's ToTensor give it.
//
// Pillow resizes along rows, rounds to bytes, then along columns, and weighs pixels by integers. Source of the arithmetic:
// python-pillow/Pillow src/libImaging/Resample.c, unchanged from 7.0 to 12.
import type { AnyValue, Graph, NodeCheck, Part, Value } from '../engine/graph.ts';
import { linearGrid } from '../engine/kernel.ts';
import { rowLayout } from '../engine/layout.ts';
import { quads } from '../engine/shape.ts';
import { expectTensor } from './expect.ts';
import { formatTexts, type PixelFormat, pictureBytes } from './pixels.ts';
import columnsSource from './resample-columns.wgsl';
import { type RgbOf, resampledRow, rgbOf } from './resample-definitions.ts';
import rowsSource from './resample-rows.wgsl';
import { resampleTaps, rowsRead, type Taps } from './resample-taps.ts';
import textureSource from './resample-texture.wgsl';
import imageExternal from './shared/image-external.wgsl';
import imageTexture from './shared/image-texture.wgsl';
import tapsSource from './shared/taps.wgsl';

/** What float each byte stands for: byte / 255 in float32, as ToTensor divides. */
export function byteLevels(): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: 256 }, (_, byte) => byte / 255);
}

/** A table of taps as the kernels bind it. */
export function tapsInput(graph: Graph, name: string, { table }: Taps): Value<'u32'> {
  return graph.input(name, [table.length], 'u32');
}

/** The same table as a run takes it. */
export function tapsWords({ table }: Taps): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(rowLayout.elements([table.length]));
  words.set(table);
  return words;
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
  options: Crop & { readonly size: number; readonly external: boolean },
): Value {
  const { name, across, down, levels, size, external } = options;
  expectCrop(options);
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
    // a frame of video is a browser's to make
    check: external ? undefined : textureCheck(),
  });
  return output;
}

/**
 * Pictures of dense bytes, `pixels` [F, words of a picture] -> F frames of `into` [.., 3, S, S], each byte turned into a float.
 * Throws shape-mismatch when the pixels are too few for such pictures, and for tensors of another shape or type.
 */
export function resample(graph: Graph, pixels: AnyValue, options: ResampleOptions): void {
  const { name, format, fullRange, width, height, across, down, levels, into } = options;
  const { label, text, constants } = formatTexts[format];
  const [frames, words] = pixels.shape;
  const size = into.value.shape.at(-1) ?? 0;
  const columns = 4 * quads(size);
  expectCrop(options);
  expectTensor(name, into.value, [into.part.of, 3, size, size], 'f32');
  expectTensor(name, pixels, [frames, Math.max(words, Math.ceil(pictureBytes(format, width, height) / 4))], 'u32');
  const [firstRow, endRow] = rowsRead(down.taps);
  const rows = endRow - firstRow;
  const check = bytesCheck(format, fullRange);
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
    check,
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
    check,
  });
}

function expectCrop({ name, across, down, levels }: Crop): void {
  expectTensor(name, across.table, [across.taps.table.length], 'u32');
  expectTensor(name, down.table, [down.taps.table.length], 'u32');
  expectTensor(name, levels, [256], 'f32');
}

/** A picture for the self-check, made smaller by a fourth and cropped. Its sizes are odd: chroma is cut at its edges. */
const small = { width: 11, height: 9, size: 5 };

/** Its crop: in a graph, in memory, and as the definition of what comes of such pixels. */
function smallCrop() {
  const across = resampleTaps({ from: small.width, to: 8, first: 2 }, 4 * quads(small.size));
  const down = resampleTaps({ from: small.height, to: 7, first: 0 }, small.size);
  return {
    declare: (graph: Graph): Crop => ({
      name: 'resample',
      across: { taps: across, table: tapsInput(graph, 'across', across) },
      down: { taps: down, table: tapsInput(graph, 'down', down) },
      levels: graph.input('levels', [256], 'f32'),
    }),
    inputs: { across: tapsWords(across), down: tapsWords(down), levels: byteLevels() },
    row: (rgb: RgbOf) => resampledRow(rgb, across, down, small.size),
  };
}

/** A white third, then bytes without an order, by Knuth's multiplicative hash. */
const noise = (words: number) =>
  Uint32Array.from({ length: words }, (_, i) => (3 * i < words ? 0xffffffff : Math.imul(i, 2654435761)));

/** Both kernels of resample() in turn: what lies between them are no floats. */
function bytesCheck(format: PixelFormat, fullRange: boolean): NodeCheck {
  const crop = smallCrop();
  const words = Math.ceil(pictureBytes(format, small.width, small.height) / 4);
  const pixels = noise(4 * quads(words));
  const rgb = rgbOf(new Uint8Array(pixels.buffer), { ...small, format, fullRange });
  return {
    given: { inputs: { ...crop.inputs, pixels } },
    build: (graph) => {
      const value = graph.activation('frames', [1, 3, small.size, small.size], 'f32');
      const into = { value, part: { start: 0, of: 1 } };
      const input = graph.input('pixels', [1, words], 'u32');
      resample(graph, input, { ...crop.declare(graph), ...small, format, fullRange, into });
      return value;
    },
    row: crop.row(rgb),
  };
}

function textureCheck(): NodeCheck {
  const crop = smallCrop();
  const { width, height, size } = small;
  const data = new Uint8Array(noise(width * height).buffer);
  const rgb = rgbOf(data, { ...small, format: 'RGBA', fullRange: false });
  return {
    given: { inputs: crop.inputs, textures: { image: { width, height, data } } },
    build: (graph) =>
      resampleTexture(graph, graph.texture('image', width, height), { ...crop.declare(graph), size, external: false }),
    row: crop.row(rgb),
  };
}
