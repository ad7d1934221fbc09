// The page as a visitor uses it. With STAM_SCREENSHOTS=FOLDER its states are photographed, 1280 and 390 pixels wide.
import path from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tiny } from '../../demo/models.ts';
import { chooseClips, leastFrames, samplingOf } from '../../index.ts';
import { longTest } from '../sample.ts';
import type { DemoSite } from './demo-site.ts';
import { makeVideo, newPage, openDemo } from './demo-site.ts';

const widths = [1280, 390] as const;
const folder = process.env['STAM_SCREENSHOTS'];
if (!folder) process.stderr.write('page.system.test.ts: STAM_SCREENSHOTS names no folder, so no pictures are kept\n');

let site: DemoSite;
let video: string;
beforeAll(async () => {
  site = await openDemo();
  video = makeVideo(site.folder, 'street & square.mp4', '30', 10.2);
});
afterAll(() => site?.close());

/** Photographs a state at each width, and looks whether anything lies beyond the right edge. */
async function photograph(page: Page, state: string): Promise<void> {
  for (const width of widths) {
    await page.setViewportSize({ width, height: 900 });
    const overhang = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect({ state, width, overhang: Math.max(0, overhang) }).toEqual({ state, width, overhang: 0 });
    if (folder) await page.screenshot({ path: path.join(folder, `${state}-${width}.png`), fullPage: true });
  }
}

async function openPage(): Promise<{ page: Page; complaints: string[] }> {
  const opened = await newPage(site);
  await opened.page.goto(site.url);
  await opened.page.waitForFunction(() => !document.querySelector<HTMLInputElement>('#video-file')?.disabled);
  return opened;
}

longTest(
  'a video is classified: the frames of the official sampling, five classes, the time of each stage',
  async () => {
    const { page, complaints } = await openPage();
    expect(await page.textContent('#adapter')).toMatch(/SwiftShader/i);
    expect(await page.inputValue('#model')).toBe('tiny');
    expect(await page.textContent('#notices')).toMatch(/computes on the processor.*the classes mean nothing/s);
    await photograph(page, 'start');
    await page.setInputFiles('#video-file', video);
    await page.waitForFunction(() => document.querySelectorAll('.class:not(.class-empty)').length === 5);
    const [clip] = chooseClips(306, 30, samplingOf(tiny));
    const shown = await page.$$eval('.shot', (shots) => shots.map((shot) => Number(shot.getAttribute('data-frame'))));
    expect(shown).toEqual(clip);
    const scores = await page.$$eval('.class-score', (cells) =>
      cells.map((cell) => Number.parseFloat(cell.textContent)),
    );
    expect(scores).toEqual(scores.toSorted((a, b) => b - a));
    for (const stage of ['load', 'read', 'decode', 'compute']) {
      expect(await page.textContent(`#time-${stage}`)).toMatch(/\d m?s/);
    }
    await page.click('details summary');
    expect(await page.textContent('#kernels')).toMatch(/attention-/);
    await photograph(page, 'result');
    await page.click('#bench');
    await page.waitForFunction(() => Number(document.querySelector('#speed')?.textContent) > 0);
    expect(complaints).toEqual([]);
    await page.close();
  },
);

longTest('a model that loads says how far it is, and can be stopped', async () => {
  const { page, complaints } = await openPage();
  await page.selectOption('#model', 'stam_8');
  await page.setInputFiles('#video-file', video);
  await page.waitForFunction(() =>
    /weights|kernels/i.test(document.querySelector('#progress-text')?.textContent ?? ''),
  );
  await photograph(page, 'loading');
  await page.click('#cancel');
  await page.waitForFunction(() => !document.querySelector('#progress')?.classList.contains('running'));
  expect(await page.$$eval('.class:not(.class-empty)', (rows) => rows.length)).toBe(0);
  expect(await page.$$eval('.notice-failure', (notices) => notices.length)).toBe(0);
  expect(complaints).toEqual([]);
  await page.close();
});

longTest('a video that is too short is told of, and its frames can be spread', async () => {
  const { page, complaints } = await openPage();
  await page.setInputFiles('#video-file', makeVideo(site.folder, 'short.mp4', '30', 3));
  const notice = await page.waitForSelector('.notice-too-short');
  expect(await notice.textContent()).toContain(`${leastFrames(30, samplingOf(tiny))}`);
  await page.click('.notice-too-short button');
  await page.waitForFunction(() => document.querySelectorAll('.class:not(.class-empty)').length === 5);
  expect(await page.textContent('#notices')).toMatch(/official/i);
  expect(complaints).toEqual([]);
  await page.close();
});

longTest('a file that is no video, and weights that are none, are told of', async () => {
  const { page, complaints } = await openPage();
  await page.setInputFiles('#video-file', {
    name: 'notes.mp4',
    mimeType: 'video/mp4',
    buffer: Buffer.from('no video'),
  });
  await page.waitForSelector('.notice-failure');
  await page.setInputFiles('#weights-file', { name: 'x.pth', mimeType: '', buffer: Buffer.from('no weights') });
  await page.setInputFiles('#video-file', video);
  const notice = await page.waitForSelector('.notice-failure');
  expect(await notice.textContent()).toMatch(/x\.pth/);
  expect(complaints).toEqual([]);
  await page.close();
});

longTest('the camera gives an answer for its last frames, until it is stopped', async () => {
  const { page, complaints } = await openPage();
  await page.click('#camera');
  await page.waitForFunction(() =>
    /Camera: \d+ of 16/.test(document.querySelector('#progress-text')?.textContent ?? ''),
  );
  await page.waitForFunction(() => document.querySelectorAll('.class:not(.class-empty)').length === 5, null, {
    timeout: 60_000,
  });
  await page.click('#camera');
  await page.waitForFunction(() => document.querySelector('#camera')?.textContent === 'Use the camera');
  expect(complaints).toEqual([]);
  await page.close();
});

test('a browser without WebGPU is told so', async () => {
  const { page, complaints } = await newPage(site);
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined }));
  await page.goto(site.url);
  await page.waitForSelector('.notice-failure');
  expect(await page.textContent('.notice-failure')).toMatch(/This browser: it has no WebGPU; .*Chrome/);
  expect(await page.isDisabled('#video-file')).toBe(true);
  await photograph(page, 'no-webgpu');
  expect(complaints).toEqual([]);
  await page.close();
});
