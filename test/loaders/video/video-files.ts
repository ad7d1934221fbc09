// Small videos, made by the ffmpeg that comes with npm, and programs that stand in for ffmpeg where it has to misbehave.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';
import { findVideoTools, type VideoTools } from '../../../loaders/video/node-video-tools.ts';

/** The programs of the npm packages, whatever is on PATH. */
export const packaged = await findVideoTools({ environment: {} });

/** Every pair of programs to be tested: the npm packages', and the system's where there is one. */
export async function everyTools(): Promise<[string, VideoTools][]> {
  const npm: [string, VideoTools] = [`npm ${packaged.ffmpeg.version}`, packaged];
  const system = await findVideoTools({ environment: { PATH: process.env['PATH'] } });
  if (system.ffmpeg.origin === 'path') return [npm, [`system ${system.ffmpeg.version}`, system]];
  process.stderr.write('no ffmpeg on PATH: videos are tested with that of the npm package only\n');
  return [npm];
}

/** A folder of this test file's own. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'stam-video-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs the npm package's ffmpeg; what it writes to stdout. */
export function ffmpeg(...args: string[]): Buffer {
  const program = packaged.ffmpeg.path;
  return execFileSync(program, ['-v', 'error', '-nostdin', '-y', ...args], { maxBuffer: 2 ** 28 });
}

/** Moving test pictures as an input of ffmpeg, no two of them alike. */
export function pictures(size: string, rate: string, seconds: number): string[] {
  return ['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${rate}:duration=${seconds},noise=alls=30:allf=t`];
}

/** A program that answers `-version` like `name`, and else does what `body` says, in JavaScript. */
export function standIn(folder: string, name: string, body: string): string {
  const file = path.join(folder, name);
  const version = `${name} version 99-stand-in\\nlibavcodec     60.  1.100\\n`;
  const text = [
    `#!${process.execPath}`,
    `if (process.argv[2] === '-version') process.stdout.write('${version}');`,
    `else { ${body} }`,
  ];
  writeFileSync(file, text.join('\n'), { mode: 0o755 });
  return file;
}
