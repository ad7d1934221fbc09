import { describe, expect, test } from 'vitest';
import { chooseClips, leastFrames } from '../../../loaders/video/frame-choice.ts';

const ntsc = 30000 / 1001;
const film = 24000 / 1001;
const models = {
  stam_8: { framesPerClip: 8, frameRate: 0.8, stepBetweenClips: 1000 },
  stam_16: { framesPerClip: 16, frameRate: 1.6, stepBetweenClips: 1000 },
  stam_32: { framesPerClip: 32, frameRate: 3.2, stepBetweenClips: 1000 },
  stam_64: { framesPerClip: 64, frameRate: 6.4, stepBetweenClips: 1000 },
} as const;
type ModelName = keyof typeof models;

describe('what torchvision chooses', () => {
  // measured with torchvision 0.14.1
  test.each<[number, number, ModelName[]]>([
    [30, 300, ['stam_8', 'stam_16', 'stam_32', 'stam_64']],
    [25, 250, ['stam_16', 'stam_32', 'stam_64']],
    [ntsc, 300, ['stam_16', 'stam_32', 'stam_64']],
    [50, 500, ['stam_16', 'stam_32', 'stam_64']],
    [film, 240, ['stam_16', 'stam_32', 'stam_64']],
    [24, 226, ['stam_16']], // a step of exactly 15: the total is not applied
    [24, 240, ['stam_32', 'stam_64']],
  ])('at %f fps a clip needs %d frames', (fps, least, names) => {
    for (const name of names) {
      expect(leastFrames(fps, models[name]), name).toBe(least);
      expect(chooseClips(least, fps, models[name]), name).toHaveLength(1);
      expect(chooseClips(least - 1, fps, models[name]), name).toEqual([]);
    }
  });

  test('the frames of the reference video', () => {
    const indices = [0, 17, 35, 52, 70, 87, 105, 122, 140, 157, 175, 192, 210, 227, 245, 262];
    expect(chooseClips(280, 28, models.stam_16)).toEqual([indices]);
  });

  test.each<[ModelName, number]>([
    ['stam_16', 281],
    ['stam_32', 290],
    ['stam_64', 295],
  ])('%s ends at frame %d of ten seconds at 30 fps', (name, last) => {
    expect(chooseClips(300, 30, models[name])[0].at(-1)).toBe(last);
  });

  test('an integer step takes every so-manyth frame', () => {
    expect(chooseClips(280, 28, models.stam_8)).toEqual([[0, 35, 70, 105, 140, 175, 210, 245]]);
  });

  test('a second clip begins a thousand resampled frames later', () => {
    // 625 s are a thousand frames at 1.6 a second; 16 more make the second clip
    const least = Math.ceil((1016 / 1.6) * 30);
    expect(chooseClips(least - 1, 30, models.stam_16)).toHaveLength(1);
    const clips = chooseClips(least, 30, models.stam_16);
    expect(clips).toHaveLength(2);
    expect(clips[1][0]).toBe(18750);
    // the integer path: 1000 steps of 15
    expect(chooseClips(1015 * 15 + 1, 24, models.stam_16)[1]).toEqual(
      Array.from({ length: 16 }, (_, i) => 15000 + 15 * i),
    );
  });

  test('indices are computed in float32: double precision would give others', () => {
    const rule = { framesPerClip: 241, frameRate: 1.6, stepBetweenClips: 1000 };
    const clip = chooseClips(4000, 23.98, rule)[0];
    expect(Math.floor(240 * (23.98 / 1.6))).not.toBe(clip[240]);
    expect(clip[240]).toBe(Math.floor(Math.fround(240 * Math.fround(23.98 / 1.6))));
  });

  test('where float32 leads past the last frame, it is refused', () => {
    const rule = { framesPerClip: 1, frameRate: 29.999, stepBetweenClips: 16_769_440 };
    const step = new Float32Array([30 / 29.999])[0];
    expect(new Float32Array([16_769_440]).map((i) => i * step)[0]).toBe(16_770_000); // an IndexError in torch
    const past = 'past the end of a video of 16770000 frames at 30 fps; got frame 16770000, expected at most 16769999';
    expect(() => chooseClips(16_770_000, 30, rule)).toThrow(past);
  });

  test('a rate above the video repeats frames', () => {
    const rule = { framesPerClip: 5, frameRate: 6.4, stepBetweenClips: 1000 };
    expect(chooseClips(10, 5, rule)).toEqual([[0, 0, 1, 2, 3]]);
  });
});

/** VideoClips.compute_clips_for_video as it stands there: lists, slices and float32 tensors, nothing worked out in advance. */
function videoClips(n: number, fps: number, numFrames: number, step: number, frameRate: number): number[][] {
  const totalFrames = n * (frameRate / fps);
  const resampleStep = fps / frameRate;
  let idxs: number[];
  if (resampleStep === Math.trunc(resampleStep)) {
    idxs = [];
    for (let frame = 0; frame < n; frame += resampleStep) idxs.push(frame);
  } else {
    const tensor = new Float32Array(Math.floor(totalFrames)).map((_, i) => i); // torch.arange(..., dtype=float32)
    const scalar = new Float32Array([resampleStep])[0];
    const products = tensor.map((value) => value * scalar);
    idxs = [...products].map(Math.floor);
  }
  const rows = Math.floor((idxs.length - numFrames) / step) + 1; // unfold
  return rows < 1 ? [] : Array.from({ length: rows }, (_, row) => idxs.slice(row * step, row * step + numFrames));
}

describe('against a transcription of VideoClips', () => {
  const rates = [
    1,
    5,
    7.5,
    10,
    12,
    12.5,
    14.985,
    15,
    16.722408026755854,
    23.976,
    film,
    23.98,
    24,
    25,
    28,
    29.97,
    ntsc,
    30,
    50,
    59.94,
    60,
    90,
    120,
  ];

  test.each(rates)('at %f fps', (fps) => {
    for (const { framesPerClip, frameRate } of Object.values(models)) {
      for (const stepBetweenClips of [1, 3, 100, 1000]) {
        // around the least length, and long enough for float32 to matter
        const least = leastFrames(fps, { framesPerClip, frameRate });
        for (const n of [0, 1, least - 1, least, least + 1, 299, 300, 301, stepBetweenClips < 1000 ? 1001 : 40_000]) {
          const expected = videoClips(n, fps, framesPerClip, stepBetweenClips, frameRate);
          // not toEqual: it takes seconds for arrays of this size
          const same = (a: readonly (readonly number[])[]) => JSON.stringify(a);
          const got = same(chooseClips(n, fps, { framesPerClip, frameRate, stepBetweenClips }));
          if (got !== same(expected))
            expect.fail(`n ${n}, F ${framesPerClip}, step ${stepBetweenClips}: ${got.slice(0, 200)}`);
        }
      }
    }
  });

  test('the least length, found by trying them all', () => {
    for (const fps of rates) {
      for (const { framesPerClip, frameRate } of Object.values(models)) {
        let n = 1;
        while (videoClips(n, fps, framesPerClip, 1000, frameRate).length === 0) n += 1;
        expect(leastFrames(fps, { framesPerClip, frameRate }), `${fps} fps, F ${framesPerClip}`).toBe(n);
      }
    }
  });
});

describe('arguments', () => {
  const rule = models.stam_16;
  test.each<[string, () => unknown, string]>([
    ['a fraction of a frame', () => chooseClips(1.5, 30, rule), 'frameCount: not a valid count; got 1.5'],
    ['fewer frames than none', () => chooseClips(-1, 30, rule), 'frameCount: not a valid count; got -1'],
    ['more frames than float32 counts', () => chooseClips(2 ** 24 + 1, 30, rule), 'frameCount: not a valid count'],
    ['no rate', () => chooseClips(300, 0, rule), 'fps: no frame rate; got 0'],
    ['a rate that is no number', () => chooseClips(300, Number.NaN, rule), 'fps: no frame rate; got NaN'],
    [
      'an endless rate',
      () => chooseClips(300, 30, { ...rule, frameRate: 1 / 0 }),
      'frameRate: no frame rate; got Infinity',
    ],
    [
      'no frames in a clip',
      () => chooseClips(300, 30, { ...rule, framesPerClip: 0 }),
      'framesPerClip: not a valid count',
    ],
    [
      'clips that stand still',
      () => chooseClips(300, 30, { ...rule, stepBetweenClips: 0 }),
      'stepBetweenClips: not a valid',
    ],
    [
      'a least length of nothing',
      () => leastFrames(30, { ...rule, framesPerClip: -1 }),
      'framesPerClip: not a valid count',
    ],
  ])('%s is refused', (_, call, message) => {
    expect(call).toThrow(expect.objectContaining({ code: 'bad-input', message: expect.stringContaining(message) }));
  });
});
