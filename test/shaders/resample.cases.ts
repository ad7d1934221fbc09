// resample: pictures to crops, which have to be right to the last bit.
import type { Axis, PixelFormat } from '../../shaders/index.ts';
import { byteLevels, pictureBytes, resample, resampleTaps, tapsInput } from '../../shaders/index.ts';
import type { OperatorCase } from '../conformance.ts';
import { randomStream } from '../random.ts';
import * as reference from '../reference.ts';

export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly to: readonly [width: number, height: number];
  readonly left: number;
  readonly top: number;
  readonly size: number;
  readonly frames: number;
  /** RGB unless told. */
  readonly format?: PixelFormat;
  readonly fullRange?: boolean;
}

const padTo = (count: number, multiple: number) => multiple * Math.ceil(count / multiple);

/** Bytes in words, each of `rows` beginning at a multiple of four words. */
function wordsOf(rows: readonly Uint8Array[]): Uint32Array<ArrayBuffer> {
  const pitch = padTo(rows[0].byteLength, 16);
  const bytes = new Uint8Array(rows.length * pitch);
  rows.forEach((row, i) => {
    bytes.set(row, i * pitch);
  });
  return new Uint32Array(bytes.buffer);
}

export function resampleCase(picture: Picture, seed: number): OperatorCase {
  const { width, height, to, left, top, size, frames, format = 'RGB', fullRange = false } = picture;
  const random = randomStream(seed);
  // edges as hard as bytes allow, between stretches of noise
  const bytes = () => {
    const kind = random();
    return kind < 0.3 ? 0 : kind < 0.6 ? 255 : Math.floor(random() * 256);
  };
  const pictures = Array.from({ length: frames }, () =>
    Uint8Array.from({ length: pictureBytes(format, width, height) }, bytes),
  );
  const axes: { across: Axis; down: Axis } = {
    across: { from: width, to: to[0], first: left },
    down: { from: height, to: to[1], first: top },
  };
  const across = resampleTaps(axes.across, padTo(size, 4));
  const down = resampleTaps(axes.down, size);
  const tableWords = (table: Int32Array<ArrayBuffer>) => wordsOf([new Uint8Array(table.buffer)]);
  return {
    operator: 'resample',
    name: `${frames} of ${width}x${height} ${format}${fullRange ? ' full range' : ''} to ${to.join('x')}, ${size}x${size} at ${left},${top}`,
    operands: { levels: { shape: [256], data: byteLevels(), f32: true } },
    words: { pixels: wordsOf(pictures), across: tableWords(across.table), down: tableWords(down.table) },
    build: (graph, { levels }) => {
      const value = graph.activation('frames', [frames, 3, size, size], 'f32');
      const pixels = graph.input('pixels', [frames, Math.ceil(pictureBytes(format, width, height) / 4)], 'u32');
      resample(graph, pixels, {
        name: 'resample',
        format,
        fullRange,
        width,
        height,
        across: { taps: across, table: tapsInput(graph, 'across', across) },
        down: { taps: down, table: tapsInput(graph, 'down', down) },
        levels,
        into: { value, part: { start: 0, of: frames } },
      });
      return value;
    },
    expected: () =>
      Float64Array.from(
        pictures.flatMap((pixels) => {
          const resized = reference.resizeBilinear(toRgb(pixels, picture), [width, height], to);
          return [...reference.toTensor(reference.crop(resized, to, { left, top, size }))];
        }),
      ),
    tolerance: () => 0,
  };
}

/** What the reference takes: R G B of each pixel. */
export function toRgb(pixels: Uint8Array, { width, height, format = 'RGB', fullRange = false }: Picture): Uint8Array {
  if (format === 'RGB') return pixels;
  const count = width * height;
  if (format === 'RGBA' || format === 'BGRA') {
    const order = format === 'RGBA' ? [0, 1, 2] : [2, 1, 0];
    return Uint8Array.from({ length: 3 * count }, (_, i) => pixels[4 * Math.floor(i / 3) + order[i % 3]]);
  }
  const chroma = pixels.subarray(count);
  const half = chroma.length / 2;
  const pairs = (first: number) => Uint8Array.from({ length: half }, (_, i) => chroma[2 * i + first]);
  const [u, v] = format === 'NV12' ? [pairs(0), pairs(1)] : [chroma.subarray(0, half), chroma.subarray(half)];
  return reference.planesToRgb([pixels.subarray(0, count), u, v], width, { fullRange });
}

const small = { width: 13, height: 11, to: [12, 10], left: 1, top: 1, size: 9, frames: 2 } as const;

export const resampleCases: readonly OperatorCase[] = [
  resampleCase({ width: 37, height: 23, to: [25, 16], left: 4, top: 0, size: 16, frames: 2 }, 51),
  resampleCase({ width: 9, height: 11, to: [18, 22], left: 3, top: 5, size: 14, frames: 1 }, 52), // upwards, an odd width of rows
  resampleCase({ width: 20, height: 15, to: [20, 15], left: 2, top: 1, size: 12, frames: 3 }, 53), // nothing to resize
  resampleCase({ width: 16, height: 50, to: [16, 21], left: 1, top: 3, size: 13, frames: 1 }, 54), // along columns only
  resampleCase({ width: 201, height: 3, to: [12, 8], left: -3, top: -5, size: 17, frames: 1 }, 55), // black around, 17 pixels into one
  resampleCase({ ...small, format: 'RGBA' }, 56),
  resampleCase({ ...small, format: 'BGRA' }, 57),
  resampleCase({ ...small, format: 'I420' }, 58),
  resampleCase({ ...small, width: 14, format: 'NV12' }, 59),
  resampleCase({ ...small, height: 12, format: 'I420', fullRange: true }, 60),
];
