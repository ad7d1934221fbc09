// From a file to the F pictures that the model is to see, by the best way that this browser has.
import type { StamConfig } from '../index.ts';
import type { OwnFrame } from './decode.ts';
import { decodeFrames } from './decode.ts';
import type { FrameChoice } from './frame-choice.ts';
import { chooseFrames, chooseTimes } from './frame-choice.ts';
import type { SeekableVideo } from './seek.ts';
import { openSeekable } from './seek.ts';
import type { VideoFile } from './video-file.ts';
import { openVideoFile } from './video-file.ts';

export interface Clip {
  readonly choice: FrameChoice;
  /** F of them. */
  readonly pictures: readonly OwnFrame[];
  /** What the visitor should know of how they came about. */
  readonly remarks: readonly string[];
  /** Milliseconds for the container, and for the frames. */
  readonly readMs: number;
  readonly decodeMs: number;
  close(): void;
}

export interface ClipOptions {
  /** F frames over the whole video in place of the official sampling. */
  readonly spread: boolean;
  readonly signal: AbortSignal;
  /** Called once the frames are chosen, and then for each as it comes. */
  readonly onChoice: (choice: FrameChoice) => void;
  readonly onPicture: (picture: OwnFrame, place: number) => void;
}

/** Reads the model's frames. Throws TooShort, or bad-video when no way leads to the frames; closes everything when it fails. */
export async function readClip(file: File, config: StamConfig, options: ClipOptions): Promise<Clip> {
  const { spread, signal, onChoice, onPicture } = options;
  const begin = performance.now();
  const opened = await open(file, signal);
  const pictures: OwnFrame[] = [];
  const close = () => {
    for (const picture of pictures) picture.close();
  };
  try {
    const { choice, frames, remarks } = await chooseWay(opened, file, config, { spread, signal });
    const read = performance.now();
    onChoice(choice);
    for await (const picture of frames) {
      onPicture(picture, pictures.length);
      pictures.push(picture);
    }
    const asIs = pictures.every((picture) => 'displayWidth' in picture);
    if (!asIs) remarks.push('Colours are as the browser converts them, not as the official pipeline does.');
    if (!choice.official && spread) remarks.push('The frames are spread over the video: not the official sampling.');
    return { choice, pictures, remarks, readMs: read - begin, decodeMs: performance.now() - read, close };
  } catch (error) {
    close();
    throw error;
  } finally {
    opened.video?.close();
    opened.player?.close();
  }
}

/** What could be opened, and why not more. */
interface Opened {
  readonly video?: VideoFile;
  player?: SeekableVideo;
  readonly refusal?: unknown;
}

async function open(file: File, signal: AbortSignal): Promise<Opened> {
  try {
    return { video: await openVideoFile(file, signal) };
  } catch (refusal) {
    signal.throwIfAborted();
    return { refusal };
  }
}

async function chooseWay(
  opened: Opened,
  file: File,
  config: StamConfig,
  { spread, signal }: { spread: boolean; signal: AbortSignal },
): Promise<{ choice: FrameChoice; frames: AsyncIterable<OwnFrame>; remarks: string[] }> {
  const { video, refusal } = opened;
  if (video) {
    const choice = chooseFrames(video, config, spread);
    if (await video.track.canDecode()) {
      return { choice, frames: decodeFrames(video, choice.times, signal), remarks: [] };
    }
    opened.player = await openSeekable(file, signal);
    const reason =
      typeof VideoDecoder === 'undefined' ? 'This browser has no WebCodecs' : `WebCodecs has no ${video.codec}`;
    const remarks = [`${reason}: the frames come from a <video> element, each at its time, and may be off by one.`];
    return { choice, frames: opened.player.frames(choice.times, signal), remarks };
  }
  opened.player = await openSeekable(file, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    throw refusal ?? error; // the demuxer says more than a <video> does
  });
  const choice = chooseTimes(opened.player.duration, config, spread);
  const remarks = [
    'The frames of this kind of file cannot be counted: they are taken from a <video> element by the clock.',
  ];
  return { choice, frames: opened.player.frames(choice.times, signal), remarks };
}
