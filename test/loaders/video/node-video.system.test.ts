import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { chooseClips } from '../../../loaders/video/frame-choice.ts';
import { decodeFrames, probeVideo, type VideoInfo } from '../../../loaders/video/node-video.ts';
import { everyTools, ffmpeg, packaged, pictures, standIn, temporaryFolder } from './video-files.ts';

const folder = temporaryFolder();
const inFolder = (name: string) => path.join(folder, name);
const tools = await everyTools();

const x264 = ['-c:v', 'libx264', '-pix_fmt', 'yuv420p'];
const audioFirst = [
  '-f',
  'lavfi',
  '-i',
  'sine=duration=2',
  ...pictures('64x48', '25', 2),
  '-map',
  '0:a',
  '-map',
  '1:v',
];
const plain = ['-f', 'lavfi', '-i', 'color=c=0x10f0c0:size=64x48:rate=25:duration=0.2', '-pix_fmt', 'yuvj420p'];

/** Every way in which a file can differ that concerns the choice or the colours of frames. Two seconds each, 64x48 unless named. */
const recipes: Record<string, string[]> = {
  'h264.mp4': [...pictures('64x48', '25', 2), ...x264, '-bf', '3'],
  'ntsc.mp4': [...pictures('64x48', '30000/1001', 2), ...x264],
  'odd.avi': [...pictures('66x50', '25', 2), '-vf', 'format=yuv444p,crop=66:49,format=yuv420p', '-c:v', 'mpeg4'],
  'mpeg4.mp4': [...pictures('64x48', '25', 2), '-c:v', 'mpeg4', '-bf', '2'],
  'mpeg4.avi': [...pictures('64x48', '25', 2), '-c:v', 'mpeg4'],
  'b-frames.avi': [...pictures('64x48', '25', 2), '-c:v', 'mpeg4', '-bf', '2'],
  'mjpeg.avi': [...pictures('64x48', '25', 2), '-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p'],
  'full.mp4': [...pictures('64x48', '25', 2), '-c:v', 'libx264', '-pix_fmt', 'yuvj420p'],
  'gray.mkv': [...pictures('64x48', '25', 2), '-c:v', 'ffv1', '-pix_fmt', 'gray10le', '-strict', '-1'],
  'rgb.mkv': [...pictures('64x48', '25', 2), '-c:v', 'ffv1', '-pix_fmt', 'bgr0'],
  'deep.mp4': [
    ...pictures('64x48', '25', 2),
    '-c:v',
    'libx265',
    '-x265-params',
    'log-level=none',
    '-pix_fmt',
    'yuv420p10le',
  ],
  'uneven.mp4': [...pictures('64x48', '25', 2), '-vf', `select=mod(n\\,3)`, '-vsync', 'vfr', ...x264],
  'bt709.mp4': [
    ...[...pictures('64x48', '25', 2), ...x264],
    ...['-colorspace', 'bt709', '-color_primaries', 'bt709', '-color_trc', 'bt709'],
  ],
  'rotated.mp4': ['-i', inFolder('h264.mp4'), '-c', 'copy', '-metadata:s:v', 'rotate=90'],
  // AVI has no timestamps, and for B-frames of H.264 the ones that are made up are wrong
  'h264.avi': [...pictures('64x48', '25', 2), ...x264, '-bf', '3'],
  'audio-first.mkv': [...audioFirst, ...x264, '-c:a', 'libvorbis'],
  'audio-first.mp4': [...audioFirst, ...x264, '-c:a', 'aac'],
};

const fullRange = ['mjpeg.avi', 'full.mp4', 'gray.mkv'];

beforeAll(() => {
  for (const [name, recipe] of Object.entries(recipes)) ffmpeg(...recipe, inFolder(name));
  ffmpeg(...plain, '-c:v', 'mjpeg', inFolder('plain.avi'));
  ffmpeg(...plain, '-c:v', 'libx264', inFolder('plain.mp4'));
});

/** All frames of a file in the decoder's order, in the format named, none chosen or left out. */
const decodeAll = (name: string, pixelFormat: string, ...filter: string[]) => {
  const input = ['-noautorotate', '-i', inFolder(name), '-map', '0:v:0', '-vsync', '0'];
  return ffmpeg(...input, ...filter, '-f', 'rawvideo', '-pix_fmt', pixelFormat, '-');
};

const everyThird = (video: VideoInfo) => Array.from({ length: Math.ceil(video.frames / 3) }, (_, i) => i * 3);

const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe.each(tools)('%s: what a video is', (_, programs) => {
  test.each<[string, Partial<VideoInfo>]>([
    [
      'h264.mp4',
      { width: 64, height: 48, fps: 25, frames: 50, pixelFormat: 'yuv420p', codec: 'h264', countedBy: 'frames' },
    ],
    ['ntsc.mp4', { fps: 30000 / 1001, frames: 60 }],
    ['odd.avi', { width: 66, height: 49, pixelFormat: 'yuv420p', frames: 50 }],
    ['rotated.mp4', { width: 64, height: 48, frames: 50 }],
    ['mpeg4.mp4', { codec: 'mpeg4', countedBy: 'packets', frames: 50 }],
    ['mpeg4.avi', { codec: 'mpeg4', countedBy: 'packets', frames: 50 }],
    ['b-frames.avi', { codec: 'mpeg4', countedBy: 'packets', frames: 50 }],
    ['mjpeg.avi', { codec: 'mjpeg', countedBy: 'frames', pixelFormat: 'yuvj420p', frames: 50 }],
    ['uneven.mp4', { countedBy: 'frames', frames: 33 }],
    // torchvision looks at stream 0, whichever that is: the audio's extradata say Lavc in the one and not in the other
    ['audio-first.mkv', { codec: 'h264', countedBy: 'packets', frames: 50 }],
    ['audio-first.mp4', { codec: 'h264', countedBy: 'frames', frames: 50 }],
  ])('%s', async (name, expected) => {
    const video = await probeVideo(programs, inFolder(name));
    expect(video).toMatchObject(expected);
    expect(video).not.toHaveProperty('complaint');
  });
});

describe.each(tools)('%s: which frames come', (_, programs) => {
  // what read_video makes of timestamps out of order is compared with itself, in official-videos.system.test.ts
  test.each(Object.keys(recipes).filter((name) => name !== 'h264.avi'))('%s', async (name) => {
    const video = await probeVideo(programs, inFolder(name));
    const indices = everyThird(video);
    const { width, height, data } = await decodeFrames(programs, inFolder(name), video, indices);
    const frameBytes = width * height * 3;
    expect(data.byteLength).toBe(indices.length * frameBytes);
    const range = fullRange.includes(name) ? 'pc' : 'tv';
    const filter = `scale=flags=bilinear:in_color_matrix=bt601:in_range=${range}`;
    const whole = decodeAll(name, 'rgb24', '-vf', filter);
    expect(whole.byteLength).toBe(video.frames * frameBytes);
    const frames = indices.map((index) => hash(whole.subarray(index * frameBytes, (index + 1) * frameBytes)));
    expect(indices.map((__, i) => hash(data.subarray(i * frameBytes, (i + 1) * frameBytes)))).toEqual(frames);
    expect(new Set(frames).size).toBe(frames.length); // else any choice would do
  });

  test('the decoder tells when timestamps are of no use', async () => {
    const video = await probeVideo(programs, inFolder('h264.avi'));
    expect(video).toMatchObject({ frames: 50, countedBy: 'frames' });
    expect(video.times?.decoded.slice(0, 3)).not.toEqual(video.times?.counted.slice(0, 3));
  });

  test('indices that repeat', async () => {
    const video = await probeVideo(programs, inFolder('h264.mp4'));
    const { data } = await decodeFrames(programs, inFolder('h264.mp4'), video, [4, 4, 7]);
    const single = await decodeFrames(programs, inFolder('h264.mp4'), video, [4, 7]);
    const frameBytes = 64 * 48 * 3;
    expect(hash(data.subarray(0, frameBytes))).toBe(hash(data.subarray(frameBytes, 2 * frameBytes)));
    expect(hash(data.subarray(frameBytes))).toBe(hash(single.data));
  });
});

describe.each(tools)('%s: which colours they have', (_, programs) => {
  const isModelled = process.arch === 'x64';
  if (!isModelled)
    process.stderr.write(`swscale's integer arithmetic is known for x64 only: not compared on ${process.arch}\n`);

  // bt709.mp4 is converted as BT.601 like the others: its tag is not looked at
  test
    .runIf(isModelled)
    .each(['h264.mp4', 'ntsc.mp4', 'mpeg4.mp4', 'mpeg4.avi', 'b-frames.avi', 'uneven.mp4', 'bt709.mp4'])(
    '%s',
    async (name) => {
      const video = await probeVideo(programs, inFolder(name));
      const indices = everyThird(video);
      const { data } = await decodeFrames(programs, inFolder(name), video, indices);
      const planes = decodeAll(name, 'yuv420p');
      expect(planes.byteLength).toBe(video.frames * 64 * 48 * 1.5);
      const expected = indices.map((index) => toRgb(planes, index, 64, 48));
      expect(hash(data)).toBe(hash(Buffer.concat(expected)));
    },
  );

  test.each(['plain.avi', 'plain.mp4'])('%s is of full range', async (name) => {
    const video = await probeVideo(programs, inFolder(name));
    expect(video.pixelFormat).toBe('yuvj420p');
    const { data } = await decodeFrames(programs, inFolder(name), video, [0]);
    const planes = decodeAll(name, 'yuvj420p').subarray(0, 64 * 48 * 1.5);
    const [y, u, v] = [planes[0], planes[64 * 48] - 128, planes[64 * 48 * 1.25] - 128];
    // one colour everywhere, so that it does not matter how chroma is interpolated; JFIF's own formula
    const expected = [y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u];
    const worst = data.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i % 3])), 0);
    expect(worst).toBeLessThanOrEqual(2); // limited range would be off by 16 and more
  });

  test('gray of any depth is of full range', async () => {
    const video = await probeVideo(programs, inFolder('gray.mkv'));
    const { data } = await decodeFrames(programs, inFolder('gray.mkv'), video, [0]);
    const levels = decodeAll('gray.mkv', 'gray10le');
    let worst = 0;
    for (let pixel = 0; pixel < 64 * 48; pixel++) {
      const level = levels.readUInt16LE(2 * pixel) / 4;
      for (let c = 0; c < 3; c++) worst = Math.max(worst, Math.abs(data[3 * pixel + c] - level));
    }
    expect(worst).toBeLessThanOrEqual(1);
  });

  test('RGB is handed on', async () => {
    const video = await probeVideo(programs, inFolder('rgb.mkv'));
    const indices = everyThird(video);
    const { data } = await decodeFrames(programs, inFolder('rgb.mkv'), video, indices);
    const pixels = decodeAll('rgb.mkv', 'bgr0');
    const expected = indices.flatMap((index) => {
      const frame = pixels.subarray(index * 64 * 48 * 4, (index + 1) * 64 * 48 * 4);
      return Array.from({ length: 64 * 48 * 3 }, (__, i) => frame[4 * Math.floor(i / 3) + 2 - (i % 3)]);
    });
    expect(hash(data)).toBe(hash(Uint8Array.from(expected)));
  });
});

/** swscale's own converter for 4:2:0 at unchanged size, in the integers of its x86 code; each chroma sample serves its 2x2 block. */
function toRgb(planes: Uint8Array, index: number, width: number, height: number): Uint8Array {
  const size = width * height;
  const begin = index * size * 1.5;
  const mul = (a: number, b: number) => (a * b) >> 16;
  const clamp = (value: number) => Math.max(0, Math.min(255, value));
  const rgb = new Uint8Array(3 * size);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const chroma = begin + size + (y >> 1) * (width / 2) + (x >> 1);
      const luma = mul(8 * planes[begin + y * width + x] - 128, 9539);
      const u = 8 * planes[chroma] - 1024;
      const v = 8 * planes[chroma + size / 4] - 1024;
      const rgbPlace = 3 * (y * width + x);
      rgb[rgbPlace] = clamp(luma + mul(v, 13075));
      rgb[rgbPlace + 1] = clamp(luma + mul(u, -3209) + mul(v, -6660));
      rgb[rgbPlace + 2] = clamp(luma + mul(u, 16525));
    }
  }
  return rgb;
}

test.each([
  'a  b.mp4',
  `it's "so".mp4`,
  '-i.mp4',
  'ünï 試.mp4',
  '%03d.mp4',
  'new\nline.mp4',
  'a:b;c|d,e[f].mp4',
  'file:x.mp4',
  '$(id).mp4',
])('a file may be called %j', async (name) => {
  copyFileSync(inFolder('h264.mp4'), inFolder(name));
  const video = await probeVideo(packaged, inFolder(name));
  const relative = path.relative(process.cwd(), inFolder(name));
  const { data } = await decodeFrames(packaged, relative, video, [3]);
  expect(hash(data)).toBe(hash((await decodeFrames(packaged, inFolder('h264.mp4'), video, [3])).data));
});

describe('the reference video', () => {
  const golden = fileURLToPath(new URL('../../../../shared/golden/video', import.meta.url));
  const isThere = existsSync(path.join(golden, 'demo.mp4'));
  if (!isThere) process.stderr.write('../shared/golden is not there: the reference video is not tested\n');

  test.runIf(isThere).each(tools)('%s chooses the frames that torchvision chose', async (_, programs) => {
    const reference = JSON.parse(readFileSync(path.join(golden, 'demo.json'), 'utf8')) as {
      decoded_frames: number;
      cases: { frames: number; frame_rate: number; fps: number; indices: number[] }[];
    };
    const file = path.join(golden, 'demo.mp4');
    const video = await probeVideo(programs, file);
    for (const { frames, frame_rate: frameRate, fps, indices } of reference.cases) {
      expect(video).toMatchObject({ width: 340, height: 256, fps, frames: reference.decoded_frames });
      const rule = { framesPerClip: frames, frameRate, stepBetweenClips: 1000 };
      expect(chooseClips(video.frames, video.fps, rule)).toEqual([indices]);
      // 340x256 is not resized: the crop's columns 58..281 and rows 16..239 are the reference's bytes
      const { data } = await decodeFrames(programs, file, video, indices);
      const crops = readFileSync(path.join(golden, 'demo.16.crop224.rgb'));
      for (let frame = 0; frame < frames; frame++) {
        for (let row = 0; row < 224; row++) {
          const begin = ((frame * 256 + row + 16) * 340 + 58) * 3;
          const expected = crops.subarray((frame * 224 + row) * 224 * 3, (frame * 224 + row + 1) * 224 * 3);
          if (!expected.equals(data.subarray(begin, begin + 224 * 3))) expect.fail(`frame ${frame}, row ${row}`);
        }
      }
    }
  });
});

test('arguments name one local file and no shell, whatever the path', async () => {
  const stand = temporaryStandIns();
  await expect(probeVideo(stand, inFolder('h264.mp4'))).rejects.toMatchObject({ code: 'bad-video' });
  const args: unknown = JSON.parse(readFileSync(inFolder('ffprobe-arguments.json'), 'utf8'));
  expect(args).toEqual(
    expect.arrayContaining(['-protocol_whitelist', 'file,pipe', '-i', `file:${inFolder('h264.mp4')}`]),
  );
});

function temporaryStandIns() {
  const body = `require('fs').writeFileSync('${inFolder('ffprobe-arguments.json')}', JSON.stringify(process.argv.slice(2)))`;
  const ffprobe = { path: standIn(folder, 'ffprobe', body), version: '99', origin: 'option' } as const;
  return { ...packaged, ffprobe };
}
