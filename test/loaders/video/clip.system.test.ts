// readClip() in a real browser against the official code: the same frames of many files, or told as approximate; nothing decoded or left open
// that need not be.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launchChromium } from '../../browser/chromium.ts';
import type { ServedFile, Site } from '../../browser/site.ts';
import { bundledPage, serveFiles } from '../../browser/site.ts';
import { sampleOf } from '../../sample.ts';
import { answers } from './clip-answers.ts';
import { makeClipFile, recipes } from './clip-files.ts';
import type { Failure, ReadClip } from './clip-page.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'stam-clips-'));
const files = new Map<string, ServedFile>();
let site: Site | undefined;
let browser: Browser | undefined;
let page: Page;

beforeAll(async () => {
  files.set('/', {
    type: 'text/html',
    body: '<link rel="icon" href="data:,"><script type="module" src="/clip-page.js"></script>',
  });
  for (const [name, file] of await bundledPage('test/loaders/video/clip-page.ts')) files.set(name, file);
  site = await serveFiles(files);
  browser = await launchChromium();
  page = await browser.newPage();
  await page.goto(site.url);
  await page.waitForFunction('window.clipChecks', null, { timeout: 20_000 });
}, 60_000);

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await Promise.allSettled([browser?.close(), site?.close()]);
});

/** Makes a file, once, and has it served, after `change`. Its name there. */
function serve(name: string, change?: (bytes: Buffer) => void): string {
  const served = change ? `changed-${name}` : name;
  if (!files.has(`/${served}`)) {
    const body = readFileSync(makeClipFile(folder, name));
    change?.(body);
    files.set(`/${served}`, { type: 'application/octet-stream', body });
  }
  return served;
}

const numbersIn = (text: string) => text.trim().split(' ').map(Number);

test('there is an answer for each file', () => {
  expect(Object.keys(answers)).toEqual(Object.keys(recipes));
  expect(Object.keys(answers).length).toBeGreaterThan(25);
});

describe('the frames of the official code', () => {
  test.each(sampleOf('files for readClip', Object.keys(recipes), 12))('%s', async (name) => {
    const clip = await page.evaluate((file) => window.clipChecks.clip(file), serve(name));
    const [count, fraction, numbers, times] = answers[name].split(' | ');
    if (count === 'fails') {
      // there is nothing to be equal to, which has to be said
      expect(clip).toMatchObject({ official: false, reasons: [expect.stringMatching(/\.$/)] });
      return;
    }
    const [num, den = 1] = fraction.split('/').map(Number);
    if (numbers === 'dropped') {
      const rate = Number((num / den).toFixed(3));
      const message = `${name}: too short for a clip of 16 frames; got ${count} frames at ${rate} fps, expected at least 300`;
      expect(clip).toEqual({ code: 'bad-video', message, left: 0 });
      return;
    }
    if (!isRead(clip)) throw new Error(`${clip.code}: ${clip.message}`);
    expect({ count: clip.count, rate: clip.rate }).toEqual({ count: Number(count), rate: num / den });
    expect(clip.numbers).toEqual(numbersIn(numbers));
    // an edit that begins between two frames: ffmpeg has the frame after it be at its begin
    expect(Math.abs(clip.times[0] - numbersIn(times)[0])).toBeLessThan(0.01);
    const since = (list: readonly number[]) => list.map((time) => time - list[0]);
    const error = since(numbersIn(times)).map((time, i) => Math.abs(time - since(clip.times)[i]));
    expect(Math.max(...error)).toBeLessThan(0.0015); // the answers are rounded
    expect(clip.official).toBe(!approximate.has(name));
    expect(clip.reasons.length > 0).toBe(approximate.has(name));
    expect(clip.stamps).toEqual(clip.times.map((time) => Math.round(time * 1e6)));
    expect([clip.held, clip.left]).toEqual([[0, new Set(clip.stamps).size], 0]);
    if (isPlain(name)) expect(clip.decoded).toBe(leastDecoded(clip.numbers));
    else expect(clip.decoded).toBeLessThan(clip.count);
  });
});

const isRead = (clip: ReadClip | Failure): clip is ReadClip => 'numbers' in clip;

/** Files in which the rate that ffmpeg tells is a guess, or depends on how far it has read. */
const approximate = new Set(['fragments-irregular.mp4', 'no-rate-30.webm', 'no-rate-film.webm']);

/** Whether frames are stored as they are shown, with every 30th a key frame and none hidden. */
const isPlain = (name: string) => {
  const { args, copy, edit } = recipes[name];
  return !copy && !edit && (args.includes('libvpx') || args.includes('libvpx-vp9') || args.join().includes('-bf,0'));
};

/** Of each group of thirty that holds wanted frames, all up to the last of these. */
function leastDecoded(numbers: readonly number[]): number {
  const last = new Map(numbers.map((number) => [Math.floor(number / 30), (number % 30) + 1]));
  return [...last.values()].reduce((a, b) => a + b, 0);
}

describe('what goes with them', () => {
  test('the choice is told first, then each frame', async () => {
    const told = await page.evaluate((name) => window.clipChecks.progress(name), serve('h264-30.mkv'));
    expect(told).toEqual([[0, 0], ...Array.from({ length: 16 }, (_, i) => [i + 1, 1])]);
  });

  test('packets in an array give the same', async () => {
    const name = serve('cut.mp4');
    const [sink, array] = await page.evaluate(
      async (file) => [await window.clipChecks.clip(file), await window.clipChecks.changed(file, 'array')],
      name,
    );
    expect(array).toEqual(sink);
    expect(array).toMatchObject({ official: true });
  });

  test.each([
    ['no file', 'Only the file itself tells all of its edit list and its rate'],
    ['second track', 'The official code takes the first video track'],
  ] as const)('%s: the choice is approximate, and the reason is told', async (change, reason) => {
    const clip = await page.evaluate(([file, what]) => window.clipChecks.changed(file, what), [
      serve('cut.mp4'),
      change,
    ] as const);
    expect(clip).toMatchObject({ official: false, reasons: [expect.stringContaining(reason)], count: 381, rate: 30 });
  });

  test('frames of the own choice, one of them twice', async () => {
    const numbers = [3, 3, 40];
    const clip = await page.evaluate(([file, chosen]) => window.clipChecks.chosen(file, chosen), [
      serve('h264-15.mp4'),
      numbers,
    ] as const);
    expect(clip).toMatchObject({ numbers, official: false, held: [0, 2], left: 0, decoded: 4 + 11 });
    const beyond = await page.evaluate((file) => window.clipChecks.chosen(file, [165]), serve('h264-15.mp4'));
    expect(beyond).toMatchObject({
      code: 'bad-input',
      message: 'choose: not a valid count; got 165, expected an integer from 0 to 164',
    });
  });
});

describe('what fails', () => {
  test.each([
    ['an abort', 'abort', 'the user has gone'],
    ["an exception of the app's", 'throw', 'the app fails'],
  ] as const)('%s leaves no frame open', async (_, how, message) => {
    const name = serve('h264-30.mkv');
    for (const frames of [0, 1, 9]) {
      const stopped = await page.evaluate(([file, when, what]) => window.clipChecks.stopped(file, when, what), [
        name,
        frames,
        how,
      ] as const);
      expect(stopped).toEqual({ code: undefined, message, left: 0 });
    }
  });

  test('an abort before it begins', async () => {
    const aborted = await page.evaluate((file) => window.clipChecks.aborted(file), serve('h264-15.mp4'));
    expect(aborted).toMatchObject({ message: 'gone before' });
  });

  test('a damaged file leaves no frame open', async () => {
    const name = serve('h264-15.mp4', (bytes) => bytes.fill(0xff, 100_000, 103_000));
    const damaged = await page.evaluate((file) => window.clipChecks.clip(file), name);
    expect(damaged).toMatchObject({
      code: 'bad-video',
      message: expect.stringContaining('the decoder fails'),
      left: 0,
    });
  });

  test.each([
    ['other codec', 'h264-15.mp4: this browser does not decode the codec; got hvc1.1.6.L93.B0'],
    ['unknown codec', 'h264-15.mp4: the demuxer does not know its codec'],
  ] as const)('%s', async (change, message) => {
    const refused = await page.evaluate(([file, what]) => window.clipChecks.changed(file, what), [
      serve('h264-15.mp4'),
      change,
    ] as const);
    expect(refused).toMatchObject({ code: 'unsupported', message });
  });

  test('a browser without WebCodecs', async () => {
    const refused = await page.evaluate((file) => window.clipChecks.withoutWebCodecs(file), serve('h264-15.mp4'));
    expect(refused).toMatchObject({ code: 'unsupported', message: expect.stringContaining('has no WebCodecs') });
  });
});
