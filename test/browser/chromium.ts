// The headless Chromium that the npm package @sparticuz/chromium carries, with all it needs from outside glibc and libgcc, which Node
// needs too: no browser, driver, display or font of the machine's is asked for.
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import path from 'node:path';
import packaged from '@sparticuz/chromium';
import type { Browser } from 'playwright-core';
import { chromium } from 'playwright-core';

/** Starts the browser, with WebGPU on the software adapter that comes with it, and with `switches` of the caller's. The caller closes it. */
export async function launchChromium(...switches: readonly string[]): Promise<Browser> {
  const folder = await unpackChromium();
  return await chromium.launch({
    executablePath: path.join(folder, 'chromium'),
    args: [
      '--enable-unsafe-webgpu', // WebGPU is off on Linux without a driver that Chromium trusts
      '--use-webgpu-adapter=swiftshader',
      // the rest of the GPU process on Vulkan too: with its OpenGL it crashes when a frame of video is to become a texture. ANGLE by the name
      // of its own driver: as `vulkan` it wants surfaces, which only a machine with other drivers has
      '--enable-features=Vulkan',
      '--use-vulkan=swiftshader',
      '--use-angle=swiftshader',
      ...switches,
    ],
    env: {
      ...process.env,
      FONTCONFIG_FILE: path.join(folder, 'fonts.conf'), // without any font Chromium crashes at the first text
      // libnss3, libnspr4 and libexpat, which small machines lack; the package's everywhere, so that the test is the same everywhere
      LD_LIBRARY_PATH: [path.join(folder, 'al2023', 'lib'), process.env['LD_LIBRARY_PATH']].filter(Boolean).join(':'),
    },
  });
}

/** Unpacks the browser once per user and version, 215 MB in two seconds; returns its folder. */
async function unpackChromium(): Promise<string> {
  const entry = createRequire(import.meta.url).resolve('@sparticuz/chromium');
  const text = await readFile(path.resolve(entry, '../../../package.json'), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  // in the user's own cache and not in a shared temporary folder: code is run from there
  const cache = process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache');
  const folder = path.join(cache, 'stam-webgpu', `headless-chromium-${version}`);
  if (existsSync(folder)) return folder;
  const partial = `${folder}.${randomUUID()}`;
  await mkdir(partial, { recursive: true, mode: 0o700 });
  try {
    // the package unpacks into the temporary folder, and its libraries only where it takes the machine for Amazon's
    await withEnvironment({ TMPDIR: partial, AWS_EXECUTION_ENV: 'nodejs20.x' }, () => packaged.executablePath());
    await writeFile(path.join(partial, 'fonts.conf'), fontsIn(path.join(folder, 'fonts')));
    await rename(partial, folder);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    if (!existsSync(folder)) throw error; // else another process was first
  }
  return folder;
}

/** Tells fontconfig of the package's own fonts, and where it may write. */
function fontsIn(fonts: string): string {
  return `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>${fonts}</dir><cachedir>${path.join(fonts, 'cache')}</cachedir></fontconfig>
`;
}

/** Runs `work` with these environment variables, and puts back what they were. */
async function withEnvironment(variables: Readonly<Record<string, string>>, work: () => Promise<unknown>) {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, variables);
  try {
    await work();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}
