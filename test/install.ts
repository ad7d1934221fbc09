// Before all tests: what the install scripts of the tests' own packages would have done, so that `npm ci --ignore-scripts` will do.
import { chmod } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';

/** npm's ffprobe is published without the right to be executed, which its install script grants. */
export async function setup(): Promise<void> {
  if (process.platform === 'win32') return;
  const require = createRequire(import.meta.url);
  const { path: ffprobe } = require('@ffprobe-installer/ffprobe') as { path: string };
  await chmod(path.resolve(ffprobe), 0o755);
}
