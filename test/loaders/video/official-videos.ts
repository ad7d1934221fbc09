// Some two hundred small videos, of every container, rate and arrangement of frames that may lead to other frames than the official code
// takes. Each is made by the ffmpeg that comes with npm, bit for bit the same everywhere; official-videos.txt has the official answers.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { randomStream } from '../../random.ts';
import { ffmpeg } from './video-files.ts';

const moving = (rate: string, seconds = 12, size = '64x48') =>
  `-f lavfi -i testsrc2=size=${size}:rate=${rate}:duration=${seconds},noise=alls=30:allf=t`;
const tone = '-f lavfi -i sine=duration=12';

const h264 = (bFrames: number, keyInterval = 50) =>
  `-c:v libx264 -pix_fmt yuv420p -preset veryfast -bf ${bFrames} -g ${keyInterval}`;
const hevc = (bFrames: number) =>
  `-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=none:pools=none:frame-threads=1:bframes=${bFrames}:keyint=50`;
const mpeg4 = (bFrames: number) => `-c:v mpeg4 -q:v 5 -bf ${bFrames}`;
const mpeg2 = '-c:v mpeg2video -bf 2 -q:v 4';
const vp8 = '-c:v libvpx -b:v 200k -deadline realtime -cpu-used 8';
const vp9 = '-c:v libvpx-vp9 -b:v 200k -deadline realtime -cpu-used 8';

/** ffmpeg's arguments, or a file of this list to be changed: words that replace `Lavc58.42.100`, or some bits flipped. */
type Recipe =
  | string
  | { readonly from: string; readonly encoder: string }
  | { readonly from: string; readonly bits: number };

export const recipes = new Map<string, Recipe>();

/** Adds the file of this name, made by these arguments, in which names of the list stand for files that are made before. */
function add(name: string, ...args: readonly string[]): void {
  recipes.set(name, args.join(' '));
}

for (const bFrames of [0, 1, 2, 3, 4]) {
  for (const container of ['mp4', 'mkv', 'avi', 'ts', 'flv', 'mov']) {
    add(`h264-b${bFrames}.${container}`, moving('25'), h264(bFrames));
  }
  add(`raw-b${bFrames}.h264`, moving('25'), h264(bFrames));
}
add('raw-30.h264', moving('30'), h264(3));
for (const bFrames of [0, 3]) add(`raw-b${bFrames}.hevc`, moving('25'), hevc(bFrames));
add('raw.m4v', moving('25'), mpeg4(0));
for (const container of ['avi', 'mp4', 'mkv']) add(`from-raw-b0.${container}`, '-i raw-b0.h264 -c copy');
for (const bFrames of [1, 3]) {
  for (const container of ['avi', 'mp4']) add(`from-raw-b${bFrames}.${container}`, `-i raw-b${bFrames}.h264 -c copy`);
}

const rates = ['12', '15', '18', '24000/1001', '24', '25', '30000/1001', '30', '48', '50', '60000/1001', '60'];
for (const rate of rates) {
  const name = `rate-${rate.replace('/1001', '-1001')}`;
  add(`${name}.mp4`, moving(rate), h264(2));
  add(`${name}.mkv`, moving(rate), h264(2));
  add(`${name}.avi`, moving(rate), mpeg4(0));
  add(`${name}.webm`, moving(rate), vp8);
  if (!['24000/1001', '30', '60000/1001'].includes(rate)) continue;
  add(`${name}.ts`, moving(rate), h264(2));
  add(`${name}.flv`, moving(rate), h264(2));
  add(`${name}.mpg`, moving(rate), mpeg2);
}

const openGop = '-x264-params open-gop=1:keyint=25:min-keyint=25:scenecut=0';
for (const container of ['mp4', 'mkv', 'ts', 'avi']) add(`open-gop.${container}`, moving('25'), h264(3), openGop);
for (const container of ['mp4', 'mkv', 'ts'])
  add(`cut-open-gop.${container}`, `-ss 1.3 -i open-gop.${container} -c copy`);
for (const container of ['mp4', 'mkv', 'avi', 'ts', 'flv']) {
  for (const at of ['0.5', '1.3']) add(`cut-${at}.${container}`, `-ss ${at} -i h264-b3.${container} -c copy`);
}

for (const container of ['avi', 'mp4', 'mkv', 'ts', 'mov']) {
  for (const bFrames of [0, 2]) add(`mpeg4-b${bFrames}.${container}`, moving('25'), mpeg4(bFrames));
}
add('cut-mpeg4.avi', '-ss 1.1 -i mpeg4-b0.avi -c copy');
add('cut-mpeg4.mp4', '-ss 1.1 -i mpeg4-b0.avi -c copy');
add('cut-mpeg4-b2.mp4', '-ss 1.1 -i mpeg4-b2.mp4 -c copy');
const divx = [moving('25'), mpeg4(2), '-flags +global_header -vtag DX50'];
add('mpeg4-header.avi', ...divx);
for (const [name, encoder] of Object.entries({
  packed: 'DivX503b1393p',
  unpacked: 'DivX503b1393o',
  build: 'DivX5Build12o',
})) {
  recipes.set(`divx-${name}.avi`, { from: 'mpeg4-header.avi', encoder });
}

for (const container of ['mpg', 'ts', 'mkv', 'avi', 'mp4']) add(`mpeg2.${container}`, moving('25'), mpeg2);
add('mpeg1.mpg', moving('25'), '-c:v mpeg1video -q:v 4');
add('flv1.flv', moving('25'), '-c:v flv');
add('msmpeg4.avi', moving('25'), '-c:v msmpeg4');
add('wmv2.asf', moving('25'), '-c:v wmv2');
add('theora.ogg', moving('25'), '-c:v libtheora');
add('mjpeg.avi', moving('25'), '-c:v mjpeg -pix_fmt yuvj420p');
add('mjpeg.mov', moving('25'), '-c:v mjpeg -pix_fmt yuvj420p');
for (const container of ['webm', 'mp4', 'ivf']) add(`vp9.${container}`, moving('25'), vp9);
add('vp8.ivf', moving('25'), vp8);
add('vp8-altref.webm', moving('25'), '-c:v libvpx -b:v 100k -auto-alt-ref 1 -lag-in-frames 16');
add('vp9-altref.mkv', moving('25'), '-c:v libvpx-vp9 -b:v 100k -cpu-used 8 -auto-alt-ref 1 -lag-in-frames 16');
for (const container of ['mp4', 'mkv', 'ts']) add(`hevc.${container}`, moving('25'), hevc(3));
add('hevc-b0.mp4', moving('25'), hevc(0));

const codecIn = (container: string) => (container === 'webm' ? vp8 : h264(2));
for (const container of ['mp4', 'mkv', 'webm', 'ts', 'flv', 'mov']) {
  add(`vfr-third.${container}`, moving('30'), '-vf select=mod(n\\,3) -vsync vfr', codecIn(container));
}
for (const container of ['mp4', 'mkv', 'webm', 'avi']) {
  const sync = container === 'avi' ? 'cfr' : 'vfr';
  add(`vfr-drift.${container}`, moving('25'), `-vf setpts=PTS*(1+0.3*N/300) -vsync ${sync}`, codecIn(container));
}
for (const container of ['mp4', 'mkv']) {
  add(`vfr-gap.${container}`, moving('25'), '-vf select=lt(t\\,3)+gt(t\\,5) -vsync vfr', h264(2));
}

for (const container of ['mp4', 'mkv', 'ts']) add(`late.${container}`, '-itsoffset 1.5', moving('25'), h264(2));
const audioCodecs = { mkv: 'libvorbis', mp4: 'aac', avi: 'mp2', ts: 'mp2', mpg: 'mp2' };
for (const [container, codec] of Object.entries(audioCodecs)) {
  const video = container === 'mpg' ? '-c:v mpeg2video -q:v 4' : h264(2);
  add(`audio-first.${container}`, tone, moving('25'), '-map 0:a -map 1:v', video, `-c:a ${codec}`);
}
add('audio.mp4', tone, moving('25'), '-map 1:v -map 0:a', h264(2), '-c:a aac');
add('audio-late.mp4', '-itsoffset -0.7', tone, moving('25'), '-map 1:v -map 0:a', h264(2), '-c:a aac');
for (const container of ['mp4', 'mov']) add(`cut-audio.${container}`, '-ss 1.3 -i audio.mp4 -c copy');

for (const [seconds, rate] of [
  [3, '25'],
  [9.9, '25'],
  [10, '25'],
  [10, '30'],
  [9.6, '24'],
  [10, '24000/1001'],
] as const) {
  add(`short-${seconds}-${rate.replace('/1001', '-1001')}.mp4`, moving(rate, seconds), h264(2));
}
add('short-3.avi', moving('25', 3), mpeg4(0));
add('fragmented.mp4', moving('25'), h264(2), '-movflags frag_keyframe+empty_moov');
add('faststart.mp4', moving('25'), h264(2), '-movflags faststart');
add('negative.mp4', moving('25'), h264(3), '-movflags negative_cts_offsets');
add('intra.mp4', moving('25'), h264(0, 1));
for (const container of ['mp4', 'avi']) add(`one-gop.${container}`, moving('25'), h264(3, 1000));
add('pyramid.avi', moving('25'), h264(4), '-x264-params b-pyramid=strict:b-adapt=0');
add('pyramid.mp4', moving('25'), h264(4), '-x264-params b-pyramid=normal:b-adapt=0');
for (const container of ['mp4', 'ts']) {
  add(`interlaced.${container}`, moving('25'), h264(2), '-flags +ildct+ilme -x264-params tff=1');
}
for (const container of ['mp4', 'ts', 'nut']) add(`twenty.${container}`, moving('25', 20), h264(2));
add('twenty.mkv', moving('25', 20), h264(2), '-x264-params open-gop=1');
add('twenty.avi', moving('25', 20), mpeg4(0));

const damaged = ['h264-b0.mp4', 'h264-b3.mkv', 'h264-b2.avi', 'mpeg4-b2.mp4', 'vp9.webm', 'rate-25.webm', 'mpeg2.mkv'];
for (const bits of [3, 40, 400]) {
  for (const from of damaged) recipes.set(`${bits}-bits-${from}`, { from, bits });
}

// on one thread the decoder of VP8 passes over this
recipes.set('90-bits-rate-25.webm', { from: 'rate-25.webm', bits: 90 });

/** Makes the file in `folder`, and those that it is made from, unless they are there. Returns its path. */
export function makeOfficialVideo(folder: string, name: string): string {
  const file = path.join(folder, name);
  const recipe = recipes.get(name);
  if (recipe === undefined) throw new Error(`no recipe for ${name}`);
  if (existsSync(file)) return file;
  if (typeof recipe === 'string') {
    // names of the list stand where a file is read
    const args = recipe.split(' ').map((arg) => (recipes.has(arg) ? makeOfficialVideo(folder, arg) : arg));
    const format = name.endsWith('.mpg') ? ['-f', 'vob'] : [];
    ffmpeg(...args, '-threads', '1', '-fflags', '+bitexact', ...format, file);
    return file;
  }
  const bytes = readFileSync(makeOfficialVideo(folder, recipe.from));
  if ('encoder' in recipe) bytes.write(recipe.encoder, bytes.indexOf('Lavc'), 'latin1');
  else flipBits(bytes, recipe.bits);
  writeFileSync(file, bytes);
  return file;
}

/** Flips bits in the middle of the file, where its frames are. */
function flipBits(bytes: Buffer, count: number): void {
  const random = randomStream(count);
  for (let i = 0; i < count; i++) {
    const place = Math.floor(bytes.length * (0.05 + 0.85 * random()));
    bytes[place] ^= 1 << Math.floor(8 * random());
  }
}

/** The first 16 hexadecimal digits of the SHA-256 of these bytes: what the table has of files and clips. */
export function shortHash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}
