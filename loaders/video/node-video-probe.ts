// What a video file is and how many frames torchvision would count in it, from two runs of ffprobe: one reads the streams' headers, one
// demuxes and decodes the first video stream from end to end.
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { StamError } from '../../engine/errors.ts';
import { type ChildEnd, runChild } from './node-child.ts';
import type { VideoTools } from './node-video-tools.ts';
import type { PacketTimes, SeekRule, StreamTimes } from './read-video.ts';
import { buffersFrames } from './read-video.ts';

/** The first video stream of a file, as PyAV would decode it. */
export interface VideoInfo {
  /** Pixels of a decoded frame, the same for all of them. Rotation and pixel aspect that a player would apply are not. */
  readonly width: number;
  readonly height: number;
  /** ffmpeg's avg_frame_rate as a double, in frames per second: PyAV's average_rate. */
  readonly fps: number;
  /** n, the frames that torchvision counts. */
  readonly frames: number;
  /** The name that ffmpeg gives to the format of the decoded frames, for example `yuv420p`. */
  readonly pixelFormat: string;
  readonly codec: string;
  /** `packets` when torchvision trusts the container, that is when stream 0's extradata says Lavc; else it decodes everything. */
  readonly countedBy: 'packets' | 'frames';
  /** What read_video finds frames by; without it, frame i is the i-th that the decoder puts out. */
  readonly times?: StreamTimes;
  /** What the decoder complained of in a file that it decoded all the same: damage that it concealed, or that the file is truncated. */
  readonly complaint?: string;
}

export interface ProbeOptions {
  signal?: AbortSignal | undefined;
  /** Milliseconds for each of the two runs. Default: 5 minutes. */
  timeoutMs?: number | undefined;
  /** Largest width and height, in pixels. Default: 16384. */
  maxSide?: number | undefined;
  /** Most pixels of one frame. Default: 2^26, 64 Mpixel. */
  maxPixels?: number | undefined;
}

export const defaultTimeoutMs = 300_000;
export const defaultMaxSide = 16384;
export const defaultMaxPixels = 2 ** 26;

/** The demuxers that may read a file: no playlists, whose entries are other files, and nothing that takes its input from a device. */
const containers = 'mov,mp4,avi,matroska,webm,mpegts,mpeg,flv,asf,ogg,nut,m4v,h264,hevc,ivf,gif,yuv4mpegpipe';

/** The same for people. */
const containerNames =
  'MP4, MOV, AVI, Matroska, WebM, MPEG-TS, MPEG-PS, FLV, ASF (WMV), Ogg, NUT, IVF, GIF, YUV4MPEG, or raw H.264, HEVC or MPEG-4';

/** PyAV sets genpts, and the timestamps that AVI lacks come from it. */
const demuxing = ['-fflags', '+genpts'];

/**
 * One thread a video: with several, what a decoder conceals of damage can differ from run to run. Several videos are decoded at a time
 * instead. VP8 alone is decoded on two: on one, its decoder passes over damage that it reports on several, and for which the official
 * code, with a thread a processor, drops the video.
 */
const decoderThreads = (codec: string) =>
  codec === 'vp8' ? ['-threads', '2', '-thread_type', 'slice'] : ['-threads', '1'];

/**
 * Arguments that open `file` in either program, the same frames in both: local, bounded, and by no other name than a file's. `codec` is
 * what ffprobe calls that of its video, where it is known already.
 */
export function inputArguments(file: string, maxPixels: number, codec = ''): string[] {
  // for what is decoded before the size is known; lower limits are checked by the caller, who can say so better than a decoder
  const most = `${Math.max(maxPixels, defaultMaxPixels)}`;
  const bounds = ['-protocol_whitelist', 'file,pipe', '-format_whitelist', containers, '-max_pixels', most];
  return [...bounds, ...demuxing, ...decoderThreads(codec), '-i', `file:${path.resolve(file)}`];
}

/**
 * Reads a video's size, rate and number of frames. It is decoded once from end to end, in constant memory aside from its timestamps.
 * Throws bad-input when there is no such file, and bad-video when it has no video stream that can be decoded, no frame rate, frames of
 * different size or format, or frames beyond the limits. Rejects with the signal's reason once that is aborted.
 */
export async function probeVideo(tools: VideoTools, file: string, options: ProbeOptions = {}): Promise<VideoInfo> {
  const { maxSide = defaultMaxSide, maxPixels = defaultMaxPixels } = options;
  const refuse = (problem: string, got?: string, expected?: string) =>
    new StamError('bad-video', { where: showPath(file), problem, got, expected });
  await checkFile(file);

  const checkSize = (width: number, height: number) => {
    if (!(width >= 1 && height >= 1)) throw refuse('the video has no picture size', `${width}x${height}`);
    if (width <= maxSide && height <= maxSide && width * height <= maxPixels) return;
    const most = `at most ${maxSide} a side and ${maxPixels} pixels`;
    throw refuse('the pictures are too large', `${width}x${height}`, most);
  };

  const { format, streams } = await readStreams(tools, file, options);
  const stream = streams.find(({ type }) => type === 'video');
  if (!stream) {
    const others = streams.map(({ type, codec }) => `${type} (${codec})`).join(', ');
    throw refuse('there is no video in it', others || 'no stream at all', 'a video stream');
  }
  checkSize(stream.width, stream.height);
  if (stream.fps === undefined) throw refuse('the video has no frame rate', stream.rate, 'a positive fraction');

  const countedBy = streams.find(({ index }) => index === 0)?.extradata.includes('Lavc') ? 'packets' : 'frames';
  const { packets, decoded, picture, complaint } = await readFrames(
    tools,
    file,
    stream.codec,
    options,
    (now, before) => {
      if (before.width === now.width && before.height === now.height && before.pixelFormat === now.pixelFormat) return;
      throw refuse('the pictures change in mid-stream', showPicture(now), `${showPicture(before)} throughout`);
    },
  );
  if (!picture) throw refuse(`no frame of it can be decoded${complaint && `: ${complaint}`}`);
  checkSize(picture.width, picture.height);
  const isKnown = (time: number | null): time is number => time !== null;
  const counted = (countedBy === 'packets' ? packets.map(({ pts }) => pts) : decoded)
    .filter(isKnown)
    .sort((a, b) => a - b);
  if (counted.length === 0) throw refuse('no frame of it has a timestamp, so the official code drops it');
  return {
    ...picture,
    fps: stream.fps,
    frames: counted.length,
    codec: stream.codec,
    countedBy,
    times: { counted, decoded, packets, seek: seekRule(format), buffers: buffersFrames(stream.extradata) },
    ...(complaint ? { complaint } : {}),
  };
}

/** How libavformat's demuxers seek, by the names that ffprobe gives to formats. */
function seekRule(format: string): SeekRule {
  if (/\b(?:mp4|matroska)\b/.test(format)) return 'key-pts';
  return /^mpeg(?:ts)?$/.test(format) ? 'packet-dts' : 'key-dts';
}

/** A path in a message. One that would break the line is quoted and escaped. */
export function showPath(file: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
  return /[\u0000-\u001f\u007f-\u009f]/.test(file) ? JSON.stringify(file) : file;
}

/** Why a program failed, on one line: what it said, without the name of the file, which stands before it already. */
export function reasonOf(end: ChildEnd, file: string): string {
  const said = end.complaint.replaceAll(`file:${path.resolve(file)}: `, '').replaceAll(` '${containers}'`, '');
  return said || end.status;
}

/** The error of a program that ran into its time limit. */
export function tooSlow(file: string, timeoutMs: number): StamError {
  return new StamError('bad-video', {
    where: showPath(file),
    problem: 'reading it took too long',
    got: `more than ${timeoutMs / 1000} s`,
    hint: 'copy it to a faster disk if it is that long, or cut it into shorter videos',
  });
}

/** Node decodes a name's bytes as UTF-8, and puts U+FFFD where they are none. */
export const notUtf8 =
  'the name has bytes that are not UTF-8 (shown as \uFFFD), and such a file cannot be named here: rename it';

/** A pipe would keep the decoder waiting for ever, and of an empty file it says nothing useful. */
async function checkFile(file: string): Promise<void> {
  const where = showPath(file);
  const status = await stat(file).catch((cause: unknown) => {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    const reason = missing ? 'no such file or directory' : String(cause);
    const hint = missing && file.includes('\uFFFD') ? notUtf8 : undefined;
    throw new StamError('bad-input', { where, problem: `the file cannot be opened: ${reason}`, hint, cause });
  });
  if (!status.isFile()) {
    const got = status.isDirectory() ? 'a directory' : 'a device, pipe or socket';
    throw new StamError('bad-input', { where, problem: 'not a file', got, expected: 'a regular file' });
  }
  if (status.size === 0) throw new StamError('bad-video', { where, problem: 'the file is empty' });
}

interface StreamHeader {
  readonly index: number;
  readonly type: string;
  readonly codec: string;
  readonly width: number;
  readonly height: number;
  /** avg_frame_rate as ffprobe writes it, and as a double when it is positive. */
  readonly rate: string;
  readonly fps: number | undefined;
  /** What the container holds for the decoder, one character a byte. */
  readonly extradata: string;
}

/** What PyAV sees of a transport stream: ffprobe alone looks for later program tables, and then computes other frame rates. */
const asPyAV = ['-scan_all_pmts', '0'];

/** The streams' headers, and the name of the container's format. */
async function readStreams(
  tools: VideoTools,
  file: string,
  options: ProbeOptions,
  more: readonly string[] = [],
): Promise<{ format: string; streams: readonly StreamHeader[] }> {
  let format = '';
  const streams = new Map<number, StreamHeader>();
  const entries = 'format=format_name:stream=index,codec_type,codec_name,width,height,avg_frame_rate,extradata';
  const input = inputArguments(file, options.maxPixels ?? defaultMaxPixels);
  const args = ['-show_data', '-show_entries', entries, ...more, ...input];
  await readSections(tools, file, args, options, ({ name, fields, extradata }) => {
    if (name === 'FORMAT') format = fields.get('format_name') ?? '';
    if (name !== 'STREAM') return;
    const index = Number(fields.get('index'));
    const rate = fields.get('avg_frame_rate') ?? '0/0';
    const [numerator, denominator = 1] = rate.split('/').map(Number);
    const fps = numerator / denominator;
    streams.set(index, {
      index,
      type: fields.get('codec_type') ?? 'unknown',
      codec: fields.get('codec_name') ?? 'unknown',
      width: Number(fields.get('width') ?? 0),
      height: Number(fields.get('height') ?? 0),
      rate,
      fps: fps > 0 && Number.isFinite(fps) ? fps : undefined,
      extradata,
    });
  });
  if (format === 'mpegts' && more.length === 0) return await readStreams(tools, file, options, asPyAV);
  return { format, streams: [...streams.values()] };
}

interface Picture {
  readonly width: number;
  readonly height: number;
  readonly pixelFormat: string;
}

const showPicture = ({ width, height, pixelFormat }: Picture) => `${width}x${height} ${pixelFormat}`;

/** Timestamps of the packets and frames of the first video stream, each in the order in which they come. */
async function readFrames(
  tools: VideoTools,
  file: string,
  codec: string,
  options: ProbeOptions,
  compare: (picture: Picture, before: Picture) => void,
) {
  const packets: PacketTimes[] = [];
  const decoded: (number | null)[] = [];
  let picture: Picture | undefined;
  // a frame's timestamp is called pkt_pts before version 5
  const entries = 'packet=pts,dts,flags:frame=pts,pkt_pts,width,height,pix_fmt';
  const input = inputArguments(file, options.maxPixels ?? defaultMaxPixels, codec);
  const args = ['-select_streams', 'v:0', '-show_entries', entries, ...input];
  const end = await readSections(tools, file, args, options, ({ name, fields }) => {
    const time = (text = 'N/A') => (text === 'N/A' ? null : Number(text));
    const pts = time(fields.get('pts') ?? fields.get('pkt_pts'));
    if (name === 'PACKET') {
      packets.push({ pts, dts: time(fields.get('dts')), isKey: fields.get('flags')?.startsWith('K') ?? false });
    }
    if (name !== 'FRAME') return;
    decoded.push(pts);
    const now = {
      width: Number(fields.get('width')),
      height: Number(fields.get('height')),
      pixelFormat: fields.get('pix_fmt') ?? 'unknown',
    };
    compare(now, picture ?? now);
    picture ??= now;
  });
  return { packets, decoded, picture: picture as Picture | undefined, complaint: end.complaint && reasonOf(end, file) };
}

/** A section of ffprobe's default output: `[NAME]`, lines `key=value`, `[/NAME]`; other sections can lie in it. */
interface Section {
  readonly name: string;
  readonly fields: Map<string, string>;
  /** The bytes dumped after `extradata=`, one character a byte. */
  extradata: string;
}

/** Longest line that is looked at; ffprobe's own are far shorter for the entries that are asked for here. */
const maxLineLength = 4096;

/** Runs ffprobe and hands on each section as it ends. Throws bad-video, with ffprobe's own reason, when it fails. */
async function readSections(
  tools: VideoTools,
  file: string,
  args: readonly string[],
  { signal, timeoutMs = defaultTimeoutMs }: ProbeOptions,
  onSection: (section: Section) => void,
): Promise<ChildEnd> {
  const open: Section[] = [];
  const readLine = (line: string) => {
    const begin = /^\[(\w+)\]$/.exec(line);
    if (begin) {
      open.push({ name: begin[1], fields: new Map(), extradata: '' });
      return;
    }
    const section = open.at(-1);
    if (!section) return;
    if (line === `[/${section.name}]`) {
      open.pop();
      onSection(section);
      return;
    }
    const bytes = /^[0-9a-f]{8}: ((?:[0-9a-f]{2,4} ){1,8})/.exec(line);
    if (bytes) {
      section.extradata += Buffer.from(bytes[1].replaceAll(' ', ''), 'hex').toString('latin1');
      return;
    }
    const equals = line.indexOf('=');
    if (equals > 0) section.fields.set(line.slice(0, equals), line.slice(equals + 1));
  };

  const decoder = new TextDecoder();
  let rest = '';
  const end = await runChild(tools.ffprobe.path, ['-v', 'error', '-of', 'default', ...args], {
    signal,
    timeoutMs,
    onOutput(chunk) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n/);
      rest = (lines.pop() ?? '').slice(0, maxLineLength);
      for (const line of lines) readLine(line);
    },
  });
  if (end.timedOut) throw tooSlow(file, timeoutMs);
  if (!end.ok) {
    const where = showPath(file);
    const other = /\[([^\]]+)\] Format not on whitelist/.exec(end.complaint)?.[1];
    if (other === undefined) {
      throw new StamError('bad-video', { where, problem: `it cannot be read as a video: ${reasonOf(end, file)}` });
    }
    throw new StamError('bad-video', {
      where,
      problem: 'its container is none of those that are read here, whatever its name ends in',
      got: other,
      expected: containerNames,
      hint: 'put its video into one of them, without loss: ffmpeg -i IN -c copy OUT.mkv',
    });
  }
  return end;
}
