// infer and classify on a small X3D with weights by rule, over a folder of real videos: the thirty views of one, put together here in
// other words.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { classify } from '../../cli/classify.ts';
import { infer } from '../../cli/infer.ts';
import { merge } from '../../cli/merge.ts';
import type { VideoResult } from '../../cli/results-file.ts';
import { readResults } from '../../cli/results-file.ts';
import { createFileSink } from '../../loaders/node-source.ts';
import { writeSafetensors } from '../../loaders/safetensors-writer.ts';
import { openSynthetic } from '../../loaders/synthetic.ts';
import type { X3dConfig } from '../../model/x3d-config.ts';
import { X3dModel } from '../../model/x3d-model.ts';
import { x3dShapes } from '../../model/x3d-weights.ts';
import { openTestDevice } from '../device.ts';
import { ffmpeg, pictures, temporaryFolder } from '../loaders/video/video-files.ts';
import { longTests } from '../sample.ts';
import { call } from './call.ts';
import { shareDevice } from './shared-device.ts';

const test = longTests('infer on X3D');

const adapter = ['--adapter', process.env['STAM_ADAPTER'] ?? 'software'];
const stage = (channels: number, inner: number) => ({ blocks: 1, channels, inner, squeeze: 8 });

/** What is read off the checkpoint, on the smallest frames that its head takes. */
const config: X3dConfig = {
  imageSize: 65,
  frames: 16,
  stem: 4,
  stages: [stage(4, 4), stage(8, 8), stage(8, 12), stage(12, 16)],
  pooled: 16,
  projected: 24,
  window: 3,
  classes: 7,
  epsilon: 1e-5,
};

/** Path below the data set, size, frames a second, seconds. The second has fewer frames than a clip spans. */
const made = [
  ['broad/tall.avi', [48, 80], 25, 3.6],
  ['c/short.mp4', [64, 64], 30, 1],
] as const;

const folder = temporaryFolder();
const videos = path.join(folder, 'val');
const weights = path.join(folder, 'tiny-x3d.safetensors');
const whole = path.join(folder, 'whole.jsonl');
let summary: string;
let log: string;

beforeAll(async () => {
  await shareDevice();
  for (const [name, [width, height], rate, seconds] of made) {
    await mkdir(path.dirname(path.join(videos, name)), { recursive: true });
    ffmpeg(...pictures(`${width}x${height}`, `${rate}`, seconds), '-pix_fmt', 'yuv420p', path.join(videos, name));
  }
  await writeFile(path.join(videos, 'c/text.avi'), 'this is no video\n');
  const source = openSynthetic(1, x3dShapes(config));
  const tensors = [...source.tensors.values()].map(({ name, shape }) => ({
    name,
    dtype: 'F32' as const,
    shape,
    data: () => source.read(name),
  }));
  await writeSafetensors(await createFileSink(weights), tensors, new Map());
  const { code, stdout, stderr } = await call([infer], command('--out', whole));
  expect(code, stderr).toBe(0);
  summary = stdout;
  log = stderr;
});

const model = ['--model_path', weights, '--model_name', 'auto', '--input_size', '65', '--dtype', 'f32', ...adapter];
const command = (...more: string[]) => ['infer', `--val_dir=${videos}`, '--batch_size', '2', ...model, ...more];

/** Frames of a clip: the places of facts/formats.md E.3, in single precision. */
function framesOfClip(clip: number, count: number, fps: number): number[] {
  const length = Math.max(1, ((5 * 16) / 30) * fps);
  const first = (Math.max(0, count - length) * clip) / 10;
  const [start, end] = [Math.fround(first), Math.fround(first + length - 1)];
  const step = Math.fround(Math.fround(end - start) / 15);
  return Array.from({ length: 16 }, (_, i) => {
    const place = i < 8 ? start + Math.fround(step * i) : end - Math.fround(step * (15 - i));
    return Math.floor(Math.max(0, Math.min(count - 1, Math.fround(place))));
  });
}

/** Every frame of a video as numbers in 0..1: [frames][height][width][3]. */
function decodeAll(name: string): Buffer {
  const scale = 'scale=flags=bilinear:in_color_matrix=bt601:in_range=tv,format=rgb24';
  return ffmpeg('-i', path.join(videos, name), '-vsync', '0', '-vf', scale, '-f', 'rawvideo', '-');
}

/** Pixel (x, y) of a picture that is scaled from `from` pixels to `to` on each axis. */
function bilinear(
  value: (y: number, x: number) => number,
  [h, w]: number[],
  [toH, toW]: number[],
  y: number,
  x: number,
) {
  const sy = Math.max(0, ((y + 0.5) * h) / toH - 0.5);
  const sx = Math.max(0, ((x + 0.5) * w) / toW - 0.5);
  const [y0, x0] = [Math.floor(sy), Math.floor(sx)];
  const [y1, x1] = [Math.min(y0 + 1, h - 1), Math.min(x0 + 1, w - 1)];
  const upper = value(y0, x0) * (1 - (sx - x0)) + value(y0, x1) * (sx - x0);
  const lower = value(y1, x0) * (1 - (sx - x0)) + value(y1, x1) * (sx - x0);
  return upper * (1 - (sy - y0)) + lower * (sy - y0);
}

/** [3 crops, 3, 16, 65, 65] of a clip. */
function viewsOfClip(
  bytes: Buffer,
  frames: readonly number[],
  width: number,
  height: number,
): Float32Array<ArrayBuffer> {
  const size = 65;
  const [toH, toW] =
    width < height ? [Math.floor((height / width) * size), size] : [size, Math.floor((width / height) * size)];
  const slack = Math.max(toH, toW) - size;
  const views = new Float32Array(3 * 3 * 16 * size * size);
  let at = 0;
  for (const shift of [0, Math.ceil(slack / 2), slack]) {
    const [down, right] = toH > toW ? [shift, 0] : [0, shift];
    for (let colour = 0; colour < 3; colour++) {
      for (const frame of frames) {
        const value = (y: number, x: number) => bytes[((frame * height + y) * width + x) * 3 + colour] / 255;
        for (let y = 0; y < size; y++) {
          for (let x = 0; x < size; x++) {
            views[at++] = bilinear(value, [height, width], [toH, toW], y + down, x + right);
          }
        }
      }
    }
  }
  return views;
}

async function resultsOf(file: string): Promise<readonly VideoResult[]> {
  return (await readResults(file))?.results ?? [];
}

test('every video is counted, the short one too, and its last frame is said to be repeated', async () => {
  const results = await resultsOf(whole);
  expect(results.map(({ video }) => video)).toEqual(['broad/tall.avi', 'c/short.mp4', 'c/text.avi']);
  expect(summary).toMatch(/^3 videos: 2 predicted, 0 too short, 1 failed\nPrec@1 \d+\.\d\d {2}Prec@5 \d+\.\d\d\n$/);
  expect(log).toMatch(/^c\/short\.mp4: shorter than a clip of 80 frames, so its last frame is repeated; got 30$/m);
  expect(log.match(/shorter than/g)?.length).toBe(1);
  const [settings] = (await readFile(whole, 'utf8')).split('\n');
  expect(JSON.parse(settings)).toMatchObject({
    model: 'custom',
    inputSize: 65,
    framesPerClip: 16,
    frameStep: 5,
    targetRate: 30,
    clips: 10,
    crops: 3,
  });
  for (const [name, , fps, seconds] of made) {
    const clips = Array.from({ length: 10 }, (_, clip) => framesOfClip(clip, fps * seconds, fps));
    const frames = results.find(({ video }) => video === name)?.clips.map((answer) => answer.frames);
    expect(frames, name).toEqual([clips.flat()]);
  }
});

test('a prediction is the mean of the softmax of thirty views', { timeout: 300_000 }, async () => {
  const [name, [width, height], fps, seconds] = made[0];
  const [result] = await resultsOf(whole);
  const device = await openTestDevice();
  const network = await X3dModel.load(device, config, openSynthetic(1, x3dShapes(config)), { dtype: 'f32', videos: 3 });
  const bytes = decodeAll(name);
  expect(bytes.length).toBe(fps * seconds * width * height * 3);
  const means = new Float64Array(7);
  for (let clip = 0; clip < 10; clip++) {
    const frames = framesOfClip(clip, fps * seconds, fps);
    const logits = (await network.run(viewsOfClip(bytes, frames, width, height))).get('logits') ?? new Float32Array();
    expect(logits.length).toBe(21);
    for (let view = 0; view < 3; view++) {
      const shares = [...logits.slice(7 * view, 7 * view + 7)].map(Math.exp);
      const total = shares.reduce((sum, share) => sum + share, 0);
      for (let c = 0; c < 7; c++) means[c] += shares[c] / total / 30;
    }
  }
  network.dispose();
  device.dispose();
  const [{ topk, rank }] = result.clips;
  const order = [...means.keys()].sort((a, b) => means[b] - means[a]);
  expect(topk.map(({ index }) => index)).toEqual(order.slice(0, 5));
  for (const { index, score } of topk) expect(score).toBeCloseTo(means[index], 5);
  expect(rank).toBe(order.indexOf(result.label));
});

test('classify gives the answer of infer, and says of how many views', async () => {
  const video = path.join(videos, made[0][0]);
  const args = ['classify', video, ...model, ...adapter, '--json', '--topk', '7'];
  const { code, stdout, stderr } = await call([classify], args);
  expect(code, stderr).toBe(0);
  const report = JSON.parse(stdout);
  const [{ clips }] = await resultsOf(whole);
  expect(report).toMatchObject({ model: 'custom', views: 30, frames: clips[0].frames });
  const best = report.topk.slice(0, 5);
  expect(best.map(({ index }: { index: number }) => index)).toEqual(clips[0].topk.map(({ index }) => index));
  for (const [i, { score }] of clips[0].topk.entries()) expect(best[i].score).toBeCloseTo(score, 6);
  for (const { index, score } of report.topk) expect(Math.exp(report.logits[index])).toBeCloseTo(score, 6);
});

test('shards are one run, each resumed where it was cut off', async () => {
  const expected = await readFile(whole, 'utf8');
  const [settings, ...lines] = expected.split('\n');
  const parts = [0, 1].map((i) => path.join(folder, `part-${i}.jsonl`));
  const shard = (i: number) => settings.replace('"shard":"0/1"', `"shard":"${i}/2"`);
  await writeFile(parts[0], `${shard(0)}\n${lines[0]}\n${lines[2]}\n`);
  await writeFile(parts[1], `${shard(1)}\n${lines[1].slice(0, 40)}`);
  for (const [i, part] of parts.entries()) {
    const { code, stderr } = await call([infer], command('--out', part, '--resume', '--shard', `${i}/2`));
    expect(code, stderr).toBe(0);
  }
  const merged = path.join(folder, 'merged.jsonl');
  expect(await call([merge], ['merge', ...parts, '--out', merged])).toMatchObject({ code: 0, stdout: summary });
  expect(await readFile(merged, 'utf8')).toBe(expected);
});

describe('infer on X3D', () => {
  test.each([
    [['--val_zoom_factor', '0.875'], 2, /--val_zoom_factor: is not for X3D/],
    [['--frame_rate', '6'], 2, /--frame_rate: is not for X3D/],
    [['--step_between_clips', '1000'], 2, /--step_between_clips: is not for X3D/],
    [['--model_name', 'x3d_xs'], 2, /--model_name: unknown; got 'x3d_xs', expected stam_8, .*x3d_xl, or auto/],
    [['--num_classes', '400'], 1, /--num_classes: the model has another; got 400, expected 7/],
    [['--model_name', 'x3d_m'], 1, /too small for the window of 7 x 7 in the head; got 65, expected at least 193/],
    [['--model_name', 'x3d_m', '--input_size', '193'], 1, /tiny-x3d\.safetensors: .*x3d_m/],
  ])('refuses %j', async (more, exit, message) => {
    const { code, stdout, stderr } = await call([infer], command(...more));
    expect({ code, stdout }).toEqual({ code: exit, stdout: '' });
    expect(stderr).toMatch(message);
  });

  test('does not go on with results of other sizes, and says which flag changes nothing', async () => {
    const other = await call(
      [infer],
      command('--out', whole, '--resume', '--input_size', '97', '--frames_per_clip', '8'),
    );
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(/of another run; got inputSize: 65 and 97/);
    expect(other.stderr).toMatch(/--frames_per_clip 8 has no effect: the model takes 16/);
  });
});
