// What classify and infer share: the options that say which model and which frames, and the opening of a video.
import type { Device } from '../engine/device.ts';
import { StamError } from '../engine/errors.ts';
import { chooseClips, leastFrames } from '../loaders/video/frame-choice.ts';
import { decodeFrames, probeVideo, type VideoInfo } from '../loaders/video/node-video.ts';
import type { VideoTools } from '../loaders/video/node-video-tools.ts';
import type { Sampling } from '../model/sampling.ts';
import type { OpenedVideo } from './evaluate.ts';

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
  readonly sampling: Sampling;
  readonly signal: AbortSignal;
  /** Most bytes of one picture. */
  readonly maxPictureBytes: number;
}

/** A probed video, its clips chosen, the first decoded; or why there is no clip. Throws bad-video for one that cannot be decoded. */
export async function openVideo(
  path: string,
  { tools, sampling, signal, maxPictureBytes }: OpenVideoOptions,
): Promise<(OpenedVideo & { readonly info: VideoInfo }) | { readonly tooShort: string }> {
  const info = await probeVideo(tools, path, { signal, maxPixels: Math.floor(maxPictureBytes / 3) });
  const clips = chooseClips(info.frames, info.fps, sampling);
  if (clips.length === 0) return { tooShort: tooShort(info, sampling) };
  const decode = (clip: readonly number[]) => decodeFrames(tools, path, info, clip, { signal });
  return { info, clips, decode, first: await decode(clips[0]) };
}

function tooShort({ frames, fps }: VideoInfo, sampling: Sampling): string {
  const got = `${frames} frames at ${Number(fps.toFixed(3))} fps`;
  return `too short for a clip of ${sampling.framesPerClip} frames; got ${got}, expected at least ${leastFrames(fps, sampling)}`;
}

/** The largest picture that goes to the GPU as it is. */
export function maxPictureBytes({ capabilities: { limits } }: Device): number {
  return Math.min(limits.storageBufferBindingBytes, limits.bufferBytes);
}

/** Throws bad-input for an option that asks for other frames than the model takes. */
export function expectOfModel(option: string, given: number | undefined, own: number): void {
  if (given === undefined || given === own) return;
  throw new StamError('bad-input', {
    where: `--${option}`,
    problem: 'the model has another',
    got: `${given}`,
    expected: `${own}`,
  });
}
