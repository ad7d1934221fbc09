// Frames of the views against SlowFast's get_start_end_idx and temporal_sampling, written out once more in single precision.
import { describe, expect, test } from 'vitest';
import { chooseViews, clipLength, type ViewRule } from '../../../loaders/video/view-choice.ts';

const x3d: ViewRule = { clips: 10, framesPerClip: 16, frameStep: 5, targetRate: 30 };

/** In torch's order of operations; a Float32Array of one element is its float. */
function viewsInPlainLoops(frameCount: number, fps: number): number[][] {
  const float = new Float32Array(4);
  const clips: number[][] = [];
  for (let clip = 0; clip < 10; clip++) {
    let size = ((5 * 16) / 30) * fps;
    if (size < 1) size = 1;
    const delta = frameCount > size ? frameCount - size : 0;
    const begin = (delta * clip) / 10;
    float[0] = begin;
    float[1] = begin + size - 1;
    float[2] = float[1] - float[0];
    float[2] /= 15;
    const frames: number[] = [];
    for (let i = 0; i < 16; i++) {
      float[3] = float[2] * (i < 8 ? i : 15 - i);
      float[3] = i < 8 ? float[0] + float[3] : float[1] - float[3];
      if (float[3] < 0) float[3] = 0;
      if (float[3] > frameCount - 1) float[3] = frameCount - 1;
      frames.push(float[3] - (float[3] % 1));
    }
    clips.push(frames);
  }
  return clips;
}

describe.each([30, 25, 24, 29.97, 30000 / 1001, 24000 / 1001, 50, 60, 15, 12.5, 0.2, 239.76])(
  '%f frames a second',
  (fps) => {
    test('any number of frames', () => {
      for (const frames of [1, 2, 7, 39, 40, 79, 80, 81, 90, 120, 250, 257, 299, 300, 301, 598, 600, 1800, 100_003]) {
        expect(chooseViews(frames, fps, x3d), `${frames} frames`).toEqual(viewsInPlainLoops(frames, fps));
      }
    });
  },
);

test('the first and the last clip of ten seconds', () => {
  const clips = chooseViews(300, 30, x3d);
  const first = [0, 5, 10, 15, 21, 26, 31, 36, 42, 47, 52, 57, 63, 68, 73, 79];
  expect(clips[0]).toEqual(first);
  expect(clips[9]).toEqual(first.map((frame) => frame + 198));
});

test('a place that is an integer in double precision is one below it in single', () => {
  // 0.6 + 79 * 9 / 15 is 48; torch has 79.6 - 79 / 15 * 6 = 47.999996
  const [, clip] = chooseViews(86, 30, x3d);
  expect(clip[9]).toBe(47);
});

test('a video that is shorter than a clip repeats its last frame, in every clip alike', () => {
  expect(clipLength(30, x3d)).toBe(80);
  const clips = chooseViews(40, 30, x3d);
  expect(clips[0]).toEqual([0, 5, 10, 15, 21, 26, 31, 36, 39, 39, 39, 39, 39, 39, 39, 39]);
  for (const clip of clips) expect(clip).toEqual(clips[0]);
});

test.each([
  [0, 30, {}, /frameCount: not a valid count; got 0/],
  [300, Number.NaN, {}, /fps: no frame rate; got NaN/],
  [300, 30, { clips: 0 }, /clips: not a valid count; got 0/],
  [300, 30, { framesPerClip: 1 }, /framesPerClip: .* expected an integer from 2/],
  [300, 30, { frameStep: 2.5 }, /frameStep: not a valid count; got 2.5/],
  [300, 30, { targetRate: 0 }, /targetRate: no frame rate; got 0/],
])('refuses %d frames at %d fps, %j', (frames, fps, change, message) => {
  expect(() => chooseViews(frames, fps, { ...x3d, ...change })).toThrow(message);
});
