// What the header of a file tells of its video, and demuxers keep to themselves: the frame rate and the edit list of MP4 and MOV, the frame
// rate that Matroska and WebM state. Of the file only the header is read.
import type { ByteSource } from '../source.ts';

/** The first video track, as the header describes it. */
export interface ContainerHeader {
  /** Frames per second, as ffmpeg's avg_frame_rate has them; undefined where the container states no rate. */
  readonly rate?: number;
  /** Of MP4 and MOV: ticks of the track per second. */
  readonly timescale?: number;
  /** Of MP4 and MOV with an edit list: which stretches of the track are shown, one after the other. */
  readonly edits?: readonly Edit[];
  /** Of MP4 and MOV: where on the track the first packet is, in ticks. */
  readonly firstTime?: number;
  /** Whether the frames of an MP4 are described in fragments, whose headers are not read here. */
  readonly isFragmented?: boolean;
  /** Of Matroska: whether the description of the first track says Lavc, so that torchvision counts packets. */
  readonly isFromLavc?: boolean;
}

/** One stretch of a track. `duration` and `media`, its begin, are in ticks of the track; `media` is -1 for a pause. ffmpeg ignores its speed. */
export interface Edit {
  readonly duration: number;
  readonly media: number;
}

/** Headers of long videos take some megabytes, and few parts of a file stand before them: more are there to keep the reader busy. */
const maxHeaderBytes = 2 ** 28;
const maxParts = 1000;

/** Reads it; undefined when there is none that can be read. Throws what `file.read` throws. */
export async function readContainerHeader(
  file: ByteSource,
  signal?: AbortSignal,
): Promise<ContainerHeader | undefined> {
  let isMatroska = false;
  try {
    for (let at = 0, parts = 0; at + 8 < file.size && parts < maxParts; parts++) {
      const view = viewOf(await file.read(at, Math.min(at + 16, file.size), signal));
      isMatroska ||= view.getUint32(0) === ebml;
      const { type, begin, size } = isMatroska ? elementAt(view, 0) : boxAt(view, 0);
      const end = Math.min(at + begin + size, file.size);
      if (type === 'moov' || type === tracks) {
        if (end - at > maxHeaderBytes) return undefined;
        const body = viewOf(await file.read(at + begin, end, signal));
        return type === tracks ? readTracks(body) : readMovie(body);
      }
      if (type === cluster || !(size >= 0)) return undefined; // frames: no header follows
      at = type === segment ? at + begin : end;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // else something in the header points past its end
  }
  return undefined;
}

/** A box of MP4 or an element of Matroska: its body is `size` bytes from `begin` on. */
interface Part {
  readonly type: string | number;
  readonly begin: number;
  readonly size: number;
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const textOf = (view: DataView) => new TextDecoder('latin1').decode(view);

function boxAt(view: DataView, at: number): Part {
  const size = view.getUint32(at);
  const type = textOf(new DataView(view.buffer, view.byteOffset + at + 4, 4));
  if (size === 1) return { type, begin: 16, size: Number(view.getBigUint64(at + 8)) - 16 };
  return { type, begin: 8, size: (size || Number.POSITIVE_INFINITY) - 8 }; // 0 is a box up to the file's end
}

const ebml = 0x1a45dfa3;
const segment = 0x18538067;
const tracks = 0x1654ae6b;
const cluster = 0x1f43b675;

function elementAt(view: DataView, at: number): Part {
  const idLength = Math.clz32(view.getUint8(at)) - 23;
  const sizeLength = Math.clz32(view.getUint8(at + idLength)) - 23;
  // the first one-bit of either tells its length; the identifier keeps it
  const size = numberAt(view, at + idLength, sizeLength, 0xff >> sizeLength);
  return { type: numberAt(view, at, idLength), begin: idLength + sizeLength, size };
}

function numberAt(view: DataView, at: number, length: number, firstMask = 0xff): number {
  let value = view.getUint8(at) & firstMask;
  for (let i = 1; i < length; i++) value = value * 256 + view.getUint8(at + i);
  return value;
}

/** The bodies of the parts of one type that lie directly in `view`. */
function* partsOf(view: DataView, type: string | number): Generator<DataView> {
  for (let at = 0; at + 2 < view.byteLength; ) {
    const part = typeof type === 'string' ? boxAt(view, at) : elementAt(view, at);
    const begin = at + part.begin;
    const size = Math.min(part.size, view.byteLength - begin);
    if (size < 0) return;
    if (part.type === type) yield new DataView(view.buffer, view.byteOffset + begin, size);
    at = begin + size;
  }
}

/** The first part at the end of a path. */
function find(view: DataView | undefined, ...path: readonly (string | number)[]): DataView | undefined {
  return path.reduce<DataView | undefined>((parent, type) => parent && partsOf(parent, type).next().value, view);
}

function readTracks(view: DataView): ContainerHeader | undefined {
  for (const track of partsOf(view, 0xae)) {
    if (find(track, 0x83)?.getUint8(0) !== 1) continue; // TrackType: video
    const isFromLavc = textOf(find(view, 0xae) ?? track).includes('Lavc');
    const duration = find(track, 0x23e383); // DefaultDuration
    const nanoseconds = duration?.byteLength ? numberAt(duration, 0, duration.byteLength) : 0;
    return nanoseconds ? { isFromLavc, rate: reducedQuotient(1e9, nanoseconds, 30000) } : { isFromLavc };
  }
  return undefined;
}

function readMovie(view: DataView): ContainerHeader | undefined {
  const movieTimescale = timescaleOf(find(view, 'mvhd'));
  for (const track of partsOf(view, 'trak')) {
    if (find(track, 'mdia', 'hdlr')?.getUint32(8) !== 0x76696465) continue; // 'vide'
    const timescale = timescaleOf(find(track, 'mdia', 'mdhd'));
    const times = find(track, 'mdia', 'minf', 'stbl', 'stts');
    let [frames, ticks] = [0, 0];
    for (let i = (times?.getUint32(4) ?? 0) - 1; times && i >= 0; i--) {
      const count = times.getUint32(8 + 8 * i);
      frames += count;
      ticks += count * times.getUint32(12 + 8 * i);
    }
    const offsets = find(track, 'mdia', 'minf', 'stbl', 'ctts'); // from decoding to showing
    const list = find(track, 'edts', 'elst');
    const edits = list && readEdits(list, timescale / movieTimescale);
    return {
      timescale,
      firstTime: offsets?.getUint32(4) ? offsets.getInt32(12) : 0,
      ...(edits?.length ? { edits } : {}),
      ...(ticks ? { rate: reducedQuotient(timescale * frames, ticks, maxTerm) } : {}),
      isFragmented: find(view, 'mvex') !== undefined,
    };
  }
  return undefined;
}

/** Of mvhd and mdhd, which have longer times of creation and change from version 1 on. */
const timescaleOf = (view: DataView | undefined) => view?.getUint32(view.getUint8(0) ? 20 : 12) ?? Number.NaN;

function readEdits(list: DataView, ticks: number): Edit[] {
  const isLong = list.getUint8(0) > 0;
  return Array.from({ length: Math.min(list.getUint32(4), list.byteLength) }, (_, i) => {
    const at = 8 + i * (isLong ? 20 : 12);
    const duration = isLong ? Number(list.getBigUint64(at)) : list.getUint32(at);
    const media = isLong ? Number(list.getBigInt64(at + 8)) : list.getInt32(at + 4);
    return { duration: Math.round(duration * ticks), media };
  });
}

/** The largest term of a rate of ffmpeg's. */
export const maxTerm = 2 ** 31 - 1;

/** num / den, or the quotient nearest to it whose terms are at most `most`: ffmpeg's av_reduce, which every rate of its passes through. */
export function reducedQuotient(num: number, den: number, most: number): number {
  let [p, q, n, d] = [0, 1, 1, 0]; // two convergents of the continued fraction, p/q and n/d
  while (den > 0) {
    let x = Math.floor(num / den);
    if (x * n + p > most || x * d + q > most) {
      x = Math.floor((most - p) / n);
      if (d) x = Math.min(x, Math.floor((most - q) / d));
      if (den * (2 * x * d + q) > num * d) [n, d] = [x * n + p, x * d + q];
      break;
    }
    [p, q, n, d] = [n, d, x * n + p, x * d + q];
    [num, den] = [den, num % den];
  }
  return n / d;
}
