// A video decoded in the browser against the same decoded in Node by ffmpeg: frames, rate, and what the model says to them.
import path from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { syntheticWeights, tiny } from '../../demo/models.ts';
import { requestNodeAdapter } from '../../engine/node-adapter.ts';
import { chooseClips, loadStam, requiredDevice, samplingOf } from '../../index.ts';
import { decodeFrames } from '../../loaders/video/node-video.ts';
import { probeVideo } from '../../loaders/video/node-video-probe.ts';
import { expectClose, largestDifference } from '../close.ts';
import { ffmpeg, packaged, pictures } from '../loaders/video/video-files.ts';
import { longTests } from '../sample.ts';
import type {} from './checks.ts';
import type { DemoSite } from './demo-site.ts';
import { makeVideo, newPage, openDemo } from './demo-site.ts';

const test = longTests('decoding in the browser and in Node');

let site: DemoSite | undefined;
beforeAll(async () => {
  site = await openDemo();
});
afterAll(() => site?.close());

/** Files whose frame rates are no whole numbers, whose frames are reordered, and whose container counts milliseconds. */
const videos: readonly [string, (folder: string) => string][] = [
  ['H.264 with B-frames at 29.97 fps', (folder) => makeVideo(folder, 'h264.mp4', '30000/1001', 10.4)],
  ['VP9 in MP4 at 25 fps', (folder) => makeVp9(folder, 'vp9.mp4')],
];

test.each(videos)('%s: the same frames, and the same logits to 1e-4', async (_, make) => {
  if (!site) throw new Error('no site');
  const file = make(site.folder);
  const info = await probeVideo(packaged, file);
  const [clip] = chooseClips(info.frames, info.fps, samplingOf(tiny));
  const inBrowser = await logitsInBrowser(site, file);
  expect({ frames: inBrowser.frames, rate: inBrowser.rate }).toEqual({ frames: info.frames, rate: info.fps });
  expect(inBrowser.numbers).toEqual(clip);
  expect(inBrowser.shown).toEqual(clip);
  expect(inBrowser.official).toBe(true);
  expect(inBrowser.remarks).toEqual([]);

  const decoded = await decodeFrames(packaged, file, info, clip);
  const { adapter } = await requestNodeAdapter('software');
  const device = await adapter.requestDevice(requiredDevice(adapter));
  const stam = await loadStam(syntheticWeights(tiny), { device });
  const logits = await stam.logits([decoded]);
  stam.dispose();
  device.destroy();
  const exact = expectClose('logits', inBrowser.exact, logits, 1e-4);
  const fast = largestDifference(inBrowser.fast, logits);
  // for people: the colours that the browser converts may differ, by how much is up to it
  process.stdout.write(`${path.basename(file)}: largest difference exact ${exact.error}, fast ${fast.error}\n`);
});

async function logitsInBrowser(demo: DemoSite, file: string) {
  const { page, complaints } = await newPage(demo);
  await page.goto(`${demo.url}page.css`); // any file of the server's that runs nothing: the demo itself would load the demuxer twice
  await page.setContent('<input type="file" id="check">');
  await page.setInputFiles('#check', file);
  await page.addScriptTag({ url: 'checks.js', type: 'module' });
  const result = await page.evaluate(async () => {
    const [chosen] = document.querySelector<HTMLInputElement>('#check')?.files ?? [];
    return await window.demoChecks.logitsOf(chosen);
  });
  await page.close();
  expect(complaints).toEqual([]);
  return result;
}

function makeVp9(folder: string, name: string): string {
  const file = path.join(folder, name);
  ffmpeg(...pictures('320x240', '25', 10.2), '-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', file);
  return file;
}
