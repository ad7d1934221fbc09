// Frames of video as a browser's decoder gives them (WebCodecs), copied out in their own format: the exact way, in which no colour space
// but that of the official pipeline has a say.
import { StamError } from '../engine/errors.ts';
import type { PixelFormat } from '../shaders/index.ts';
import { pictureBytes } from '../shaders/index.ts';
import type { DecodedFrames } from './preprocess.ts';

/** WebCodecs' formats as ours; X stands for bytes that mean nothing. */
const formats: Readonly<Record<string, PixelFormat>> = {
  I420: 'I420',
  NV12: 'NV12',
  RGBA: 'RGBA',
  RGBX: 'RGBA',
  BGRA: 'BGRA',
  BGRX: 'BGRA',
};

/**
 * Copies the visible pixels of frames that are all of one size and format. The frames stay open. Throws bad-input when they differ or are
 * closed, unsupported for a format that has no exact way: more than eight bits, 4:2:2, 4:4:4, alpha in a plane.
 */
export async function copyVideoFrames(frames: readonly VideoFrame[]): Promise<DecodedFrames> {
  const [first] = frames.map(describe);
  const { format, width, height, fullRange } = first;
  for (const [i, frame] of frames.entries()) {
    const own = describe(frame);
    if (JSON.stringify(own) === JSON.stringify(first)) continue;
    throw new StamError('bad-input', {
      where: `frame ${i}`,
      problem: 'not like the first one',
      got: `${own.width}x${own.height} ${own.format}`,
      expected: `${width}x${height} ${format}`,
    });
  }
  const size = pictureBytes(format, width, height);
  const layout = densePlanes(first);
  const data = new Uint8Array(frames.length * size);
  // the browser writes each frame to its place, several at a time
  await Promise.all(frames.map((frame, i) => frame.copyTo(data.subarray(i * size, (i + 1) * size), { layout })));
  return { width, height, data, format, fullRange };
}

interface Description {
  readonly format: PixelFormat;
  readonly width: number;
  readonly height: number;
  readonly fullRange: boolean;
}

function describe({ format: name, visibleRect, colorSpace }: VideoFrame): Description {
  if (!visibleRect) {
    throw new StamError('bad-input', {
      where: 'frame of video',
      problem: 'it is closed',
      hint: 'close frames after the call',
    });
  }
  const format = formats[name ?? ''];
  if (!format) {
    throw new StamError('unsupported', {
      where: 'frame of video',
      problem: 'its format has no exact way',
      got: name ?? 'a format without a name',
      expected: Object.keys(formats).join(', '),
      hint: "colors: 'fast' takes any",
    });
  }
  return { format, width: visibleRect.width, height: visibleRect.height, fullRange: colorSpace.fullRange === true };
}

/** The planes of a picture one after another, without gaps. */
function densePlanes({ format, width, height }: Description): PlaneLayout[] {
  const [halfWidth, halfHeight] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const luma = { offset: 0, stride: width };
  if (format === 'NV12') return [luma, { offset: width * height, stride: 2 * halfWidth }];
  if (format !== 'I420') return [{ offset: 0, stride: 4 * width }];
  const chroma = width * height;
  return [luma, { offset: chroma, stride: halfWidth }, { offset: chroma + halfWidth * halfHeight, stride: halfWidth }];
}
