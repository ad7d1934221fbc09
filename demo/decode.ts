// Decodes chosen frames of a video with WebCodecs, and no frame of the decoder's stays open longer than its copy takes.
import { VideoSampleSink } from 'mediabunny';
import type { PictureSource } from '../index.ts';
import { StamError } from '../index.ts';
import type { VideoFile } from './video-file.ts';

/** A frame that is nobody else's: close it. */
export type OwnFrame = Extract<PictureSource, VideoFrame | ImageBitmap>;

/** The frames shown at these times, ascending, as in `video.times`. Throws bad-video when the decoder does not give them. */
export async function* decodeFrames(
  video: VideoFile,
  times: readonly number[],
  signal: AbortSignal,
): AsyncGenerator<OwnFrame> {
  let given = 0;
  for await (const sample of new VideoSampleSink(video.track).samplesAtTimestamps(times)) {
    try {
      signal.throwIfAborted();
      // a frame that does not decode would be replaced by the one before it
      if (!sample || Math.abs(sample.timestamp - times[given]) > clockError) throw notDecoded(times[given]);
      const frame = sample.toVideoFrame();
      try {
        yield await ownCopy(frame);
      } finally {
        frame.close();
      }
    } finally {
      sample?.close();
    }
    given++;
  }
  if (given < times.length) throw notDecoded(times[given]);
}

/** WebCodecs counts microseconds. */
const clockError = 2e-6;

function notDecoded(time: number): StamError {
  return new StamError('bad-video', {
    where: `frame at ${time.toFixed(3)} s`,
    problem: 'the decoder does not give it',
    hint: 'the file may be damaged',
  });
}

/** The formats whose bytes the model reads exactly as the official pipeline does. */
const exactFormats: readonly (string | null)[] = ['I420', 'NV12', 'RGBA', 'RGBX', 'BGRA', 'BGRX'];

/**
 * A copy in memory of the page's: decoders own few frames (some eight) and wait until those are closed, while a model needs up to 64. Formats that
 * have no exact way (10 bits, 4:4:4, those of some hardware) become bitmaps, whose colours are the browser's.
 */
async function ownCopy(frame: VideoFrame): Promise<OwnFrame> {
  const { format, visibleRect, timestamp, colorSpace } = frame;
  if (format === null || !visibleRect || !exactFormats.includes(format)) return await createImageBitmap(frame);
  const bytes = new Uint8Array(frame.allocationSize());
  const layout = await frame.copyTo(bytes);
  const { width: codedWidth, height: codedHeight } = visibleRect;
  return new VideoFrame(bytes, {
    format,
    codedWidth,
    codedHeight,
    timestamp,
    layout,
    colorSpace: colorSpace.toJSON(),
  });
}
