// The demo as a visitor meets it: built and served by `npm run demo`'s own program, in a browser that keeps to its policy.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { launchChromium } from '../browser/chromium.ts';
import { ffmpeg, pictures } from '../loaders/video/video-files.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface DemoSite {
  /** Ends with a slash. */
  readonly url: string;
  readonly browser: Browser;
  /** For files of the test's own. */
  readonly folder: string;
  close(): Promise<void>;
}

/** Builds and serves the demo, with `checks.ts` beside it, and starts a browser whose camera is a moving test picture. */
export async function openDemo(): Promise<DemoSite> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'stam-demo-'));
  const out = path.join(folder, 'site');
  await buildChecks(out);
  const server = spawn(process.execPath, ['demo/serve.mjs', '--port', '0', '--out', out], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(server, 'exit');
  const close = async () => {
    server.kill();
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const [url] = await Promise.race([
      once(createInterface(server.stdout), 'line') as Promise<[string]>,
      ended.then(([code]) => Promise.reject(new Error(`demo/serve.mjs ended with ${code} before it served`))),
    ]);
    const browser = await launchChromium('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream');
    return {
      url,
      browser,
      folder,
      close: async () => {
        await Promise.allSettled([browser.close(), close()]);
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What tests call inside of the page. The server offers whatever lies in the folder that it builds into. */
async function buildChecks(outdir: string): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: ['test/demo/checks.ts'],
    outdir,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    splitting: true, // as in demo/build.mjs
    chunkNames: 'checks/[name]-[hash]',
    external: ['webgpu', 'node:*'],
    loader: { '.wgsl': 'text', '.txt': 'text' },
    define: { __VERSION__: '"demo test"' },
    logLevel: 'warning',
  });
}

/** A page, and all that it and the browser complain of: errors, broken policies, files that are missing. */
export async function newPage(
  { browser }: DemoSite,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; complaints: string[] }> {
  const page = await browser.newPage(options);
  page.setDefaultTimeout(60_000);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('crash', () => complaints.push('the page crashed'));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  return { page, complaints };
}

/** A video in H.264 with B-frames; its path. `seconds` of 320 x 240 at `rate`. */
export function makeVideo(folder: string, name: string, rate: string, seconds: number): string {
  const file = path.join(folder, name);
  const codec = ['-c:v', 'libx264', '-preset', 'veryfast', '-bf', '2', '-pix_fmt', 'yuv420p'];
  ffmpeg(...pictures('320x240', rate, seconds), ...codec, file);
  return file;
}
