import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { merge } from '../../cli/merge.ts';
import type { RunSettings, VideoResult } from '../../cli/results-file.ts';
import {
  createResults,
  formatCounts,
  readResults,
  resumeResults,
  settingsDifference,
  Tally,
} from '../../cli/results-file.ts';
import { call } from './call.ts';

const settings: RunSettings = {
  version: '1.0.0',
  ffmpeg: '5.1',
  model: 'stam_16',
  config: '{}',
  weights: 'sha256:01',
  checkpoint: 'stam_16.pth',
  dtype: 'f32',
  inputSize: 224,
  zoom: 0.875,
  framesPerClip: 16,
  frameRate: 1.6,
  stepBetweenClips: 1000,
  topk: 5,
  videos: 5,
  dataSet: '0123456789abcdef',
  shard: '0/1',
  adapter: { vendor: 'v', architecture: 'a', device: 'd', description: 'a GPU', software: false },
};

/** A video of this rank; without one it is too short, and a text is an error. */
function result(index: number, rank?: number | string): VideoResult {
  const common = { index, video: `ä "${index}".mp4`, label: 0, class: 'ä', clips: [] };
  if (rank === undefined) return { ...common, tooShort: 'too short' };
  if (typeof rank === 'string') return { ...common, error: { code: 'bad-video', message: rank } };
  return { ...common, clips: [{ frames: [0, 1], rank, topk: [{ index: 0, label: 'ä', score: 1 }] }] };
}

const results = [result(0, 0), result(1), result(2, 'broken'), result(3, 4), result(4, 5)];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'stam-results-'));
});
afterAll(() => rm(folder, { recursive: true }));

let files = 0;
const freshPath = () => path.join(folder, `${files++}.jsonl`);

async function written(own: RunSettings, lines: readonly VideoResult[]): Promise<string> {
  const file = freshPath();
  const sink = await createResults(file, own);
  for (const line of lines) await sink.append([line]);
  await sink.close();
  return file;
}

describe('a results file', () => {
  test('gives back what was written', async () => {
    const file = await written(settings, results);
    expect(await readResults(file)).toEqual({ settings, results, bytes: (await readFile(file)).length });
  });

  test('is never overwritten', async () => {
    const file = await written(settings, results);
    await expect(createResults(file, settings)).rejects.toThrow(/the file is there already; --resume goes on with it/);
    expect((await readResults(file))?.results).toEqual(results);
  });

  test('cut off at any byte is whole again after the run has been resumed', async () => {
    const whole = await readFile(await written(settings, results));
    for (let length = 0; length < whole.length; length++) {
      const file = freshPath();
      await writeFile(file, whole.subarray(0, length));
      const content = await readResults(file);
      const sink = await resumeResults(file, settings, content?.bytes ?? 0);
      await sink.append(results.slice(content?.results.length ?? 0));
      await sink.close();
      expect(Buffer.compare(await readFile(file), whole), `cut at byte ${length}`).toBe(0);
    }
  });

  test.each([
    ['a line that is no JSON', '{"index":\n', /line 7: .*expected a line of JSON/],
    ['a line without clips', '{"index":9}\n', /line 7: .*expected the result of a video/],
    ['a clip without a rank', '{"index":9,"clips":[{}]}\n', /line 7: .*expected the result of a video/],
    ['a video twice', `${JSON.stringify(result(3))}\n`, /line 7: .*expected a video that no line before has/],
  ])('with %s in it is refused', async (_, text, message) => {
    const file = await written(settings, results);
    await appendFile(file, text);
    await expect(readResults(file)).rejects.toThrow(message);
  });

  test('of something else is refused', async () => {
    const file = freshPath();
    await writeFile(file, '{"tensors":[]}\n');
    await expect(readResults(file)).rejects.toThrow(/line 1: this is no results file/);
    await expect(readResults(path.join(folder, 'none'))).rejects.toMatchObject({ code: 'bad-input' });
  });
});

describe('settings', () => {
  test("differ in anything but the adapter and the checkpoint's name", () => {
    const other = { ...settings, adapter: { ...settings.adapter, device: 'another' }, checkpoint: 'copy.pth' };
    expect(settingsDifference(settings, other)).toBeUndefined();
    expect(settingsDifference(settings, { ...other, frameRate: 3.2, topk: 1 })).toBe(
      'frameRate: 1.6 and 3.2; topk: 5 and 1',
    );
    expect(settingsDifference(settings, { ...other, shard: '1/2' }, ['shard'])).toBeUndefined();
    for (const key of ['version', 'ffmpeg', 'config', 'weights'] as const) {
      expect(settingsDifference(settings, { ...other, [key]: 'another' })).toBe(`${key}: ${settings[key]} and another`);
    }
  });
});

describe('a tally', () => {
  test('counts videos by what became of them, and precision by clips', () => {
    const tally = new Tally();
    expect(tally.summary()).toMatchObject({ videos: 0, prec1: null, prec5: null });
    for (const one of results) tally.add(one);
    tally.add({ ...result(5, 5), complaint: '[h264] error while decoding MB 4 10' });
    expect(tally.summary()).toEqual({
      videos: 6,
      predicted: 4,
      tooShort: 1,
      failed: 1,
      damaged: 1,
      clips: 4,
      prec1: 25,
      prec5: 50,
    });
    expect(formatCounts(tally.summary())).toBe('6 videos: 4 predicted (1 of damaged files), 1 too short, 1 failed');
  });
});

describe('merge', () => {
  const shard = (index: number, count: number, own: Partial<RunSettings> = {}) =>
    written(
      { ...settings, ...own, shard: `${index}/${count}` },
      results.filter((one) => one.index % count === index),
    );

  test('of all shards, in any order, is the file of one run', async () => {
    const one = await written(settings, results);
    const out = freshPath();
    const parts = [await shard(2, 3), await shard(0, 3), await shard(1, 3)];
    const { code, stdout } = await call([merge], ['merge', ...parts, '--out', out]);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: '5 videos: 3 predicted, 1 too short, 1 failed\nPrec@1 33.33  Prec@5 66.67\n',
    });
    expect(await readFile(out, 'utf8')).toBe(await readFile(one, 'utf8'));
    const whole = await call([merge], ['merge', one, '--json']);
    expect(JSON.parse(whole.stdout)).toMatchObject({ videos: 5, predicted: 3, prec1: 100 / 3 });
  });

  test.each([
    [
      'a missing shard',
      [
        [0, 3],
        [2, 3],
      ],
      /shards are missing; got 2 of 3, expected 1 too/,
    ],
    [
      'a shard twice',
      [
        [0, 2],
        [0, 2],
      ],
      /overlaps .*got shard 0\/2 twice/,
    ],
    [
      'shards of other sizes',
      [
        [0, 2],
        [1, 3],
      ],
      /overlaps .*got shard 1\/3, expected a shard of 2/,
    ],
  ] as const)('refuses %s', async (_, shards, message) => {
    const parts = await Promise.all(shards.map(([index, count]) => shard(index, count)));
    const { code, stdout, stderr } = await call([merge], ['merge', ...parts]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });

  test('refuses a shard of another run, one that is not complete, and one file twice', async () => {
    const [first, second, other] = [await shard(0, 2), await shard(1, 2), await shard(1, 2, { dataSet: 'another' })];
    const run = async (...parts: string[]) => (await call([merge], ['merge', ...parts])).stderr;
    expect(await run(first, other)).toMatch(/not of the same run as .*got dataSet: 0123456789abcdef and another/);
    await truncate(second, (await readFile(second)).lastIndexOf(0x0a) - 1);
    expect(await run(first, second)).toMatch(
      /the shard is not complete; got 1 of 2 videos; let infer --resume finish it/,
    );
    expect(await run(first, first)).toMatch(/named twice/);
  });
});
