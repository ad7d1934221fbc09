// Small videos of many containers, rates, edit lists and orders of frames, made by the npm package's ffmpeg, and edited where it cannot.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ffmpeg, pictures } from './video-files.ts';

const size = '64x48';
const fast = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', '30'];
const inOrder = [...fast, '-bf', '0'];
const reordered = [...fast, '-bf', '2', '-b_strategy', '0'];
const vp8 = ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '200k', '-g', '30'];
/** Frames that are decoded for the sake of others and never shown: they come of two passes. */
const hidden = '-c:v libvpx -cpu-used 5 -b:v 200k -g 30 -auto-alt-ref 1 -lag-in-frames 16 -pass'.split(' ');
const vp9 = ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '200k', '-g', '30'];
const tone = ['-f', 'lavfi', '-i', 'sine=duration=11', '-c:a', 'libvorbis', '-ac', '2'];
/** Leaves out frames by no even rule. */
const irregular = ['-vf', 'select=not(mod(n*n\\,7)-1)+not(mod(n\\,5))', '-vsync', 'vfr'];

/** One entry of an edit list; `duration` in milliseconds, `media` in ticks of the track, -1 for a pause, `rate` of 1 unless told. */
export interface Edit {
  readonly duration: number;
  readonly media: number;
  readonly rate?: number;
}

/** How a file is made: from so many seconds at a rate, with these arguments of ffmpeg's, and what is done to its bytes. */
interface Recipe {
  readonly rate: string;
  readonly seconds: number;
  readonly args: readonly string[];
  /** What is copied, without coding it again, out of the file that these arguments make. */
  readonly copy?: { readonly from: string; readonly before?: readonly string[]; readonly after?: readonly string[] };
  readonly edit?: (bytes: Buffer) => Buffer;
}

const film = '24000/1001';
const video = (rate: string, args: readonly string[], seconds = 11): Recipe => ({ rate, seconds, args });

/** By the name of the file. */
export const recipes: Readonly<Record<string, Recipe>> = {
  'h264-12.mp4': video('12', reordered),
  'h264-15.mp4': video('15', inOrder),
  'h264-film.mp4': video(film, reordered),
  'h264-24.mp4': video('24', reordered),
  'h264-25.mp4': video('25', inOrder),
  'h264-ntsc.mp4': video('30000/1001', reordered),
  'h264-50.mp4': video('50', reordered),
  'h264-ntsc-double.mp4': video('60000/1001', reordered),
  'h264-60.mp4': video('60', inOrder),
  'h264-5.mp4': video('5', inOrder),
  'open-gop.mp4': video('30', [...reordered, '-x264-params', 'open-gop=1:keyint=24:min-keyint=24']),
  'short.mp4': video('30', reordered, 9.9),
  'irregular.mp4': video('30', [...irregular, ...inOrder], 13),
  'irregular-reordered.mp4': video('30', [...irregular, ...reordered], 13),
  'long-last.mp4': video('30', ['-vf', 'setpts=if(gte(N\\,329)\\,PTS+2/TB\\,PTS)', '-vsync', 'vfr', ...inOrder]),
  'one-stretch.mov': video('25', reordered),
  'delayed.mp4': { ...video('30', reordered), copy: { from: 'a.mp4', before: ['-itsoffset', '1'] } },
  'cut.mp4': { ...video('30', [...fast, '-g', '90', '-bf', '2'], 14), copy: { from: 'a.mp4', before: ['-ss', '1.3'] } },
  'cut-short.mp4': { ...video('30', [...fast, '-g', '90'], 11), copy: { from: 'a.mp4', before: ['-ss', '1.3'] } },
  'end-cut.mp4': { ...video('30', reordered, 13), edit: withEdits({ duration: 10500, media: 1024 }) },
  'end-cut-short.mp4': { ...video('30', reordered, 13), edit: withEdits({ duration: 9500, media: 1024 }) },
  'cut-between.mp4': { ...video('30', inOrder, 13), edit: withEdits({ duration: 10333, media: 5000 }) },
  'endless-edit.mp4': { ...video('30', inOrder), edit: withEdits({ duration: 0, media: 5120 }) },
  'two-edits.mp4': {
    ...video('30', inOrder, 14),
    edit: withEdits({ duration: 4000, media: 0 }, { duration: 8000, media: 6 * 15360 }),
  },
  'two-edits-reordered.mp4': {
    ...video('30', reordered, 14),
    edit: withEdits({ duration: 4000, media: 1024 }, { duration: 8000, media: 1024 + 5 * 15360 }),
  },
  'edits-turned.mp4': {
    ...video('30', inOrder, 14),
    edit: withEdits({ duration: 5000, media: 7 * 15360 }, { duration: 6000, media: 0 }),
  },
  'pause-then-edit.mp4': {
    ...video('30', reordered, 14),
    edit: withEdits({ duration: 500, media: -1 }, { duration: 11000, media: 1024 + 15360 }),
  },
  'slow-motion.mp4': { ...video('30', inOrder, 14), edit: withEdits({ duration: 12000, media: 15360, rate: 0.5 }) },
  'fragments.mp4': video('30', [...reordered, '-movflags', 'frag_keyframe+empty_moov']),
  'fragments-film.mp4': video(film, [...inOrder, '-movflags', 'frag_keyframe+empty_moov+default_base_moof']),
  'fragments-cut.mp4': {
    ...video('30', [...reordered, '-g', '90'], 14),
    copy: { from: 'a.mp4', before: ['-ss', '1.3'], after: ['-movflags', 'frag_keyframe+empty_moov+delay_moov'] },
  },
  'fragments-irregular.mp4': video('30', [...irregular, ...inOrder, '-movflags', 'frag_keyframe+empty_moov'], 13),
  'vp9-25.mp4': video('25', vp9),
  'h264-30.mkv': video('30', reordered),
  'h264-film.mkv': video(film, reordered),
  'h264-ntsc-double.mkv': video('60000/1001', inOrder),
  'h264-irregular.mkv': video('30', [...irregular, ...reordered], 25),
  'vp8-30.webm': video('30', vp8),
  'vp8-24.webm': video('24', vp8),
  'vp8-15.webm': video('15', vp8),
  'vp8-ntsc.webm': video('30000/1001', vp8),
  'vp8-hidden.webm': video('30', [...hidden, '2']),
  'vp8-hidden-after-vorbis.webm': video('30', [...tone, ...hidden, '2', '-map', '1:a', '-map', '0:v']),
  'vp8-cut.webm': { ...video('30', vp8, 13), copy: { from: 'a.webm', before: ['-ss', '1.4'] } },
  'vp9-film.webm': video(film, vp9),
  'vp9-irregular.webm': video('30', [...irregular, ...vp9], 13),
  'no-rate-30.webm': { ...video('30', vp8), edit: withoutRate },
  'no-rate-film.webm': { ...video(film, vp8), edit: withoutRate },
  'no-rate-irregular.webm': { ...video('30', [...irregular, ...vp8], 13), edit: withoutRate },
  'h264-30.ts': video('30', reordered),
};

/** Makes a file of `recipes` and returns its path. */
export function makeClipFile(folder: string, name: string): string {
  const { rate, seconds, args, copy, edit } = recipes[name];
  const file = path.join(folder, name);
  const coded = copy ? path.join(folder, `${name}.${copy.from}`) : file;
  if (args.includes('-pass')) {
    const log = ['-passlogfile', coded];
    ffmpeg(...pictures(size, rate, seconds), ...hidden, '1', ...log, '-f', 'null', '-');
    ffmpeg(...pictures(size, rate, seconds), ...args, ...log, coded);
  } else ffmpeg(...pictures(size, rate, seconds), ...args, coded);
  if (copy) ffmpeg(...(copy.before ?? []), '-i', coded, '-c', 'copy', ...(copy.after ?? []), file);
  if (edit) writeFileSync(file, edit(readFileSync(file)));
  return file;
}

/** Puts another edit list into an MP4 of ffmpeg's, whose index lies behind the frames, so that no offset in it changes. */
function withEdits(...edits: readonly Edit[]): (bytes: Buffer) => Buffer {
  return (bytes) => {
    const at = bytes.lastIndexOf('elst') - 4;
    const body = Buffer.alloc(16 + 12 * edits.length);
    body.writeUInt32BE(body.length, 0);
    body.write('elst', 4);
    body.writeUInt32BE(edits.length, 12);
    for (const [i, { duration, media, rate = 1 }] of edits.entries()) {
      body.writeUInt32BE(duration, 16 + 12 * i);
      body.writeInt32BE(media, 20 + 12 * i);
      body.writeInt32BE(rate * 65536, 24 + 12 * i);
    }
    const growth = body.length - bytes.readUInt32BE(at);
    for (const parent of ['moov', 'trak', 'edts']) {
      const place = bytes.lastIndexOf(parent, at) - 4;
      bytes.writeUInt32BE(bytes.readUInt32BE(place) + growth, place);
    }
    return Buffer.concat([bytes.subarray(0, at), body, bytes.subarray(at + bytes.readUInt32BE(at))]);
  };
}

/** Takes DefaultDuration out of a WebM file, as the recordings of browsers lack it: the element becomes void. */
function withoutRate(bytes: Buffer): Buffer {
  const at = bytes.indexOf('23e38384', 0, 'hex');
  if (at < 0) throw new Error('the file has no DefaultDuration of four bytes');
  bytes.set([0xec, 0x86], at);
  return bytes;
}
