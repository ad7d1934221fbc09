// Which frames torchvision's read_video returns for a clip. It looks frames up by their timestamps after a seek, so it can return other
// frames than those that were counted, or too few; for most videos frame i is simply the i-th that the decoder puts out.

/** One packet of a video stream, with its times in the stream's time base, null where the container has none. */
export interface PacketTimes {
  readonly pts: number | null;
  readonly dts: number | null;
  readonly isKey: boolean;
}

/**
 * Where a container's seek to a time arrives: at the last key frame whose pts or dts is not later, or, in containers without an index, at
 * any packet whose dts is not later, from where the decoder skips to the next key frame.
 */
export type SeekRule = 'key-pts' | 'key-dts' | 'packet-dts';

/** The timestamps of a video stream, all in its time base. */
export interface StreamTimes {
  /** Those that torchvision counted, ascending: a frame's number is a place in this list. Not empty. */
  readonly counted: readonly number[];
  /** That of each frame, in the order in which the decoder puts the frames out; null where there is none. */
  readonly decoded: readonly (number | null)[];
  /** All packets in the order of the file. */
  readonly packets: readonly PacketTimes[];
  readonly seek: SeekRule;
  /** Whether read_video decodes some frames beyond the clip's end, because later ones may have earlier timestamps. */
  readonly buffers: boolean;
}

/** The frames of a clip as places in the decoder's output, [F], or why the official code fails on it. */
export type FoundFrames = { readonly places: readonly number[] } | { readonly failure: string };

/** read_video's max_buffer_size: both the frames decoded beyond the end, and the ticks by which it seeks before the begin. */
const bufferSize = 5;

/**
 * Finds the frames numbered `indices`, ascending, as torchvision 0.14 does: read_video seeks to just before the first one, keeps the last frame of each
 * timestamp, stops at the clip's end (or five frames behind it), sorts what lies between the clip's first and last timestamp, and VideoClips
 * counts from there.
 */
export function findFrames(indices: readonly number[], times: StreamTimes): FoundFrames {
  const first = indices[0];
  const start = times.counted[first];
  const end = times.counted[indices[indices.length - 1]];
  const visible = visibleFrom(seekTarget(start, times.buffers), times);
  const places = new Map<number, number>();
  let beyond = 0;
  for (const [place, time] of times.decoded.entries()) {
    if (!visible(time)) continue;
    // read_video compares None with a number there, which is a TypeError
    if (time === null) return { failure: 'a frame has no timestamp' };
    places.set(time, place);
    if (time < end) continue;
    if (!times.buffers || beyond === bufferSize) break;
    beyond += 1;
  }
  const sorted = [...places].sort(([a], [b]) => a - b);
  const clip = sorted.filter(([time]) => time >= start && time <= end).map(([, place]) => place);
  if (start > 0 && !places.has(start)) {
    const preceding = sorted.findLast(([time]) => time < start);
    if (preceding) clip.unshift(preceding[1]);
  }
  const needed = indices[indices.length - 1] - first + 1;
  if (clip.length < needed) return { failure: `its read_video finds ${clip.length} of the clip's ${needed} frames` };
  return { places: indices.map((index) => clip[index - first]) };
}

function seekTarget(start: number, buffers: boolean): number {
  const before = Math.max(start - 1, 0);
  return buffers ? Math.max(before - bufferSize, 0) : before;
}

/** Tells which frames come out of the decoder after a seek to `target`. */
function visibleFrom(target: number, { packets, seek }: StreamTimes): (time: number | null) => boolean {
  const timeOf = ({ pts, dts }: PacketTimes) => (seek === 'key-pts' ? pts : dts);
  const reached = packets.findLastIndex((packet) => {
    const time = timeOf(packet);
    return time !== null && time <= target && (packet.isKey || seek === 'packet-dts');
  });
  const begin = packets.findIndex(({ isKey }, i) => isKey && i >= reached);
  const isFirst = begin === packets.findIndex(({ isKey }) => isKey);
  if (begin >= 0 && isFirst) return () => true;
  const from = begin < 0 ? Number.POSITIVE_INFINITY : packets[begin].pts;
  return (time) => from === null || (time !== null && time >= from);
}

/**
 * Whether read_video buffers a stream with this extradata: it does, unless the stream was written by a DivX encoder that packed no B-frames.
 */
export function buffersFrames(extradata: string): boolean {
  const divx = extradata.indexOf('DivX');
  if (divx < 0) return true;
  const text = extradata.slice(divx);
  const build = /DivX(\d+)Build(\d+)(\w)/.exec(text) ?? /DivX(\d+)b(\d+)(\w)/.exec(text);
  return build === null || build[3] === 'p';
}
