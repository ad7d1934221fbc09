// Which frames of a video the official infer.py looks at: what torchvision's VideoClips computes from the number of frames and
// the frame rate, to the last bit of its rounding.
//
//   step  = fps / frameRate                                        in double
//   total = floor(frameCount * (frameRate / fps))                  in double, in this order
//   resampled[i] = i * step                      while < frameCount, when step is an integer: total does not limit these
//                  floor(f32(f32(i) * f32(step)))  for i < total     otherwise: torch computes it in float32
//   clip k = resampled[k * stepBetweenClips, + framesPerClip)      as many as fit
import { StamError } from '../../engine/errors.ts';

/** How a video is sampled. Frame rates are in frames per second. */
export interface ClipRule {
  /** F, the frames of one clip. */
  readonly framesPerClip: number;
  /** The rate that the video is resampled to before clips are cut. */
  readonly frameRate: number;
  /** From the begin of one clip to the begin of the next, in resampled frames. */
  readonly stepBetweenClips: number;
}

/** float32 counts no further: torch's own index arithmetic repeats and skips frames from here on. */
const maxFrames = 2 ** 24;

/**
 * The frames of each clip, [clips][F], as indices into the video's frames in the order of their timestamps; no clip when the video is
 * too short for one. A frame can occur more than once, where `frameRate` exceeds `fps`.
 * Throws bad-input when an argument is no count or rate, or the float32 arithmetic leads past the last frame.
 */
export function chooseClips(frameCount: number, fps: number, rule: ClipRule): readonly (readonly number[])[] {
  checkRule(fps, rule);
  checkWhole('frameCount', frameCount, 0, maxFrames);
  const { framesPerClip, stepBetweenClips } = rule;
  const { count, at } = resampling(frameCount, fps, rule.frameRate);
  const clips: number[][] = [];
  for (let begin = 0; begin + framesPerClip <= count; begin += stepBetweenClips) {
    const clip = Array.from({ length: framesPerClip }, (_, i) => at(begin + i));
    const last = clip[framesPerClip - 1];
    if (last >= frameCount) {
      // torchvision fails here too, with an IndexError
      throw new StamError('bad-input', {
        where: 'frame choice',
        problem: `float32 rounding leads past the end of a video of ${frameCount} frames at ${fps} fps`,
        got: `frame ${last}`,
        expected: `at most ${frameCount - 1}`,
      });
    }
    clips.push(clip);
  }
  return clips;
}

/** The least number of frames that a video of this rate must have for one clip. Throws bad-input as `chooseClips` does. */
export function leastFrames(fps: number, rule: Pick<ClipRule, 'framesPerClip' | 'frameRate'>): number {
  checkRule(fps, { ...rule, stepBetweenClips: 1 });
  const { framesPerClip, frameRate } = rule;
  const step = fps / frameRate;
  if (Number.isInteger(step)) return (framesPerClip - 1) * step + 1;
  // near the quotient, whose own rounding may be off by one
  let least = Math.max(1, Math.ceil(framesPerClip / (frameRate / fps)) - 1);
  while (resampling(least, fps, frameRate).count < framesPerClip) least += 1;
  return least;
}

/** What to say of a video that has no clip: parts of a StamError's message. */
export function tooShort(frameCount: number, fps: number, rule: ClipRule) {
  return {
    problem: `too short for a clip of ${rule.framesPerClip} frames`,
    got: `${frameCount} frames at ${Number(fps.toFixed(3))} fps`,
    expected: `at least ${leastFrames(fps, rule)}`,
  };
}

/** The resampled video: how many frames it has, and which frame of the original each is. */
function resampling(frameCount: number, fps: number, frameRate: number) {
  const step = fps / frameRate;
  if (Number.isInteger(step)) return { count: Math.ceil(frameCount / step), at: (i: number) => i * step };
  const single = Math.fround(step);
  return {
    count: Math.floor(frameCount * (frameRate / fps)),
    // the product of two float32 is exact in double, so that this rounds once, as torch does
    at: (i: number) => Math.floor(Math.fround(Math.fround(i) * single)),
  };
}

function checkRule(fps: number, { framesPerClip, frameRate, stepBetweenClips }: ClipRule): void {
  checkRate('fps', fps);
  checkRate('frameRate', frameRate);
  checkWhole('framesPerClip', framesPerClip, 1, maxFrames);
  checkWhole('stepBetweenClips', stepBetweenClips, 1, Number.MAX_SAFE_INTEGER);
}

/** Rates within these bounds keep every quotient and product finite and above zero. Throws bad-input for others. */
export function checkRate(name: string, rate: number): void {
  if (rate >= 1e-6 && rate <= 1e6) return;
  throw new StamError('bad-input', { where: name, problem: 'no frame rate', got: `${rate}`, expected: '1e-6 to 1e6' });
}

/** Throws bad-input for what is no integer from `least` to `most`. */
export function checkWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  const expected = `an integer from ${least} to ${most}`;
  throw new StamError('bad-input', { where: name, problem: 'not a valid count', got: `${value}`, expected });
}
