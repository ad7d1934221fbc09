// infer over a small folder of real videos, made here, on a small STAM with weights by rule: counts, frames, precision, crashes, shards.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { classify } from '../../cli/classify.ts';
import { infer } from '../../cli/infer.ts';
import { merge } from '../../cli/merge.ts';
import { readResults } from '../../cli/results-file.ts';
import { createFileSink } from '../../loaders/node-source.ts';
import { writeSafetensors } from '../../loaders/safetensors-writer.ts';
import { openSynthetic } from '../../loaders/synthetic.ts';
import { findVideoTools, type VideoTools } from '../../loaders/video/node-video-tools.ts';
import type { StamConfig } from '../../model/config.ts';
import { cropAxes } from '../../model/preprocess.ts';
import { StamModel } from '../../model/stam-model.ts';
import { weightShapes } from '../../model/weights.ts';
import { openTestDevice } from '../device.ts';
import { makeOfficialVideo } from '../loaders/video/official-videos.ts';
import * as reference from '../reference.ts';
import { longTest, sampleOf } from '../sample.ts';
import { call } from './call.ts';
import { shareDevice } from './shared-device.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const adapter = ['--adapter', process.env['STAM_ADAPTER'] ?? 'software'];
const execute = promisify(execFile);

const configOf = (frames: number): StamConfig => ({
  imageSize: 32,
  patchSize: 8,
  channels: 64,
  depth: 1,
  heads: 2,
  mlp: 128,
  frames,
  temporalLayers: 1,
  temporalHeads: 8,
  temporalMlp: 64,
  classes: 3,
  epsilon: 1e-5,
});

/** Path below the data set, rate as ffmpeg takes it and as a double, frames, codec. */
const made = [
  ['-dash/a b.mp4', '30', 30, 300, 'libx264'],
  ['-dash/short.mp4', '30', 30, 90, 'libx264'],
  ['it\'s "quoted"/-i.avi', '25', 25, 260, 'mpeg4'],
  ['z/ntsc.mp4', '30000/1001', 30000 / 1001, 305, 'libx264'],
  ['z/\'q\' "d" %d.mp4', '24', 24, 245, 'libx264'],
  ['z/two.avi', '50', 50, 510, 'mpeg4'],
] as const;
const broken = ['it\'s "quoted"/broken.mp4', 'z/text.avi'];

/** The others need the results of the first. */
const frameCounts = sampleOf('numbers of frames for infer', [16, 32, 64], 1);

let folder: string;
let videos: string;
let tools: VideoTools;
/** What a run over everything printed, by the model's frames; what it wrote is in wholeRun(). */
const summaries = new Map<number, string>();
const wholeRun = (frames: number) => path.join(folder, `whole-${frames}.jsonl`);

beforeAll(async () => {
  await shareDevice();
  folder = await mkdtemp(path.join(os.tmpdir(), 'stam-infer-'));
  videos = path.join(folder, 'val');
  tools = await findVideoTools();
  await execute(process.execPath, [path.join(root, 'build.mjs'), '--if-stale'], { cwd: root });
  for (const [i, [name, rate, , frames, codec]] of made.entries()) {
    const file = path.join(videos, name);
    await mkdir(path.dirname(file), { recursive: true });
    const source = `testsrc2=size=${64 + 2 * i}x48:rate=${rate}`;
    const encoder = ['-c:v', codec, '-g', '40', '-pix_fmt', 'yuv420p', '-frames:v', `${frames}`];
    const input = ['-hide_banner', '-loglevel', 'error', '-f', 'lavfi', '-i', source];
    await execute(tools.ffmpeg.path, [...input, ...encoder, `file:${file}`]);
  }
  const cut = path.join(videos, broken[0]);
  await copyFile(path.join(videos, made[0][0]), cut);
  await truncate(cut, 2000);
  await writeFile(path.join(videos, broken[1]), 'this is no video\n');
  for (const frames of frameCounts) {
    await writeModel(frames);
    summaries.set(frames, await inferTo(wholeRun(frames), frames));
  }
});
afterAll(() => rm(folder, { recursive: true }));

const modelPath = (frames: number) => path.join(folder, `tiny-${frames}.safetensors`);

async function writeModel(frames: number): Promise<void> {
  const weights = openSynthetic(1, weightShapes(configOf(frames)));
  const tensors = [...weights.tensors.values()].map(({ name, shape }) => ({
    name,
    dtype: 'F32' as const,
    shape,
    data: () => weights.read(name),
  }));
  const metadata = new Map([['heads', '2']]);
  await writeSafetensors(await createFileSink(modelPath(frames)), tensors, metadata);
}

const command = (frames: number, ...more: string[]) => [
  'infer',
  `--val_dir=${videos}`,
  '--model_path',
  modelPath(frames),
  '--model_name',
  'auto',
  '--batch_size',
  '2',
  '--dtype',
  'f32',
  ...adapter,
  ...more,
];

async function inferTo(out: string, frames: number, ...more: string[]): Promise<string> {
  const { code, stdout, stderr } = await call([infer], command(frames, '--out', out, ...more));
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

/** facts/formats.md A.2, once more in its own words. */
function framesOfFirstClip(count: number, fps: number, clip: number): number[] {
  const rate = clip / 10;
  const step = fps / rate;
  if (Number.isInteger(step)) {
    const all = Array.from({ length: Math.ceil(count / step) }, (_, i) => i * step);
    return all.length >= clip ? all.slice(0, clip) : [];
  }
  const total = Math.floor(count * (rate / fps));
  if (total < clip) return [];
  return Array.from({ length: clip }, (_, i) => Math.floor(Math.fround(Math.fround(i) * Math.fround(step))));
}

describe.each(frameCounts)('infer, %i frames', (frames) => {
  test('counts every video, takes the frames of the formula, and adds up its own lines', async () => {
    const lines = (await readFile(wholeRun(frames), 'utf8')).trimEnd().split('\n');
    const [settings, ...results] = lines.map((line) => JSON.parse(line));
    expect(settings).toMatchObject({ framesPerClip: frames, frameRate: frames / 10, shard: '0/1', videos: 8 });
    expect(settings.adapter.software).toBe(true);
    expect(results.map(({ video }) => video)).toEqual([
      '-dash/a b.mp4',
      '-dash/short.mp4',
      'it\'s "quoted"/-i.avi',
      'it\'s "quoted"/broken.mp4',
      'z/\'q\' "d" %d.mp4',
      'z/ntsc.mp4',
      'z/text.avi',
      'z/two.avi',
    ]);
    for (const { video, clips, tooShort, error } of results) {
      const [, , fps, count] = made.find(([name]) => name === video) ?? [];
      if (fps === undefined || count === undefined) {
        expect(error, video).toMatchObject({ code: 'bad-video' });
        continue;
      }
      const expected = framesOfFirstClip(count, fps, frames);
      expect(
        clips.map((clip: { frames: number[] }) => clip.frames),
        video,
      ).toEqual(expected.length ? [expected] : []);
      expect(tooShort !== undefined, video).toBe(expected.length === 0);
    }
    const ranks = results.flatMap(({ label, clips }) =>
      clips.map(({ topk }: { topk: { index: number }[] }) => topk.findIndex(({ index }) => index === label)),
    );
    const percent = (k: number) => ((100 * ranks.filter((rank) => rank < k).length) / ranks.length).toFixed(2);
    expect(summaries.get(frames)).toBe(
      `8 videos: 5 predicted, 1 too short, 2 failed\nPrec@1 ${percent(1)}  Prec@5 ${percent(5)}\n`,
    );
    expect(Math.min(...ranks)).toBeGreaterThanOrEqual(0);
  });
});

test('a prediction is that of the same frames, resized by the reference and given to the model as floats', async () => {
  const line = (await readResults(wholeRun(16)))?.results.find(({ video }) => video === 'z/ntsc.mp4');
  const clip = line?.clips[0];
  if (!clip) throw new Error('ntsc.mp4 has no clip');
  const [width, height] = [70, 48];
  const { stdout } = await execute(
    tools.ffmpeg.path,
    [
      ...['-loglevel', 'error', '-i', `file:${path.join(videos, 'z/ntsc.mp4')}`, ...tools.passthrough],
      ...['-vf', 'scale=flags=bilinear:in_color_matrix=bt601:in_range=tv,format=rgb24', '-f', 'rawvideo', '-'],
    ],
    { encoding: 'buffer', maxBuffer: 2 ** 28 },
  );
  expect(stdout.length).toBe(305 * width * height * 3);
  const { across, down } = cropAxes(width, height, { size: 32, zoom: 0.875 });
  const tensors = clip.frames.map((frame) => {
    const picture = stdout.subarray(frame * width * height * 3, (frame + 1) * width * height * 3);
    const resized = reference.resizeBilinear(picture, [width, height], [across.to, down.to]);
    return reference.toTensor(
      reference.crop(resized, [across.to, down.to], { left: across.first, top: down.first, size: 32 }),
    );
  });
  const frames = new Float32Array(16 * 3 * 32 * 32);
  tensors.forEach((tensor, i) => {
    frames.set(tensor, i * tensor.length);
  });
  const device = await openTestDevice();
  const config = configOf(16);
  const model = await StamModel.load(device, config, openSynthetic(1, weightShapes(config)), { dtype: 'f32' });
  const logits = (await model.run(frames)).get('logits') ?? new Float32Array();
  const shares = [...logits].map((logit) => Math.exp(logit));
  const total = shares.reduce((a, b) => a + b, 0);
  for (const { index, score } of clip.topk) expect(score).toBeCloseTo(shares[index] / total, 5);
  model.dispose();
  device.dispose();
});

test('shards, put together, are one run, and the scheduler may name them', async () => {
  const merged = path.join(folder, 'merged.jsonl');
  const parts = [0, 1, 2].map((i) => path.join(folder, `part-${i}.jsonl`));
  await inferTo(parts[0], 16, '--shard', '0/3');
  await inferTo(parts[1], 16, '--shard=1/3');
  process.env['JOB_COMPLETION_INDEX'] = '2';
  process.env['JOB_COMPLETIONS'] = '3';
  try {
    await inferTo(parts[2], 16);
  } finally {
    delete process.env['JOB_COMPLETION_INDEX'];
    delete process.env['JOB_COMPLETIONS'];
  }
  const { code, stdout } = await call([merge], ['merge', ...parts, '--out', merged]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: summaries.get(16) });
  expect(await readFile(merged, 'utf8')).toBe(await readFile(wholeRun(16), 'utf8'));
});

describe('a run that is killed', () => {
  const children = new Set<ChildProcess>();
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
  });

  /** Runs the command in a process of its own until `until` resolves, then kills it; resolves with its exit code, null for a kill. */
  async function runUntil(args: readonly string[], until: (child: ChildProcess) => Promise<unknown>) {
    const child = spawn(process.execPath, [path.join(root, 'dist/cli.js'), ...args], { stdio: 'ignore' });
    children.add(child);
    const exit = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    await Promise.race([until(child), exit]);
    child.kill('SIGKILL');
    const code = await exit;
    children.delete(child);
    return code;
  }

  longTest('ten times at any moment and resumed leaves the file of a run that was not', async () => {
    const expected = await wholeRunOfBuild();
    const out = path.join(folder, 'killed.jsonl');
    const args = command(16, '--out', out, '--resume');
    const sizeOf = async () => (await readFile(out).catch(() => Buffer.of())).length;
    for (let kill = 0; kill < 10; kill++) {
      // the moment: when the file has grown to a tenth, two tenths, ... of what it shall be, plus some milliseconds
      const goal = (expected.length * kill) / 10;
      await runUntil(args, async () => {
        while ((await sizeOf()) < goal) await sleep(5);
        await sleep((kill * 37) % 50);
      });
      const text = await readFile(out).catch(() => Buffer.of());
      expect(Buffer.compare(text, expected.subarray(0, text.length)), `kill ${kill}`).toBe(0);
      // what a machine that loses power does beside: the last line is torn
      if (kill % 3 === 2 && text.length > 0) await truncate(out, text.length - 7);
    }
    expect(await runUntil(args, () => new Promise(() => {}))).toBe(0);
    expect(await readFile(out, 'utf8')).toBe(expected.toString());
    expect(await runUntil(args, () => new Promise(() => {}))).toBe(0);
    expect(await readFile(out, 'utf8')).toBe(expected.toString());
  });
});

longTest('a run that is interrupted ends in good order, and says how to go on', async () => {
  const out = path.join(folder, 'interrupted.jsonl');
  const child = spawn(process.execPath, [path.join(root, 'dist/cli.js'), ...command(16, '--out', out)]);
  let said = '';
  child.stderr.on('data', (text) => {
    const isDue = !/left out/.test(said);
    said += text;
    if (isDue && /left out/.test(said)) child.kill('SIGINT'); // a second one would end it at once
  });
  const code = await new Promise((resolve) => child.once('exit', resolve));
  expect(code).toBe(130);
  expect(said).toMatch(/interrupted\.jsonl: --resume goes on from here/);
  const expected = await wholeRunOfBuild();
  const text = await readFile(out);
  expect(text.length).toBeLessThan(expected.length);
  expect(Buffer.compare(text, expected.subarray(0, text.length))).toBe(0);
});

/** What the built command writes for the whole run, which was done by the sources: they have no version. */
async function wholeRunOfBuild(): Promise<Buffer> {
  const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));
  const text = await readFile(wholeRun(16), 'utf8');
  return Buffer.from(text.replace(JSON.stringify({ version: '0.0.0-source' }).slice(1, -1), `"version":"${version}"`));
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('infer refuses', () => {
  test.each([
    [['--resume'], 2, /--resume: needs the file of --out/],
    [['--shard', '3/3'], 2, /--shard: not a shard/],
    [['--num_classes', '400'], 1, /--num_classes: the model has another; got 400, expected 3/],
    [['--input_size', '224'], 1, /--input_size: .*got 224, expected 32/],
    [['--ffmpeg', '/nowhere/ffmpeg'], 1, /ffmpeg/],
  ])('%j', async (more, exit, message) => {
    const { code, stdout, stderr } = await call([infer], command(16, ...more));
    expect({ code, stdout }).toEqual({ code: exit, stdout: '' });
    expect(stderr).toMatch(message);
  });

  test('to overwrite results, and to go on with those of other settings', async () => {
    const out = wholeRun(16);
    const before = await readFile(out, 'utf8');
    const again = await call([infer], command(16, '--out', out));
    expect(again).toMatchObject({ code: 1, stderr: expect.stringMatching(/the file is there already/) });
    const other = await call([infer], command(16, '--out', out, '--resume', '--topk', '1'));
    expect(other).toMatchObject({ code: 2, stderr: expect.stringMatching(/of another run; got topk: 5 and 1/) });
    expect(await readFile(out, 'utf8')).toBe(before);
  });
});

test('a damaged file is predicted, the same each time, and what its decoder said is told by infer and classify', async () => {
  const damaged = path.join(folder, 'damaged');
  await mkdir(path.join(damaged, 'only'), { recursive: true });
  const video = makeOfficialVideo(path.join(damaged, 'only'), '40-bits-h264-b0.mp4');
  await rm(path.join(damaged, 'only', 'h264-b0.mp4'));
  const out = path.join(folder, 'damaged.jsonl');
  const run = await call([infer], command(16, '--out', out, '--val_dir', damaged));
  expect(run).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^1 video: 1 predicted \(1 of damaged files\), 0/),
  });
  const [line] = (await readResults(out))?.results ?? [];
  expect(line.complaint).toMatch(/^\[h264\] /);
  expect(run.stderr).toContain(
    `the file is damaged or cut off, and what the decoder made of it was used; it said: ${line.complaint}`,
  );
  const reports = [1, 2].map(() =>
    call([classify], ['classify', video, '--model_path', modelPath(16), ...adapter, '--json']),
  );
  const [report, again] = (await Promise.all(reports)).map(({ stdout }) => JSON.parse(stdout));
  expect(report.complaint).toBe(line.complaint);
  expect(again.logits).toEqual(report.logits);
  expect(report.topk[0].score).toBe(line.clips[0].topk[0].score);
});

describe('classify', () => {
  const arguments_ = (name: string, ...more: string[]) => [
    'classify',
    path.join(videos, name),
    '--model_path',
    modelPath(16),
    ...adapter,
    ...more,
  ];

  test('gives the same classes as infer, with the names of a file', async () => {
    const labels = path.join(folder, 'labels.txt');
    await writeFile(labels, 'one\ntwo\nthree\n');
    const [line] = (await readResults(wholeRun(16)))?.results ?? [];
    const json = await call([classify], arguments_('-dash/a b.mp4', '--json', '--labels', labels));
    const report = JSON.parse(json.stdout);
    expect(report.frames).toEqual(line.clips[0].frames);
    expect(report.logits.length).toBe(3);
    expect(report.topk.map(({ label }: { label: string }) => ['one', 'two', 'three'].indexOf(label))).toEqual(
      line.clips[0].topk.map(({ index }) => index),
    );
    expect(report.adapter.software).toBe(true);
    const table = await call([classify], arguments_('-dash/a b.mp4', '--topk', '1', '--labels', labels));
    expect(table.stdout.split('\n')[2]).toMatch(/^(one|two|three) +[012] +\d+\.\d\d %$/);
  });

  test.each([
    ['-dash/short.mp4', [], /too short for a clip of 16 frames; got 90 frames at 30 fps, expected at least 300/],
    ['z/text.avi', [], /text\.avi/],
    ['none.mp4', [], /none\.mp4/],
    ['-dash/a b.mp4', ['--labels', '/dev/null'], /labels: .*expected 3/],
  ])('refuses %s %j', async (name, more, message) => {
    const { code, stdout, stderr } = await call([classify], arguments_(name, ...more));
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });
});
