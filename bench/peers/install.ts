// Puts onnxruntime-node into the user's cache when it is first needed. It is a peer to be measured, never a dependency.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { StamError } from '../../engine/errors.ts';

/** Exact, so that two reports of one version of this project compare the same two programs. */
export const onnxruntimeVersion = '1.30.0';

export interface InstallOptions {
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  /** What installs: `npm`, but for tests. */
  readonly npm?: string;
}

/**
 * Installs onnxruntime-node below `cache`, unless it is there, and returns the folder of its node_modules. No script of a package
 * runs. Throws unsupported, with npm's own words, when npm cannot be run or fails.
 */
export async function installOnnxruntime(cache: string, { signal, log, npm = 'npm' }: InstallOptions): Promise<string> {
  const folder = path.join(cache, `onnxruntime-node-${onnxruntimeVersion}`);
  if (fs.existsSync(folder)) return folder;
  log(`installing onnxruntime-node ${onnxruntimeVersion} (about 300 MB) into ${folder}`);
  const partial = `${folder}.${randomBytes(6).toString('hex')}.partial`;
  fs.mkdirSync(partial, { recursive: true });
  const removeAtExit = () => fs.rmSync(partial, { recursive: true, force: true });
  process.once('exit', removeAtExit);
  try {
    // a package of its own: npm would walk up to another one otherwise
    fs.writeFileSync(path.join(partial, 'package.json'), '{ "private": true }\n');
    await runNpm(npm, partial, signal);
    if (!fs.existsSync(folder)) fs.renameSync(partial, folder);
  } finally {
    removeAtExit();
    process.removeListener('exit', removeAtExit);
  }
  return folder;
}

function runNpm(npm: string, folder: string, signal: AbortSignal): Promise<void> {
  const args = ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const child = spawn(npm, [...args, `onnxruntime-node@${onnxruntimeVersion}`], {
    cwd: folder,
    signal,
    stdio: ['ignore', 'ignore', 'pipe'],
    shell: process.platform === 'win32', // npm is a .cmd file there
  });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    const fail = (got: string, cause?: unknown) =>
      reject(
        new StamError('unsupported', {
          where: 'onnxruntime-node',
          problem: 'npm could not install it',
          got,
          hint: 'the first comparison needs npm and its registry; later ones take what is in the cache',
          cause,
        }),
      );
    child.on('error', (error) => (signal.aborted ? reject(signal.reason) : fail(error.message, error)));
    child.on('close', (code) => {
      if (code === 0) resolve();
      else fail(`exit ${code}: ${firstLine(stderr)}`);
    });
  });
}

function firstLine(text: string): string {
  const lines = text.split('\n').filter((line) => !line.startsWith('npm warn'));
  return lines.find((line) => /\S/.test(line))?.trim() ?? 'without a word';
}
