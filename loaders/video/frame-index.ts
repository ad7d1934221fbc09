// Which frames of a video are shown, when, and at which rate, as torchvision counts them: from the packets of a demuxer and the header of the
// file, without decoding anything.
import { StamError } from '../../engine/errors.ts';
import { blobSource } from '../source.ts';
import type { ClipSource, PacketSink, VideoPacket } from './clip.ts';
import { type ContainerHeader, maxTerm, readContainerHeader, reducedQuotient } from './container-header.ts';

/** What there is to choose from. */
export interface FrameIndex {
  /** For messages: the name of the file. */
  readonly name: string;
  /** The frames that are shown, in their order. */
  readonly shown: readonly ShownFrame[];
  /** In the order in which they are decoded. */
  readonly packets: readonly PacketTimes[];
  /** Frames per second: ffmpeg's avg_frame_rate. */
  readonly rate: number;
  /** Why the official code may count otherwise, a sentence each; none where it counts the same. */
  readonly reasons: readonly string[];
  readonly config: VideoDecoderConfig;
}

/** A frame of the video. An edit list can show one packet more than once. */
export interface ShownFrame {
  /** In seconds. */
  readonly time: number;
  /** Place of its packet. */
  readonly packet: number;
}

type PacketTimes = Pick<VideoPacket, 'type' | 'timestamp' | 'duration'>;

/** Reads it. Throws unsupported for a codec that is not known, bad-video when there is no frame or no rate, and what the demuxer throws. */
export async function readFrameIndex(source: ClipSource, signal?: AbortSignal): Promise<FrameIndex> {
  const { track, packets: given } = source;
  const file = source.file instanceof Blob ? blobSource(source.file) : source.file;
  const name = file?.name ?? 'video';
  const config = await track.getDecoderConfig();
  if (!config) throw new StamError('unsupported', { where: name, problem: 'the demuxer does not know its codec' });
  const header = file && (await readContainerHeader(file, signal));

  // VP8 alone has packets of frames that are never shown, and only their data tells them
  const isVp8 = /^vp0?8/.test(config.codec);
  const packets: PacketTimes[] = [];
  const visible: number[] = [];
  for await (const packet of isSink(given) ? given.packets(undefined, undefined, { metadataOnly: !isVp8 }) : given) {
    signal?.throwIfAborted();
    const { type, timestamp, duration } = packet;
    if (!isVp8 || packet.data[0] & 0x10) visible.push(packets.length);
    packets.push({ type, timestamp, duration });
  }

  const { rate, reasons } = rateOf(
    visible.map((place) => packets[place]),
    header,
  );
  if (!file) reasons.push('Only the file itself tells all of its edit list and its rate, and it was not given.');
  else if (!header) reasons.push('The header of the file cannot be read, or it is neither MP4 nor Matroska.');
  if ((track.number ?? 1) !== 1) reasons.push('The official code takes the first video track, and this is another.');
  if (header?.isFromLavc && visible.length < packets.length) {
    reasons.push('The official code counts packets here, of which some are not shown.');
  }
  const begin = packets[0]?.timestamp ?? 0;
  const shown = visible
    .flatMap((packet) =>
      timesOf(packets[packet].timestamp, begin, header).map((time): ShownFrame => ({ time, packet })),
    )
    .sort((a, b) => a.time - b.time);
  if (shown.some(({ time }, i) => time === shown[i - 1]?.time)) reasons.push('Some frames have the same timestamp.');
  if (packets.length === 0 || !(rate >= 1e-6 && rate <= 1e6)) {
    throw new StamError('bad-video', { where: name, problem: 'it has no frame rate', got: `${packets.length} frames` });
  }
  return { name, shown, packets, rate, reasons, config };
}

/** Whether packets are read when they are asked for. */
export function isSink(packets: ClipSource['packets']): packets is PacketSink {
  return 'getKeyPacket' in packets;
}

/** When a packet is shown, in seconds: never, once, or more often. `begin` is the timestamp of the first packet. */
function timesOf(timestamp: number, begin: number, header: ContainerHeader | undefined): number[] {
  // what players hide, as far as is known
  if (!header) return timestamp < 0 ? [] : [timestamp];
  const { edits, timescale = 1, firstTime = 0, isFragmented } = header;
  // ffmpeg moves the frames of fragments and hides none
  if (!edits || isFragmented) return [timestamp];
  // by the distance to the first packet, since demuxers differ in where they have time begin
  const at = Math.round((timestamp - begin) * timescale) + firstTime;
  let start = 0;
  return edits.flatMap(({ duration, media }) => {
    const time = (start + at - media) / timescale;
    start += duration;
    return media >= 0 && at >= media && at < media + duration ? [time] : [];
  });
}

/** The rate that ffmpeg tells, and why it may be another. */
function rateOf(packets: readonly PacketTimes[], header: ContainerHeader | undefined) {
  const reasons: string[] = [];
  if (header?.isFragmented && header.timescale) {
    const { timescale } = header;
    const ticks = packets.map(({ duration }) => Math.round(duration * timescale));
    const sum = ticks.reduce((a, b) => a + b, 0);
    if (ticks.some((count) => count !== ticks[0]))
      reasons.push('The frames of the fragments do not last equally long.');
    return { rate: reducedQuotient(ticks.length * timescale, sum, maxTerm), reasons };
  }
  if (header?.rate) return { rate: header.rate, reasons };
  if (header) reasons.push('The container states no frame rate, so it is guessed from the timestamps.');
  const times = packets.map(({ timestamp }) => timestamp);
  const [least, most] = times.reduce(([a, b], time) => [Math.min(a, time), Math.max(b, time)], [Infinity, -Infinity]);
  return { rate: standardRate((times.length - 1) / (most - least)), reasons };
}

/** The rate of ffmpeg's list that is nearest, if one is nearer than a hundredth: so ffmpeg rounds what it has to guess. */
function standardRate(rate: number): number {
  const rates = [
    ...Array.from({ length: 360 }, (_, i) => (i + 1) / 12),
    ...Array.from({ length: 30 }, (_, i) => i + 31),
    ...[80, 120, 240],
    ...[24, 30, 60, 12, 15, 48].map((count) => (count * 1000) / 1001),
  ];
  const error = (candidate: number) => Math.abs(rate / candidate - 1);
  const best = rates.reduce((a, b) => (error(b) < error(a) ? b : a));
  return error(best) < 0.01 ? best : rate;
}
