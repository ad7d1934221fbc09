// Which frames of a video the model is to see where the official sampling does not say.
import type { Sampling } from '../index.ts';

/** Frames of one clip. */
export interface FrameChoice {
  /** F frame numbers, or, of a video whose frames nobody could count, null for each. */
  readonly numbers: readonly (number | null)[];
  /** When they are shown, in seconds. */
  readonly times: readonly number[];
}

/** The official sampling gives no clip. Frames can still be spread over what there is. */
export class TooShort extends Error {
  override readonly name = 'TooShort';
}

/** As many frames as a clip has, at even distances over a whole video of `count` frames. */
export function spreadFrames(count: number, { framesPerClip }: Sampling): number[] {
  return Array.from({ length: framesPerClip }, (_, i) => Math.floor(((i + 0.5) * count) / framesPerClip));
}

/**
 * Frames by the clock alone, for a video whose frames nobody could count: by the rate of the official sampling, or with `spread` over the whole
 * video, whose `duration` is in seconds. Throws TooShort when there is no clip.
 */
export function chooseTimes(duration: number, { framesPerClip, frameRate }: Sampling, spread: boolean): FrameChoice {
  const needed = framesPerClip / frameRate;
  if (!spread && duration < needed) {
    throw new TooShort(
      `The video is too short: it lasts ${shortNumber(duration)} s, and ${framesPerClip} frames at ${shortNumber(frameRate)} per ` +
        `second need ${shortNumber(needed)} s.`,
    );
  }
  const at = (i: number) => (spread ? ((i + 0.5) * duration) / framesPerClip : i / frameRate);
  const times = Array.from({ length: framesPerClip }, (_, i) => at(i));
  return { numbers: times.map(() => null), times };
}

const shortNumber = (value: number) => `${Number(value.toFixed(2))}`;
