// Frames of video as a browser's decoder gives them (WebCodecs), copied out in their own format: the exact way, in which no colour space
// but that of the official pipeline has a say.
import { StamError } from '../engine/errors.ts';
import type { PixelFormat } from '../shaders/index.ts';
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
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (const [i, frame] of frames.entries()) {
    const own = describe(frame);
    if (JSON.stringify(own) !== JSON.stringify(first)) {
      throw new StamError('bad-input', {
        where: `frame ${i}`,
        problem: 'not like the first one',
        got: `${own.width}x${own.height} ${own.format}`,
        expected: `${width}x${height} ${format}`,
      });
    }
    const bytes = new Uint8Array(frame.allocationSize());
    const planes = await frame.copyTo(bytes);
    pieces.push(dense(bytes, planes, own));
  }
  const data = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    data.set(piece, at);
    at += piece.byteLength;
  }
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

/** The planes one after another without gaps; the same bytes where they lie so already, as browsers do it. */
function dense(
  bytes: Uint8Array<ArrayBuffer>,
  layout: readonly PlaneLayout[],
  { format, width, height }: Description,
): Uint8Array<ArrayBuffer> {
  const [halfWidth, halfHeight] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const rows: Readonly<Record<string, readonly (readonly [bytes: number, rows: number])[]>> = {
    I420: [
      [width, height],
      [halfWidth, halfHeight],
      [halfWidth, halfHeight],
    ],
    NV12: [
      [width, height],
      [2 * halfWidth, halfHeight],
    ],
  };
  const pieces = (rows[format] ?? [[4 * width, height]]).flatMap(([length, count], plane) => {
    const { offset, stride } = layout[plane];
    return Array.from({ length: count }, (_, row) => ({ from: offset + row * stride, length }));
  });
  let end = 0;
  const isDense = pieces.every(({ from, length }) => {
    const fits = from === end;
    end += length;
    return fits;
  });
  if (isDense) return bytes.subarray(0, end);
  const result = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const { from, length } of pieces) {
    result.set(bytes.subarray(from, from + length), at);
    at += length;
  }
  return result;
}
