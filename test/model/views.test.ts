// Views of frames against plain loops in double precision, after torch's interpolate and SlowFast's uniform_crop.
import { describe, expect, test } from 'vitest';
import type { DecodedFrames } from '../../model/preprocess.ts';
import { averageViews, cropViews, placeCrops, scaleFrames, testSize } from '../../model/views.ts';

/** Bytes that no row, column or colour repeats. */
function pictures(frames: number, width: number, height: number): DecodedFrames {
  const data = Uint8Array.from(
    { length: frames * height * width * 3 },
    (_, i) => (Math.imul(i, 2654435761) >>> 13) & 255,
  );
  return { width, height, data };
}

/** One scaled value, straight from the definition: four neighbours, weighted by how near they are. */
function scaledValue(
  { data, width, height }: DecodedFrames,
  [frame, y, x, colour]: readonly number[],
  to: { width: number; height: number },
): number {
  const sourceY = Math.max(0, (y + 0.5) * (height / to.height) - 0.5);
  const sourceX = Math.max(0, (x + 0.5) * (width / to.width) - 0.5);
  let sum = 0;
  for (const row of [0, 1]) {
    for (const column of [0, 1]) {
      const fromY = Math.min(Math.floor(sourceY) + row, height - 1);
      const fromX = Math.min(Math.floor(sourceX) + column, width - 1);
      const shareY = row ? sourceY % 1 : 1 - (sourceY % 1);
      const shareX = column ? sourceX % 1 : 1 - (sourceX % 1);
      sum += (shareY * shareX * data[((frame * height + fromY) * width + fromX) * 3 + colour]) / 255;
    }
  }
  return sum;
}

const sizes = [
  [34, 25, 16],
  [25, 34, 16],
  [16, 16, 16],
  [16, 23, 16],
  [23, 16, 16],
  [9, 7, 20],
  [7, 9, 20],
  [1, 1, 5],
  [33, 1, 2],
  [40, 30, 13],
] as const;

describe.each(sizes)('%i x %i, views of %i', (width, height, size) => {
  const clip = pictures(2, width, height);
  const short = Math.min(width, height);
  const to = {
    width: width < height ? size : height < width ? Math.floor((width / short) * size) : size,
    height: width < height ? Math.floor((height / short) * size) : size,
  };

  test('scaling', () => {
    const scaled = scaleFrames(clip, 2, to);
    expect(scaled.length).toBe(3 * 2 * to.height * to.width);
    let at = 0;
    let worst = 0;
    for (let colour = 0; colour < 3; colour++) {
      for (let frame = 0; frame < 2; frame++) {
        for (let y = 0; y < to.height; y++) {
          for (let x = 0; x < to.width; x++) {
            worst = Math.max(worst, Math.abs(scaled[at++] - scaledValue(clip, [frame, y, x, colour], to)));
          }
        }
      }
    }
    // three roundings of values up to 255, and of the shares, in single precision
    expect(worst).toBeLessThan(4 * 2 ** -24);
  });

  test('three squares, in the order of SlowFast', () => {
    const views = new Float32Array(3 * 3 * 2 * size * size).fill(Number.NaN);
    cropViews(clip, 2, size, views);
    const long = Math.max(to.width, to.height);
    const offsets = [0, Math.ceil((long - size) / 2), long - size];
    let at = 0;
    for (const offset of offsets) {
      for (let colour = 0; colour < 3; colour++) {
        for (let frame = 0; frame < 2; frame++) {
          for (let y = 0; y < size; y++) {
            for (let x = 0; x < size; x++) {
              const place = to.height > to.width ? [frame, y + offset, x] : [frame, y, x + offset];
              expect(views[at++]).toBeCloseTo(scaledValue(clip, [...place, colour], to), 6);
            }
          }
        }
      }
    }
    expect(at).toBe(views.length);
  });
});

test('frames of the size asked for stay as they are', () => {
  const clip = pictures(1, 4, 4);
  const red = [...clip.data].filter((_, i) => i % 3 === 0).map((byte) => Math.fround(byte / 255));
  expect([...scaleFrames(clip, 1, { width: 4, height: 4 })].slice(0, 16)).toEqual(red);
});

test("places of Kinetics' usual sizes", () => {
  expect(placeCrops(340, 256, 256)).toEqual({
    width: 340,
    height: 256,
    corners: [
      { x: 0, y: 0 },
      { x: 42, y: 0 },
      { x: 84, y: 0 },
    ],
  });
  expect(placeCrops(720, 1280, 356)).toEqual({
    width: 356,
    height: 632,
    corners: [
      { x: 0, y: 0 },
      { x: 0, y: 138 },
      { x: 0, y: 276 },
    ],
  });
  // 455 - 256 is odd: the centre is rounded up
  expect(placeCrops(1280, 720, 256).corners[1]).toEqual({ x: 100, y: 0 });
});

test('sizes of tests', () => {
  expect([224, 312, 193].map(testSize)).toEqual([256, 356, 193]);
});

test.each([
  [0, 10, 5],
  [10, 1.5, 5],
  [10, 10, 0],
])('no places in %d x %d for %d', (width, height, size) => {
  expect(() => placeCrops(width, height, size)).toThrow(/views: no size/);
});

test('bytes that are not those of the pictures are refused', () => {
  const clip = pictures(2, 4, 4);
  const to = { width: 4, height: 4 };
  expect(() => scaleFrames(clip, 3, to)).toThrow(/got 96 bytes in RGB, expected 144/);
  expect(() => scaleFrames({ ...clip, format: 'I420' }, 2, to)).toThrow(/in I420/);
});

describe('averages', () => {
  test('of a softmax of each view, as logarithms', () => {
    const logits = Float32Array.of(1, 2, -3, 0, 5, 4.5, -1, -1, -1);
    const means = [0, 0, 0];
    for (let view = 0; view < 3; view++) {
      let total = 0;
      for (let c = 0; c < 3; c++) total += Math.exp(logits[3 * view + c]);
      for (let c = 0; c < 3; c++) means[c] += Math.exp(logits[3 * view + c]) / total / 3;
    }
    const got = averageViews(logits, 3);
    expect(got.length).toBe(3);
    for (const [c, mean] of means.entries()) expect(Math.exp(got[c])).toBeCloseTo(mean, 6);
  });

  test('of logits whose exponentials are no numbers any more', () => {
    const got = averageViews(Float32Array.of(2000, -2000, 0, -3000, 1000, 999), 3);
    expect(got[0]).toBeCloseTo(Math.log(0.5), 6);
    expect(got[1]).toBeCloseTo(Math.log(0.5 / (1 + Math.exp(-1))), 6);
    expect(got[2]).toBeCloseTo(Math.log(0.5 / (1 + Math.E)), 6);
  });
});
