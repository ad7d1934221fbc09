// Which frames of a video the model is to see.
import type { StamConfig } from '../index.ts';
import { chooseClips, leastFrames, samplingOf } from '../index.ts';

/** Frames of one clip. */
export interface FrameChoice {
  /** F frame numbers, or, of a video whose frames nobody could count, null for each. */
  readonly numbers: readonly (number | null)[];
  /** When they are shown, in seconds. */
  readonly times: readonly number[];
  /** Whether the official sampling chose them. */
  readonly official: boolean;
}

/** The official sampling gives no clip. `frames` can still be spread over what there is. */
export class TooShort extends Error {
  override readonly name = 'TooShort';
}

/**
 * The frames of the first clip that the official code takes, or, with `spread`, as many at even distances over the whole video.
 * Throws TooShort when there is no clip.
 */
export function chooseFrames(
  { times, rate }: { readonly times: readonly number[]; readonly rate: number },
  config: StamConfig,
  spread: boolean,
): FrameChoice {
  const sampling = samplingOf(config);
  const { framesPerClip } = sampling;
  const choice = (numbers: readonly number[], official: boolean): FrameChoice => ({
    numbers,
    times: numbers.map((number) => times[number]),
    official,
  });
  if (spread) {
    const middle = (i: number) => Math.floor(((i + 0.5) * times.length) / framesPerClip);
    return choice(
      Array.from({ length: framesPerClip }, (_, i) => middle(i)),
      false,
    );
  }
  const [clip] = chooseClips(times.length, rate, sampling);
  if (clip) return choice(clip, true);
  const least = leastFrames(rate, sampling);
  throw new TooShort(
    `The video is too short: it has ${times.length} frames at ${shortNumber(rate)} per second, and ${framesPerClip} frames at ` +
      `${shortNumber(sampling.frameRate)} per second need ${least} (${shortNumber(least / rate)} s).`,
  );
}

/** The same by the clock alone, for a video whose frames nobody could count. `duration` is in seconds. */
export function chooseTimes(duration: number, config: StamConfig, spread: boolean): FrameChoice {
  const { framesPerClip, frameRate } = samplingOf(config);
  const needed = framesPerClip / frameRate;
  if (!spread && duration < needed) {
    throw new TooShort(
      `The video is too short: it lasts ${shortNumber(duration)} s, and ${framesPerClip} frames at ${shortNumber(frameRate)} per ` +
        `second need ${shortNumber(needed)} s.`,
    );
  }
  const at = (i: number) => (spread ? ((i + 0.5) * duration) / framesPerClip : i / frameRate);
  const times = Array.from({ length: framesPerClip }, (_, i) => at(i));
  return { numbers: times.map(() => null), times, official: false };
}

const shortNumber = (value: number) => `${Number(value.toFixed(2))}`;
