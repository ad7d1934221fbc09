// Frames of a video file in Node, with the bytes that PyAV's to_rgb gave the official infer.py: ffmpeg decodes, and hands over the frames
// that were asked for and no others.
import { StamError } from '../../engine/errors.ts';
import { type ChildEnd, runChild } from './node-child.ts';
import { defaultTimeoutMs, inputArguments, reasonOf, showPath, tooSlow, type VideoInfo } from './node-video-probe.ts';
import type { VideoTools } from './node-video-tools.ts';
import { findFrames } from './read-video.ts';

export { type ProbeOptions, probeVideo, type VideoInfo } from './node-video-probe.ts';

/** Pictures of one size, in RGB. */
export interface DecodedFrames {
  readonly width: number;
  readonly height: number;
  /** [F, H, W, 3], without padding between rows. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** Which of the frames that the decoder puts out each one is, [F], counted from 0. */
  readonly places: readonly number[];
}

export interface DecodeOptions {
  signal?: AbortSignal | undefined;
  /** Milliseconds for the decoding. Default: 5 minutes. */
  timeoutMs?: number | undefined;
  /** Most bytes of the result. Default: 2 GiB, 64 frames of 3840x2160 and more. */
  maxBytes?: number | undefined;
}

const defaultMaxBytes = 2 ** 31;
const bytesPerPixel = 3;

/** Most frames of one call: their numbers are one argument of ffmpeg's, which systems limit to 128 KiB. */
const maxFrames = 4096;

/** What ffmpeg prints where PyAV raises: the decoder refused a packet. Newer releases word it differently. */
const decodeError = /Error while decoding stream|Error submitting packet to decoder|Decoding error/;

/**
 * Decodes the frames `indices` [F] (places among the `video.frames` frames, each at least the one before) of the file that `probeVideo`
 * described as `video`. Repeated indices give repeated frames.
 *
 * As with the official code, a video that its decoder complains about is refused: anywhere in it when it was counted by decoding,
 * else up to the last frame asked for.
 * Throws bad-input for other indices, and bad-video when the frames take more than `maxBytes` or do not come as described, which
 * includes a decoder's error and a timeout. Rejects with the signal's reason once that is aborted.
 */
export async function decodeFrames(
  tools: VideoTools,
  file: string,
  video: VideoInfo,
  indices: readonly number[],
  options: DecodeOptions = {},
): Promise<DecodedFrames> {
  checkIndices(file, video, indices);
  const { width, height } = video;
  const { signal, timeoutMs = defaultTimeoutMs, maxBytes = defaultMaxBytes } = options;
  const frameBytes = width * height * bytesPerPixel;
  const where = showPath(file);
  if (!(indices.length * frameBytes <= maxBytes)) {
    throw new StamError('bad-video', {
      where,
      problem: 'its frames take too much memory',
      got: `${indices.length} frames of ${width}x${height}, ${indices.length * frameBytes} bytes`,
      expected: `at most ${maxBytes}`,
      hint: 'scale it down first: ffmpeg -i VIDEO -vf scale=-2:720 OTHER',
    });
  }

  const found = video.times ? findFrames(indices, video.times) : { places: indices };
  if ('failure' in found) {
    throw new StamError('bad-video', {
      where,
      problem: `the official code fails on it: ${found.failure}`,
      hint: 'copying its stream into another container may mend its timestamps: ffmpeg -i IN -c copy OUT.mp4',
    });
  }
  const { places } = found;
  const wanted = [...new Set(places)].sort((a, b) => a - b);
  const decoded = new Uint8Array(wanted.length * frameBytes);
  let filled = 0;
  let refused = '';
  const end = await runChild(tools.ffmpeg.path, decodeArguments(tools, file, video, wanted), {
    signal,
    timeoutMs,
    onOutput(chunk) {
      if (filled + chunk.byteLength > decoded.byteLength) {
        const expected = `${decoded.byteLength} bytes, ${wanted.length} frames of ${width}x${height}`;
        throw new StamError('bad-video', {
          where,
          problem: 'it decodes to more than it should',
          got: 'more',
          expected,
        });
      }
      decoded.set(chunk, filled);
      filled += chunk.byteLength;
    },
    onComplaint(line) {
      if (decodeError.test(line)) refused ||= line;
    },
  });

  if (end.timedOut) throw tooSlow(file, timeoutMs);
  if (refused !== '' || !end.ok || filled !== decoded.byteLength) {
    const problem = `it cannot be decoded: ${describeFailure(end, file, refused)}`;
    const isShort = filled !== decoded.byteLength;
    throw new StamError('bad-video', {
      where,
      problem,
      got: isShort ? `${filled / frameBytes} frames` : undefined,
      expected: isShort ? `${wanted.length}, the last of them frame ${wanted.at(-1)}` : undefined,
      hint: refused === '' ? undefined : 'the official code drops such a video or fails on it',
    });
  }
  return { width, height, data: arrange(decoded, frameBytes, wanted, places), places };
}

function checkIndices(file: string, video: VideoInfo, indices: readonly number[]): void {
  const refuse = (got: string, expected: string) =>
    new StamError('bad-input', {
      where: `${showPath(file)}: frames`,
      problem: 'not a choice of frames',
      got,
      expected,
    });
  if (indices.length < 1 || indices.length > maxFrames) throw refuse(`${indices.length} indices`, `1 to ${maxFrames}`);
  for (const [i, index] of indices.entries()) {
    const isPlace = Number.isInteger(index) && index >= 0 && index < video.frames;
    if (!isPlace) throw refuse(`index ${index}`, `an integer below ${video.frames}, the number of frames`);
    if (index < indices[Math.max(i - 1, 0)]) throw refuse(`${index} after ${indices[i - 1]}`, 'ascending indices');
  }
}

function decodeArguments(tools: VideoTools, file: string, video: VideoInfo, wanted: readonly number[]): string[] {
  const select = sumOf(wanted.map((place) => `eq(n\\,${place})`));
  // PyAV goes through swscale without telling it the stream's colour space: always BT.601, and full range for those formats alone that are
  // full range by definition. Its flag is SWS_BILINEAR; accurate_rnd would change the arithmetic.
  const range = /^(?:yuvj|gray|ya\d)/.test(video.pixelFormat) ? 'pc' : 'tv';
  const scale = `scale=flags=bilinear:in_color_matrix=bt601:in_range=${range}`;
  // torchvision decodes everything to count frames, and drops the video on an error anywhere, unless it counts packets
  const stop = video.countedBy === 'packets' ? ['-frames:v', `${wanted.length}`] : [];
  return [
    ...['-nostdin', '-hide_banner', '-loglevel', 'error', '-noautorotate', '-filter_threads', '1'],
    ...inputArguments(file, video.width * video.height, video.codec),
    ...['-map', '0:v:0', '-an', '-sn', '-dn', '-vf', `select=${select},${scale},format=rgb24`],
    ...[...tools.passthrough, ...stop, '-f', 'rawvideo', 'pipe:1'],
  ];
}

/** A sum in which no term lies deep: newer releases of ffmpeg refuse expressions of more than 100 levels, and a + b + c has one a term. */
function sumOf(terms: readonly string[]): string {
  if (terms.length <= 2) return terms.join('+');
  const half = Math.ceil(terms.length / 2);
  return `(${sumOf(terms.slice(0, half))})+(${sumOf(terms.slice(half))})`;
}

function describeFailure(end: ChildEnd, file: string, refused: string): string {
  if (refused !== '' || !end.ok) return refused || reasonOf(end, file);
  return end.complaint ? reasonOf(end, file) : 'it ends too early';
}

/** Frames in the order in which they were asked for, from those that were decoded, each once and in the decoder's order. */
function arrange(
  decoded: Uint8Array<ArrayBuffer>,
  frameBytes: number,
  wanted: readonly number[],
  places: readonly number[],
): Uint8Array<ArrayBuffer> {
  if (wanted.length === places.length && wanted.every((place, i) => place === places[i])) return decoded;
  const slots = new Map(wanted.map((place, slot) => [place, slot]));
  const data = new Uint8Array(places.length * frameBytes);
  for (const [i, place] of places.entries()) {
    const begin = (slots.get(place) ?? 0) * frameBytes;
    data.set(decoded.subarray(begin, begin + frameBytes), i * frameBytes);
  }
  return data;
}
