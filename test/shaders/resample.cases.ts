// resample: pictures to crops, which have to be right to the last bit.
import type { Axis } from '../../shaders/index.ts';
import { byteLevels, resample, resampleTaps, tapsInput } from '../../shaders/index.ts';
import type { OperatorCase } from '../conformance.ts';
import { randomStream } from '../random.ts';
import * as reference from '../reference.ts';

interface Picture {
  readonly width: number;
  readonly height: number;
  readonly to: readonly [width: number, height: number];
  readonly left: number;
  readonly top: number;
  readonly size: number;
  readonly frames: number;
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

function resampleCase(picture: Picture, seed: number): OperatorCase {
  const { width, height, to, left, top, size, frames } = picture;
  const random = randomStream(seed);
  // edges as hard as bytes allow, between stretches of noise
  const bytes = () => {
    const kind = random();
    return kind < 0.3 ? 0 : kind < 0.6 ? 255 : Math.floor(random() * 256);
  };
  const pictures = Array.from({ length: frames }, () => Uint8Array.from({ length: width * height * 3 }, bytes));
  const axes: { across: Axis; down: Axis } = {
    across: { from: width, to: to[0], first: left },
    down: { from: height, to: to[1], first: top },
  };
  const across = resampleTaps(axes.across, padTo(size, 4));
  const down = resampleTaps(axes.down, size);
  const tableWords = (table: Int32Array<ArrayBuffer>) => wordsOf([new Uint8Array(table.buffer)]);
  return {
    operator: 'resample',
    name: `${frames} of ${width}x${height} to ${to.join('x')}, ${size}x${size} at ${left},${top}`,
    operands: { levels: { shape: [256], data: byteLevels(), f32: true } },
    words: { pixels: wordsOf(pictures), across: tableWords(across.table), down: tableWords(down.table) },
    build: (graph, { levels }) => {
      const value = graph.activation('frames', [frames, 3, size, size], 'f32');
      const pixels = graph.input('pixels', [frames, Math.ceil((width * height * 3) / 4)], 'u32');
      resample(graph, pixels, {
        name: 'resample',
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
          const resized = reference.resizeBilinear(pixels, [width, height], to);
          return [...reference.toTensor(reference.crop(resized, to, { left, top, size }))];
        }),
      ),
    tolerance: () => 0,
  };
}

export const resampleCases: readonly OperatorCase[] = [
  resampleCase({ width: 37, height: 23, to: [25, 16], left: 4, top: 0, size: 16, frames: 2 }, 51),
  resampleCase({ width: 9, height: 11, to: [18, 22], left: 3, top: 5, size: 14, frames: 1 }, 52), // upwards, an odd width of rows
  resampleCase({ width: 20, height: 15, to: [20, 15], left: 2, top: 1, size: 12, frames: 3 }, 53), // nothing to resize
  resampleCase({ width: 16, height: 50, to: [16, 21], left: 1, top: 3, size: 13, frames: 1 }, 54), // along columns only
  resampleCase({ width: 201, height: 3, to: [12, 8], left: -3, top: -5, size: 17, frames: 1 }, 55), // black around, 17 pixels into one
];
