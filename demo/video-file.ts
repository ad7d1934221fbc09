// What a container tells of its video, without decoding anything: how many frames there are, when each is shown, at which rate.
import type { InputVideoTrack } from 'mediabunny';
import { BlobSource, EncodedPacketSink, Input, MATROSKA, MP4, QTFF, WEBM } from 'mediabunny';
import { StamError } from '../index.ts';

export interface VideoFile {
  readonly track: InputVideoTrack;
  /** When each frame is shown, in seconds, ascending: a frame's number is its place here. */
  readonly times: readonly number[];
  /** Frames per second, as the official pipeline takes it: ffmpeg's avg_frame_rate. */
  readonly rate: number;
  /** The codec as WebCodecs names it, for people. */
  readonly codec: string;
  /** Lets go of the file. */
  close(): void;
}

/** Reads the index of a file. Throws bad-video when it is no video in MP4, MOV, Matroska or WebM. */
export async function openVideoFile(file: File, signal: AbortSignal): Promise<VideoFile> {
  const input = new Input({ source: new BlobSource(file), formats: [MP4, QTFF, MATROSKA, WEBM] });
  try {
    const track = await primaryVideo(input, file.name);
    const { times, rate } = await readTimes(track, file.name, signal);
    const codec = (await track.getCodecParameterString()) ?? (await track.getCodec()) ?? 'an unknown codec';
    return { track, times, rate, codec, close: () => input.dispose() };
  } catch (error) {
    input.dispose();
    throw error;
  }
}

async function primaryVideo(input: Input, name: string): Promise<InputVideoTrack> {
  const readable = await input.canRead().catch(() => false);
  const track = readable ? await input.getPrimaryVideoTrack() : null;
  if (track) return track;
  throw new StamError('bad-video', {
    where: name,
    problem: readable ? 'there is no video in the file' : 'this kind of file cannot be read',
    expected: 'a video in MP4, MOV, Matroska or WebM',
  });
}

/** Counts packets, one of which is one frame, in ticks of the track's clock: seconds in floating point would blur the rate. */
async function readTimes(track: InputVideoTrack, name: string, signal: AbortSignal) {
  const times: number[] = [];
  const resolution = await track.getTimeResolution();
  let ticks = 0;
  const packets = new EncodedPacketSink(track).packets(undefined, undefined, { metadataOnly: true });
  for await (const { timestamp, duration } of packets) {
    signal.throwIfAborted();
    times.push(timestamp);
    ticks += Math.round(duration * resolution);
  }
  times.sort((a, b) => a - b);
  const span = (times.at(-1) ?? 0) - (times[0] ?? 0);
  // live recordings of browsers leave durations out
  const rate = ticks > 0 ? (times.length * resolution) / ticks : (times.length - 1) / span;
  if (times.length > 1 && Number.isFinite(rate) && rate > 0) return { times, rate };
  throw new StamError('bad-video', { where: name, problem: 'it has no frame rate', got: `${times.length} frames` });
}
