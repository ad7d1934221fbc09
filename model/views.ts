// The views that X3D is tested on, as SlowFast takes them: the shorter side of the frames of a clip is scaled to S, three squares are cut
// out of them, and what the network makes of all views of a video is averaged.
import { StamError } from '../engine/errors.ts';
import type { DecodedFrames } from './preprocess.ts';

/** Views of a clip: left, centre and right, or top, centre and bottom. */
export const cropsPerClip = 3;

/** X3D's test: 10 clips of 16 frames, every fifth at 30 a second. With its crops they are 30 views of 16 frames. */
export const x3dViews = { clips: 10, frameStep: 5, targetRate: 30 } as const;

/** S in tests, by the size trained on. */
const testSizes: ReadonlyMap<number, number> = new Map([
  [224, 256],
  [312, 356],
]);

/** The size at which a network is tested that was trained on frames of `trained` x `trained`: its own, if nobody published another. */
export function testSize(trained: number): number {
  return testSizes.get(trained) ?? trained;
}

/** Frames scaled, and where in them the squares are that are cut out; all in pixels. */
export interface CropPlaces {
  readonly width: number;
  readonly height: number;
  /** The upper left corners. */
  readonly corners: readonly { readonly x: number; readonly y: number }[];
}

/** Scales the shorter side of frames to `size` and places three squares along the longer one. Throws bad-input for what is no size. */
export function placeCrops(width: number, height: number, size: number): CropPlaces {
  if (![width, height, size].every((value) => Number.isSafeInteger(value) && value > 0)) {
    throw new StamError('bad-input', {
      where: 'views',
      problem: 'no size',
      got: `frames of ${width}x${height}, views of ${size}`,
      expected: 'positive integers',
    });
  }
  const [toWidth, toHeight] =
    width < height ? [size, Math.floor((height / width) * size)] : [Math.floor((width / height) * size), size];
  const centre = { x: Math.ceil((toWidth - size) / 2), y: Math.ceil((toHeight - size) / 2) };
  const corners =
    toHeight > toWidth
      ? [{ ...centre, y: 0 }, centre, { ...centre, y: toHeight - size }]
      : [{ ...centre, x: 0 }, centre, { ...centre, x: toWidth - size }];
  return { width: toWidth, height: toHeight, corners };
}

/**
 * Scales frames as torch's interpolate(mode='bilinear', align_corners=False) does, which looks at four pixels however much it shrinks:
 * [F, H, W, 3] -> [3, F, H', W'] in 0..1. Throws bad-input for pictures that have other bytes than F of them take in RGB.
 */
export function scaleFrames(
  { width, height, data, format = 'RGB' }: DecodedFrames,
  frames: number,
  to: { readonly width: number; readonly height: number },
): Float32Array<ArrayBuffer> {
  if (format !== 'RGB' || data.length !== frames * height * width * 3) {
    throw new StamError('bad-input', {
      where: 'decoded frames',
      problem: 'the bytes are not those of the pictures',
      got: `${data.length} bytes in ${format}`,
      expected: `${frames * height * width * 3} (${frames} pictures of ${width}x${height} in RGB)`,
    });
  }
  const down = taps(height, to.height);
  const across = taps(width, to.width);
  const plane = frames * to.height * to.width;
  const scaled = new Float32Array(3 * plane);
  const line = new Float32Array(3 * width);
  let at = 0;
  for (let frame = 0; frame < frames; frame++) {
    for (let y = 0; y < to.height; y++) {
      const first = (frame * height + down.first[y]) * line.length;
      const second = (frame * height + down.second[y]) * line.length;
      const share = down.share[y];
      for (let i = 0; i < line.length; i++) {
        const value = data[first + i];
        line[i] = value + share * (data[second + i] - value);
      }
      for (let x = 0; x < to.width; x++, at++) {
        const left = 3 * across.first[x];
        const right = 3 * across.second[x];
        const part = across.share[x];
        for (let colour = 0; colour < 3; colour++) {
          const value = line[left + colour];
          scaled[colour * plane + at] = (value + part * (line[right + colour] - value)) / 255;
        }
      }
    }
  }
  return scaled;
}

/** Which two pixels of an axis each of its new pixels lies between, and the share of the second. Pixels have their values at their centres. */
function taps(from: number, to: number): { first: Uint32Array; second: Uint32Array; share: Float32Array } {
  const place = (i: number) => Math.max(0, ((i + 0.5) * from) / to - 0.5);
  const first = Uint32Array.from({ length: to }, (_, i) => Math.floor(place(i)));
  return {
    first,
    second: first.map((pixel) => Math.min(pixel + 1, from - 1)),
    share: Float32Array.from(first, (pixel, i) => place(i) - pixel),
  };
}

/** The views of a clip: [F, H, W, 3] -> [3 crops, 3, F, S, S] in 0..1, into the front of `views`. Throws what scaleFrames() throws. */
export function cropViews(pictures: DecodedFrames, frames: number, size: number, views: Float32Array): void {
  const places = placeCrops(pictures.width, pictures.height, size);
  const scaled = scaleFrames(pictures, frames, places);
  let at = 0;
  for (const { x, y } of places.corners) {
    for (let picture = 0; picture < 3 * frames; picture++) {
      for (let line = y; line < y + size; line++) {
        const begin = (picture * places.height + line) * places.width + x;
        views.set(scaled.subarray(begin, begin + size), at);
        at += size;
      }
    }
  }
}

/**
 * The mean over views of the softmax of each: logits [views, classes] -> [classes]. The means are given as logarithms, so that they can be
 * ranked and go through a softmax as logits do, and the least probable classes do not all become zero.
 */
export function averageViews(logits: Float32Array, classes: number): Float32Array<ArrayBuffer> {
  const views = logits.length / classes;
  const shares = Array.from({ length: views }, (_, view) => {
    const own = logits.subarray(view * classes, (view + 1) * classes);
    const total = logSum(own);
    return Float64Array.from(own, (logit) => logit - total);
  });
  return Float32Array.from(
    { length: classes },
    (_, index) => logSum(shares.map((share) => share[index])) - Math.log(views),
  );
}

/** The logarithm of the sum of the exponentials. */
function logSum(values: ArrayLike<number>): number {
  let peak = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) peak = Math.max(peak, values[i]);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i] - peak);
  return peak + Math.log(sum);
}
