// The library in a real browser. One that does not start is a failure, not a skip.
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { expectClose, largestDifference } from '../close.ts';
import { longTest } from '../sample.ts';
import { launchChromium } from './chromium.ts';
import type {} from './page.ts';
import type { Site } from './site.ts';
import { serveSite } from './site.ts';

let site: Site | undefined;
let browser: Browser | undefined;
let page: Page;
/** What the page complained of. */
const complaints: string[] = [];

beforeAll(async () => {
  site = await serveSite();
  browser = await launchChromium();
  page = await browser.newPage();
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('crash', () => complaints.push('the page crashed'));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  await page.goto(site.url);
  await page.waitForFunction('window.checks', null, { timeout: 20_000 }).catch((cause: unknown) => {
    throw new Error(`the page did not start: ${complaints.join('; ') || 'it says nothing'}`, { cause });
  });
}, 60_000);

// a failed launch leaves the server, a failed page both; each is closed whatever becomes of the other
afterAll(() => Promise.allSettled([browser?.close(), site?.close()]));

afterEach(async () => {
  expect([...complaints.splice(0), ...(await page.evaluate(() => window.checks.takeProblems()))]).toEqual([]);
});

test("logits on the browser's own adapter", async () => {
  const { adapter, got, want } = await page.evaluate(() => window.checks.logits());
  expect(adapter.software).toBe(true);
  expectClose('logits', got, want, 1e-4);
}, 60_000);

test("encode() records into an app's encoder and leaves its device alone", async () => {
  const { got, want, afterwards } = await page.evaluate(() => window.checks.encode());
  expectClose('logits', got, want, 1e-4);
  expect(afterwards).toEqual([1, 4, 9, 16]);
}, 60_000);

test('weights come from an address, and from the cache when they have come once', async () => {
  const first = await page.evaluate(() => window.checks.load());
  expectClose('logits', first.got, first.want, 1e-4);
  const downloads = first.stages.filter(([stage]) => stage === 'download');
  expect(downloads.length).toBeGreaterThan(2);
  const [, loaded, total] = downloads.at(-1) ?? ['', 0, -1];
  expect([loaded, total]).toEqual([total, loaded]);
  expect(new Set(first.stages.map(([stage]) => stage))).toEqual(new Set(['download', 'upload', 'compile', 'ready']));
  if (site) site.silent = true;
  const second = await page.evaluate(() => window.checks.load());
  if (site) site.silent = false;
  expect(second.got).toEqual(first.got);
}, 60_000);

test('a PyTorch checkpoint comes from a File', async () => {
  const { got, want } = await page.evaluate(() => window.checks.pth());
  expectClose('logits', got, want, 1e-4);
}, 60_000);

test('a load that is aborted while the weights arrive rejects with an AbortError', async () => {
  expect(await page.evaluate(() => window.checks.abort())).toBe('AbortError');
}, 60_000);

longTest('pictures of any kind give the bits that their bytes give', async () => {
  const { bytes, forms } = await page.evaluate(() => window.checks.pictures());
  for (const [form, logits] of Object.entries(forms)) expect({ form, logits }).toEqual({ form, logits: bytes });
});

longTest('frames of video are converted exactly; the fast way differs by as much as is printed', async () => {
  const { bytes, exact, fast, stream } = await page.evaluate(() => window.checks.planes());
  expect(exact).toEqual(bytes);
  expectClose('stream', stream, bytes, 1e-4);
  const { error } = largestDifference(fast, bytes);
  process.stdout.write(`colors: 'fast' is off by ${error.toExponential(1)} in logits of -5 to 5\n`);
  expect(error).toBeGreaterThan(0);
  expect(error).toBeLessThan(1);
});
