// What classify and infer share: the options that say which model and which ffmpeg, and the opening of a video.
import type { Device } from '../engine/device.ts';
import { decodeFrames, probeVideo, type VideoInfo } from '../loaders/video/node-video.ts';
import type { VideoTools } from '../loaders/video/node-video-tools.ts';
import type { DecodedClip, OpenedVideo } from './evaluate.ts';
import type { VideoNetwork } from './video-network.ts';

export const modelPathOption = {
  type: 'string',
  placeholder: 'FILE|synthetic:SEED',
  required: true,
  description: 'a .pth or .safetensors checkpoint, or weights made by rule',
} as const;

export const ffmpegOption = {
  type: 'string',
  placeholder: 'PATH',
  description:
    'the ffmpeg to decode with, ffprobe beside it; default STAM_FFMPEG, else on PATH, else an installed npm package',
} as const;

export interface OpenVideoOptions {
  readonly tools: VideoTools;
  readonly network: Pick<VideoNetwork, 'choose' | 'overlaps'>;
  readonly signal: AbortSignal;
  /** Most bytes of one picture. */
  readonly maxPictureBytes: number;
  /** Is told what is odd about the video. */
  readonly onNotice: (text: string) => void;
  /** Most bytes of clips that overlap and are decoded at once; more are decoded one by one, which takes longer. */
  readonly maxBytesAtOnce?: number | undefined;
}

/** For 160 pictures of 640x360: as many videos are held as are decoded ahead. */
const defaultBytesAtOnce = 2 ** 27;

/** A probed video, its clips chosen, the first decoded; or why there is no clip. Throws bad-video for one that cannot be decoded. */
export async function openVideo(
  path: string,
  { tools, network, signal, maxPictureBytes, onNotice, maxBytesAtOnce = defaultBytesAtOnce }: OpenVideoOptions,
): Promise<(OpenedVideo & { readonly info: VideoInfo }) | { readonly tooShort: string }> {
  const probed = await probeVideo(tools, path, { signal, maxPixels: Math.floor(maxPictureBytes / 3) });
  const info = network.overlaps ? inDecodersOrder(probed) : probed;
  const clips = network.choose(info, onNotice);
  if ('tooShort' in clips) return clips;
  const { complaint } = info;
  const decode = (frames: readonly number[]) => decodeFrames(tools, path, info, frames, { signal });
  const all = [...new Set(clips.flat())].sort((a, b) => a - b);
  if (!network.overlaps || all.length * 3 * info.width * info.height > maxBytesAtOnce) {
    return { info, clips, decode, first: await decode(clips[0]), complaint };
  }
  const pictures = await decode(all);
  const places = new Map(all.map((frame, place) => [frame, place]));
  const pick = (clip: readonly number[]) =>
    pickPictures(
      pictures,
      clip.map((frame) => places.get(frame) ?? 0),
    );
  return { info, clips, decode: async (clip) => pick(clip), first: pick(clips[0]), complaint };
}

/** A line of the log about a video that its decoder could read only with complaints. */
export function describeComplaint(video: string, complaint: string): string {
  return `${video}: the file is damaged or cut off, and what the decoder made of it was used; it said: ${complaint}`;
}

/** The video as if its frames were numbered as the decoder puts them out, whatever their timestamps say. */
function inDecodersOrder(info: VideoInfo): VideoInfo {
  const { times, ...plain } = info;
  return times ? { ...plain, frames: times.decoded.length } : info;
}

/** Some of the frames of `decoded`, by their positions there. */
function pickPictures({ width, height, data, places }: DecodedClip, positions: readonly number[]): DecodedClip {
  const bytes = 3 * width * height;
  const picked = new Uint8Array(positions.length * bytes);
  for (const [i, at] of positions.entries()) picked.set(data.subarray(at * bytes, (at + 1) * bytes), i * bytes);
  return { width, height, data: picked, places: positions.map((at) => places[at]) };
}

/** The largest picture that goes to the GPU as it is. */
export function maxPictureBytes({ capabilities: { limits } }: Device): number {
  return Math.min(limits.storageBufferBindingBytes, limits.bufferBytes);
}
