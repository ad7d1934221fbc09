// From a file to the F pictures that the model is to see, by the best way that this browser has.
import type { Clip, Sampling } from '../index.ts';
import { readClip, StamError } from '../index.ts';
import type { FrameChoice } from './frame-choice.ts';
import { chooseTimes, spreadFrames, TooShort } from './frame-choice.ts';
import { openSeekable } from './seek.ts';
import { openVideoFile } from './video-file.ts';

export interface Pictures {
  readonly choice: FrameChoice;
  /** F of them. */
  readonly pictures: Clip['frames'];
  /** What the visitor should know of how they came about. */
  readonly remarks: readonly string[];
  /** Milliseconds for the container, and for the frames. */
  readonly readMs: number;
  readonly decodeMs: number;
  close(): void;
}

export interface PictureOptions {
  /** F frames over the whole video in place of the official sampling. */
  readonly spread: boolean;
  readonly signal: AbortSignal;
  /** Called once the frames are chosen, and then for each as it comes. */
  readonly onChoice: (choice: FrameChoice) => void;
  readonly onPicture: (picture: Clip['frames'][number], place: number) => void;
}

/** Reads the model's frames. Throws TooShort, or bad-video when no way leads to the frames; closes everything when it fails. */
export async function readPictures(file: File, sampling: Sampling, options: PictureOptions): Promise<Pictures> {
  const { spread, signal } = options;
  const begin = performance.now();
  let read = begin;
  let choice: FrameChoice | undefined;
  const onChoice = (chosen: FrameChoice) => {
    read = performance.now();
    choice = chosen;
    options.onChoice(chosen);
  };
  const answer = (pictures: Pictures['pictures'], chosen: FrameChoice, remarks: readonly string[]): Pictures => ({
    choice: chosen,
    pictures,
    remarks: spread ? [...remarks, 'The frames are spread over the video: not the official sampling.'] : remarks,
    readMs: read - begin,
    decodeMs: performance.now() - read,
    close: () => closeAll(pictures),
  });
  let refusal: unknown;
  try {
    const clip = await decode(file, sampling, { ...options, onChoice });
    return answer(clip.frames, clip, remarksOn(clip, spread));
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof NoWay)) throw error;
    refusal = error.cause;
  }
  const player = await openSeekable(file, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    throw refusal ?? error; // the demuxer says more than a <video> does
  });
  const pictures: ImageBitmap[] = [];
  try {
    const remark = choice
      ? `The frames come from a <video> element, each at its time, and may be off by one: ${messageOf(refusal)}.`
      : 'The frames of this kind of file cannot be counted: they are taken from a <video> element by the clock.';
    const chosen = choice ?? chooseTimes(player.duration, sampling, spread);
    if (!choice) onChoice(chosen);
    for await (const picture of player.frames(chosen.times, signal)) {
      options.onPicture(picture, pictures.length);
      pictures.push(picture);
    }
    return answer(pictures, chosen, [remark, browserColors]);
  } catch (error) {
    closeAll(pictures);
    throw error;
  } finally {
    player.close();
  }
}

/** The file cannot be read, or its codec not be decoded, which `cause` says; a <video> element may still play it. */
class NoWay extends Error {}

/** The frames by Mediabunny and WebCodecs. Throws NoWay, or TooShort. */
async function decode(file: File, sampling: Sampling, options: PictureOptions): Promise<Clip> {
  const { spread, signal, onChoice, onPicture } = options;
  const video = await openVideoFile(file).catch((cause: unknown) => {
    throw new NoWay('not readable', { cause });
  });
  let isChosen = false;
  try {
    return await readClip(video, sampling, {
      signal,
      choose: spread ? ({ count }) => spreadFrames(count, sampling) : undefined,
      onProgress({ choice, frame, places }) {
        if (!isChosen) onChoice(choice);
        isChosen = true;
        for (const place of places) if (frame) onPicture(frame, place);
      },
    });
  } catch (cause) {
    if (cause instanceof StamError && cause.code === 'unsupported') throw new NoWay('not decodable', { cause });
    if (cause instanceof StamError && cause.code === 'bad-video' && !isChosen && !spread)
      throw new TooShort(cause.message);
    throw cause;
  } finally {
    video.close();
  }
}

const browserColors = 'Colours are as the browser converts them, not as the official pipeline does.';

function remarksOn({ frames, official, reasons }: Clip, spread: boolean): string[] {
  const remarks = frames.every((frame) => 'displayWidth' in frame) ? [] : [browserColors];
  if (!official && !spread) remarks.push(`The official code may take other frames. ${reasons.join(' ')}`);
  return remarks;
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

function closeAll(pictures: Pictures['pictures']): void {
  for (const picture of pictures) picture.close();
}
