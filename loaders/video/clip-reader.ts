// From a video in a browser to the frames that a model is to see: chosen as the official code chooses them, decoded by WebCodecs.
import { StamError } from '../../engine/errors.ts';
import type { Clip, ClipSource, FrameChoice, ReadClipOptions } from './clip.ts';
import { type ClipRule, checkWhole, chooseClips, tooShort } from './frame-choice.ts';
import { decodeFrames, type OwnFrame } from './frame-decoder.ts';
import { type FrameIndex, readFrameIndex } from './frame-index.ts';

/** What the library's readClip() does. */
export async function readClip(source: ClipSource, sampling: ClipRule, options: ReadClipOptions = {}): Promise<Clip> {
  const { signal, onProgress, choose } = options;
  signal?.throwIfAborted();
  const index = await readFrameIndex(source, signal);
  const choice = chooseFrames(index, sampling, choose);
  const total = choice.numbers.length;
  let loaded = 0;
  onProgress?.({ choice, loaded, total, places: [] });
  const { frames, decoded } = await decodeFrames(source, index, choice.numbers, signal, (frame, places) => {
    loaded += places.length;
    onProgress?.({ choice, loaded, total, frame, places });
  });
  return { ...choice, frames, decoded, close: () => closeAll(frames) };
}

function closeAll(frames: readonly OwnFrame[]): void {
  for (const frame of frames) frame.close();
}

function chooseFrames(index: FrameIndex, sampling: ClipRule, choose: ReadClipOptions['choose']): FrameChoice {
  const { shown, rate } = index;
  const count = shown.length;
  const [numbers] = choose ? [choose({ count, rate })] : chooseClips(count, rate, sampling);
  if (!numbers) {
    throw new StamError('bad-video', { where: index.name, ...tooShort(count, rate, sampling) });
  }
  for (const number of numbers) checkWhole('choose', number, 0, count - 1);
  const reasons = choose ? ['The app chose the frames.', ...index.reasons] : index.reasons;
  const times = numbers.map((number) => shown[number].time);
  return { numbers, times, count, rate, official: reasons.length === 0, reasons };
}
