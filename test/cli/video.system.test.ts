// Opening a video whose clips overlap: the frames of each, however they are decoded. No device is needed.
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { openVideo } from '../../cli/video.ts';
import { probeVideo } from '../../loaders/video/node-video.ts';
import { findFrames } from '../../loaders/video/read-video.ts';
import { everyTools, ffmpeg, packaged, pictures, temporaryFolder } from '../loaders/video/video-files.ts';

const folder = temporaryFolder();
const plain = path.join(folder, 'wide.mp4');
/** AVI has no timestamps, and for B-frames of H.264 the ones that are made up are wrong. */
const shuffled = path.join(folder, 'h264.avi');
const frameBytes = 64 * 48 * 3;

beforeAll(() => {
  ffmpeg(...pictures('64x48', '25', 2), '-pix_fmt', 'yuv420p', plain);
  ffmpeg(...pictures('64x48', '25', 2), '-pix_fmt', 'yuv420p', '-c:v', 'libx264', '-bf', '3', shuffled);
});

const clips = [
  [0, 5, 9, 14],
  [3, 5, 5, 40],
  [9, 14, 48, 49],
];

function opening(maxBytesAtOnce?: number) {
  return {
    tools: packaged,
    network: { overlaps: true, choose: () => clips },
    signal: new AbortController().signal,
    maxPictureBytes: 2 ** 20,
    onNotice: () => undefined,
    maxBytesAtOnce,
  };
}

describe.each([
  ['at once', undefined],
  ['one by one', 0],
])('clips decoded %s', (_, maxBytesAtOnce) => {
  test.each([
    [path.basename(plain), plain],
    [path.basename(shuffled), shuffled],
  ])('are the frames as the decoder puts them out: %s', async (_name, file) => {
    const scale = 'scale=flags=bilinear:in_color_matrix=bt601:in_range=tv,format=rgb24';
    const all = ffmpeg('-i', file, '-vsync', '0', '-vf', scale, '-f', 'rawvideo', '-');
    expect(all.length).toBe(50 * frameBytes);
    const opened = await openVideo(file, opening(maxBytesAtOnce));
    if ('tooShort' in opened) throw new Error('no clip');
    expect(opened.info.frames).toBe(50);
    for (const clip of clips) {
      const wanted = clip.map((frame) => all.subarray(frame * frameBytes, (frame + 1) * frameBytes));
      const { data, ...size } = await opened.decode(clip);
      expect(size).toEqual({ width: 64, height: 48, places: clip });
      expect(Buffer.compare(Buffer.from(data), Buffer.concat(wanted)), `frames ${clip}`).toBe(0);
    }
    expect(opened.first).toEqual(await opened.decode(clips[0]));
  });
});

test.each(await everyTools())('more frames than the terms that ffmpeg adds up in a row: %s', async (_, tools) => {
  const long = path.join(folder, 'long.mp4');
  ffmpeg(...pictures('32x32', '25', 14), '-pix_fmt', 'yuv420p', long);
  const many = [0, 1].map((first) => Array.from({ length: 80 }, (_, i) => first + 2 * i));
  const network = { overlaps: true, choose: () => many };
  const [together, single] = await Promise.all([
    openVideo(long, { ...opening(), tools, network }),
    openVideo(long, { ...opening(0), tools, network }),
  ]);
  if ('tooShort' in together || 'tooShort' in single) throw new Error('no clip');
  for (const clip of many) expect(await together.decode(clip)).toEqual(await single.decode(clip));
});

test('the shuffled video is one whose timestamps would lead elsewhere', async () => {
  const places = async (file: string) => {
    const { times } = await probeVideo(packaged, file);
    return times && findFrames([0, 1, 2, 3], times);
  };
  expect(await places(plain)).toEqual({ places: [0, 1, 2, 3] });
  expect(await places(shuffled)).not.toEqual({ places: [0, 1, 2, 3] });
});
