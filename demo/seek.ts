// The way without WebCodecs: a <video> element is sent to each time, and what it shows is copied. Which frame that is, is the browser's choice.
import { StamError } from '../index.ts';

/** A file in a <video> element. */
export interface SeekableVideo {
  /** In seconds. */
  readonly duration: number;
  /** What is shown at these times; the caller closes each. */
  frames(times: readonly number[], signal: AbortSignal): AsyncGenerator<ImageBitmap>;
  close(): void;
}

/** Opens it. Throws bad-video when the browser does not play the file. */
export async function openSeekable(file: File, signal: AbortSignal): Promise<SeekableVideo> {
  const address = URL.createObjectURL(file);
  const video = document.createElement('video');
  const close = () => {
    video.removeAttribute('src');
    video.load(); // lets go of the file at once
    URL.revokeObjectURL(address);
  };
  try {
    video.muted = true;
    video.preload = 'auto';
    video.src = address;
    await happens(video, 'loadeddata', file.name, signal);
    if (!Number.isFinite(video.duration)) {
      throw new StamError('bad-video', { where: file.name, problem: 'the browser cannot tell its length' });
    }
  } catch (error) {
    close();
    throw error;
  }
  return {
    duration: video.duration,
    close,
    async *frames(times, signal) {
      for (const time of times) {
        const seeked = happens(video, 'seeked', file.name, signal);
        // a little into the frame: seeking to its very begin may show the one before
        video.currentTime = Math.min(time + 0.001, video.duration);
        await seeked;
        yield await createImageBitmap(video);
      }
    },
  };
}

function happens(video: HTMLVideoElement, event: string, name: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settled = new AbortController();
    const listen = (target: EventTarget, type: string, then: () => void) =>
      target.addEventListener(
        type,
        () => {
          settled.abort();
          then();
        },
        { signal: settled.signal },
      );
    listen(video, event, resolve);
    listen(signal, 'abort', () => reject(signal.reason));
    listen(video, 'error', () => {
      const problem = 'this browser does not play it';
      reject(new StamError('bad-video', { where: name, problem, got: video.error?.message || undefined }));
    });
    if (signal.aborted) reject(signal.reason);
  });
}
