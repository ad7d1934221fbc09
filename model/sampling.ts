// How the official infer.py takes frames from a video for each model.
import type { StamConfig } from './config.ts';

/** Which frames of a video are taken. */
export interface Sampling {
  /** F. */
  readonly framesPerClip: number;
  /** Frames taken from a second of video. */
  readonly frameRate: number;
  /** Taken frames from the first of one clip to the first of the next. */
  readonly stepBetweenClips: number;
}

/** Seconds of video that a clip spans. infer.py sets 1.6, 3.2 and 6.4 frames a second for 16, 32 and 64 frames; stam_8, which it lacks, follows. */
const clipSeconds = 10;

/** infer.py's sampling for a model. Its clips are so far apart that a video of less than ten minutes gives one. */
export function samplingOf({ frames }: StamConfig): Sampling {
  return { framesPerClip: frames, frameRate: frames / clipSeconds, stepBetweenClips: 1000 };
}
