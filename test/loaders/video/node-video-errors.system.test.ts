import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeFrames, probeVideo, type VideoInfo } from '../../../loaders/video/node-video.ts';
import { everyTools, ffmpeg, packaged, pictures, standIn, temporaryFolder } from './video-files.ts';

const folder = temporaryFolder();
const inFolder = (name: string) => path.join(folder, name);
const tools = await everyTools();
const x264 = ['-c:v', 'libx264', '-pix_fmt', 'yuv420p'];

beforeAll(() => {
  const video = pictures('64x48', '25', 2);
  ffmpeg(...video, ...x264, inFolder('good.mp4'));
  ffmpeg(...video, ...x264, '-g', '10', '-movflags', 'faststart', inFolder('faststart.mp4'));
  ffmpeg(...video, '-c:v', 'mpeg4', inFolder('mpeg4.avi'));
  ffmpeg(...pictures('64x48', '25', 1), ...x264, inFolder('a.h264'));
  ffmpeg(...pictures('32x32', '25', 1), ...x264, inFolder('b.h264'));
  ffmpeg('-f', 'lavfi', '-i', 'sine=duration=1', '-c:a', 'aac', inFolder('audio.mp4'));
  ffmpeg('-ss', '1.1', '-i', inFolder('mpeg4.avi'), '-c', 'copy', inFolder('cut.mp4'));

  const good = readFileSync(inFolder('good.mp4'));
  writeFileSync(inFolder('no-index.mp4'), good.subarray(0, good.length / 2));
  const faststart = readFileSync(inFolder('faststart.mp4'));
  writeFileSync(inFolder('half.mp4'), faststart.subarray(0, faststart.length / 2));
  const avi = readFileSync(inFolder('mpeg4.avi'));
  writeFileSync(inFolder('half.avi'), avi.subarray(0, avi.length / 2));
  writeFileSync(inFolder('empty.mp4'), '');
  writeFileSync(inFolder('text.avi'), 'This is no video.\n'.repeat(100));
  writeFileSync(inFolder('playlist.mp4'), 'ffconcat version 1.0\nfile good.mp4\n');
  writeFileSync(inFolder('list.mp4'), '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ngood.mp4\n#EXT-X-ENDLIST\n');
  writeFileSync(
    inFolder('changing.h264'),
    Buffer.concat([readFileSync(inFolder('a.h264')), readFileSync(inFolder('b.h264'))]),
  );
  for (const name of ['faststart.mp4', 'mpeg4.avi']) damage(name, 40);
  ffmpeg(...video, '-c:v', 'mpeg2video', '-f', 'mxf', inFolder('material.mp4'));
  mkdirSync(inFolder('folder.mp4'));
  execFileSync('mkfifo', [inFolder('pipe.mp4')]);
});

/** Overwrites one packet of a copy, `damaged-NAME`, so that no decoder takes it. */
function damage(name: string, packet: number): void {
  const query = ['-v', 'error', '-select_streams', 'v', '-show_entries', 'packet=pos,size', '-of', 'csv=p=0'];
  const rows = execFileSync(packaged.ffprobe.path, [...query, inFolder(name)], { encoding: 'utf8' })
    .trim()
    .split('\n');
  const [size, position] = rows[packet].split(',').map(Number);
  const bytes = readFileSync(inFolder(name));
  bytes.fill(0xff, position, position + size);
  writeFileSync(inFolder(`damaged-${name}`), bytes);
}

describe.each(tools)('%s: no video', (_, programs) => {
  test.each([
    ['nowhere.mp4', 'bad-input', 'the file cannot be opened: no such file or directory'],
    ['folder.mp4', 'bad-input', 'not a file; got a directory, expected a regular file'],
    ['pipe.mp4', 'bad-input', 'not a file; got a device, pipe or socket, expected a regular file'],
    ['empty.mp4', 'bad-video', 'the file is empty'],
    ['text.avi', 'bad-video', 'it cannot be read as a video: '],
    ['audio.mp4', 'bad-video', 'there is no video in it; got audio (aac), expected a video stream'],
    ['no-index.mp4', 'bad-video', 'it cannot be read as a video: [mov,mp4,m4a,3gp,3g2,mj2] moov atom not found, '],
    [
      'playlist.mp4',
      'bad-video',
      'its container is none of those that are read here, whatever its name ends in; got concat',
    ],
    ['list.mp4', 'bad-video', 'it'],
    [
      'material.mp4',
      'bad-video',
      `its container is none of those that are read here, whatever its name ends in; got mxf`,
    ],
    [
      'caf\uFFFD.mp4',
      'bad-input',
      'the file cannot be opened: no such file or directory; the name has bytes that are not',
    ],
    [
      'changing.h264',
      'bad-video',
      'the pictures change in mid-stream; got 32x32 yuv420p, expected 64x48 yuv420p throughout',
    ],
  ])('%s', async (name, code, problem) => {
    const message = expect.stringContaining(`${inFolder(name)}: ${problem}`);
    await expect(probeVideo(programs, inFolder(name))).rejects.toMatchObject({ name: 'StamError', code, message });
  });
});

const decodeError = 'Error while decoding stream #0:0: Invalid data found when processing input';

describe.each(tools)('%s: damaged videos', (_, programs) => {
  test('one that was cut off within a frame, too', async () => {
    const video = await probeVideo(programs, inFolder('half.mp4'));
    expect(video.frames).toBeGreaterThan(10);
    expect(video.frames).toBeLessThan(50);
    const run = decodeFrames(programs, inFolder('half.mp4'), video, [0, 1]);
    await expect(run).rejects.toMatchObject({ code: 'bad-video', message: expect.stringContaining(decodeError) });
  });

  test('of packets there are as many as are left', async () => {
    const video = await probeVideo(programs, inFolder('half.avi'));
    expect(video.frames).toBeGreaterThan(10);
    expect(video.frames).toBeLessThan(50);
    const { data } = await decodeFrames(programs, inFolder('half.avi'), video, [0, video.frames - 2]);
    expect(data.byteLength).toBe(2 * 64 * 48 * 3);
    // as if it had been cut off after it was probed
    const { times, ...without } = video;
    expect(times?.counted).toHaveLength(video.frames);
    const run = decodeFrames(programs, inFolder('half.avi'), { ...without, frames: 50 }, [0, 30, 49]);
    const message = expect.stringMatching(
      /half\.avi: it cannot be decoded: .+; got \d frames, expected 3, the last of them frame 49/,
    );
    await expect(run).rejects.toMatchObject({ code: 'bad-video', message });
  });

  test("a decoder's error anywhere refuses a video that is counted by decoding", async () => {
    const file = inFolder('damaged-faststart.mp4');
    const video = await probeVideo(programs, file);
    expect(video).toMatchObject({ countedBy: 'frames', complaint: expect.stringContaining('[h264] ') });
    const message = expect.stringContaining(
      `${file}: it cannot be decoded: Error while decoding stream #0:0: Invalid data found`,
    );
    await expect(decodeFrames(programs, file, video, [0, 5])).rejects.toMatchObject({ code: 'bad-video', message });
  });

  test('one after the last frame asked for does no harm where packets were counted', async () => {
    const file = inFolder('damaged-mpeg4.avi');
    const video = await probeVideo(programs, file);
    expect(video).toMatchObject({ countedBy: 'packets', frames: 50 });
    expect((await decodeFrames(programs, file, video, [0, 5])).data.byteLength).toBe(2 * 64 * 48 * 3);
    await expect(decodeFrames(programs, file, video, [0, 49])).rejects.toMatchObject({ code: 'bad-video' });
  });

  test('packets that the decoder drops are counted, and missed when their frames are asked for', async () => {
    const file = inFolder('cut.mp4');
    const video = await probeVideo(programs, file);
    const decoded = video.times?.decoded.length ?? 0;
    expect(decoded).toBeGreaterThan(0);
    expect(video.frames).toBeGreaterThan(decoded);
    const message = expect.stringContaining(
      `the official code fails on it: its read_video finds ${decoded} of the clip's ${video.frames} frames; copying`,
    );
    const run = decodeFrames(programs, file, video, [0, video.frames - 1]);
    await expect(run).rejects.toMatchObject({ code: 'bad-video', message });
  });
});

describe('limits', () => {
  test.each([
    [{ maxSide: 63 }, 'the pictures are too large; got 64x48, expected at most 63 a side and 67108864 pixels'],
    [
      { maxPixels: 64 * 48 - 1 },
      'the pictures are too large; got 64x48, expected at most 16384 a side and 3071 pixels',
    ],
  ])('%j', async (limit, message) => {
    const run = probeVideo(packaged, inFolder('good.mp4'), limit);
    await expect(run).rejects.toMatchObject({ code: 'bad-video', message: expect.stringContaining(message) });
  });

  test('maxBytes', async () => {
    const video = await probeVideo(packaged, inFolder('good.mp4'));
    const bytes = 2 * 64 * 48 * 3;
    const run = decodeFrames(packaged, inFolder('good.mp4'), video, [0, 1], { maxBytes: bytes - 1 });
    const message = expect.stringContaining(`got 2 frames of 64x48, ${bytes} bytes, expected at most ${bytes - 1}`);
    await expect(run).rejects.toMatchObject({ code: 'bad-video', message });
    const { data } = await decodeFrames(packaged, inFolder('good.mp4'), video, [0, 1], { maxBytes: bytes });
    expect(data.byteLength).toBe(bytes);
  });
});

const described: VideoInfo = {
  width: 64,
  height: 48,
  fps: 25,
  frames: 50,
  pixelFormat: 'yuv420p',
  codec: 'h264',
  countedBy: 'frames',
};

test.each([
  [[], '0 indices, expected 1 to 4096'],
  [[-1], 'index -1, expected an integer below 50'],
  [[0, 50], 'index 50, expected an integer below 50'],
  [[1.5], 'index 1.5, expected an integer below 50'],
  [[3, 2], '2 after 3, expected ascending indices'],
  [Array<number>(4097).fill(0), '4097 indices, expected 1 to 4096'],
])('frames %j are refused', async (indices, message) => {
  const run = decodeFrames(packaged, inFolder('good.mp4'), described, indices);
  await expect(run).rejects.toMatchObject({ code: 'bad-input', message: expect.stringContaining(message) });
});

describe('programs that misbehave', () => {
  const hang = 'setInterval(() => {}, 1000)';
  const frame = `process.stdout.write(Buffer.alloc(${64 * 48 * 3}))`;

  function acting(name: 'ffmpeg' | 'ffprobe', body: string) {
    const program = { path: standIn(folder, name, body), version: '99', origin: 'option' } as const;
    return { ...packaged, [name]: program };
  }

  const decode = (body: string, options = {}) =>
    decodeFrames(acting('ffmpeg', body), inFolder('good.mp4'), described, [0], options);
  const probe = (body: string, options = {}) => probeVideo(acting('ffprobe', body), inFolder('good.mp4'), options);

  test('the frames alone are taken', async () => {
    expect((await decode(frame)).data.byteLength).toBe(64 * 48 * 3);
  });

  test.each([
    [
      'more than asked for',
      `${frame}; process.stdout.write('x'); ${hang}`,
      'it decodes to more than it should; got more, expected 9216',
    ],
    ['less', `process.stdout.write('x')`, 'it cannot be decoded: it ends too early; got 0'],
    [
      'nothing, with a reason',
      `console.error('[h264 @ 0x1] no luck')`,
      'it cannot be decoded: [h264] no luck; got 0 frames',
    ],
    ['all, and failing', `${frame}; process.exitCode = 7`, 'it cannot be decoded: exit status 7'],
    [
      'all, with an error of ffmpeg 6',
      `${frame}; console.error('[vist#0:0/h264 @ 0x1] Error submitting packet to decoder: Bad')`,
      'Error submitting packet',
    ],
    [
      'all, with an error of ffmpeg 7',
      `${frame}; console.error('[vist#0:0/h264 @ 0x1] Decoding error: Bad')`,
      'Decoding error: Bad',
    ],
  ])('ffmpeg gives %s', async (_, body, message) => {
    await expect(decode(body)).rejects.toMatchObject({ code: 'bad-video', message: expect.stringContaining(message) });
  });

  const stream = '[STREAM]\\nindex=0\\ncodec_type=video\\nwidth=64\\nheight=48\\navg_frame_rate=25/1\\n[/STREAM]\\n';
  test.each([
    ['says nothing', '', 'there is no video in it; got no stream at all'],
    ['fails', `console.error('no luck'); process.exitCode = 1`, 'it cannot be read as a video: no luck'],
    ['knows no rate', `console.log('${stream.replace('25/1', '0/0')}')`, 'the video has no frame rate; got 0/0'],
    ['knows no size', `console.log('${stream.replace('64', '0')}')`, 'the video has no picture size; got 0x48'],
    [
      'finds no frame',
      `console.log('${stream}'); console.error('all broken')`,
      'no frame of it can be decoded: all broken',
    ],
    [
      'finds no timestamp',
      `console.log('${stream}[FRAME]\\npts=N/A\\nwidth=64\\nheight=48\\npix_fmt=gray\\n[/FRAME]')`,
      'no frame of it has a timestamp',
    ],
    [
      'finds large frames',
      `console.log('${stream}[FRAME]\\npts=0\\nwidth=64\\nheight=99999\\npix_fmt=gray\\n[/FRAME]')`,
      'the pictures are too large; got 64x99999',
    ],
  ])('ffprobe %s', async (_, body, message) => {
    await expect(probe(body)).rejects.toMatchObject({ code: 'bad-video', message: expect.stringContaining(message) });
  });

  test('both are stopped when their time is over', async () => {
    const message = expect.stringContaining('reading it took too long; got more than 0.5 s');
    await expect(decode(hang, { timeoutMs: 500 })).rejects.toMatchObject({ code: 'bad-video', message });
    await expect(probe(hang, { timeoutMs: 500 })).rejects.toMatchObject({ code: 'bad-video', message });
  });

  test('an abort stops both, and is no bad video', async () => {
    for (const start of [decode, probe]) {
      const controller = new AbortController();
      const run = start(hang, { signal: controller.signal });
      controller.abort();
      await expect(run).rejects.toMatchObject({ name: 'AbortError' });
    }
  });

  test('a path that could move the cursor is escaped', async () => {
    copyFileSync(inFolder('empty.mp4'), inFolder('\u001b[2J.mp4'));
    const run = probeVideo(packaged, inFolder('\u001b[2J.mp4'));
    await expect(run).rejects.toMatchObject({ message: expect.stringContaining('\\u001b[2J.mp4": the file is empty') });
  });
});
