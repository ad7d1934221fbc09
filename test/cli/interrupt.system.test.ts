// Ctrl-C in the middle of every command: the process ends, and its children with it, and nothing half-made is left behind.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { cp, mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createFileSink } from '../../loaders/node-source.ts';
import { writeSafetensors } from '../../loaders/safetensors-writer.ts';
import { findVideoTools } from '../../loaders/video/node-video-tools.ts';
import { smallestWeights } from '../model/fixtures.ts';
import { sampleOf } from '../sample.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const adapter = ['--adapter', process.env['STAM_ADAPTER'] ?? 'software'];
/** Milliseconds within which a process has to be gone, on a machine however busy. What it took is printed. */
const bound = 30_000;
const took: string[] = [];

let folder: string;
let temporary: string;
const at = (name: string) => path.join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'stam-interrupt-'));
  temporary = at('temporary');
  await mkdir(temporary);
  await promisify(execFile)(process.execPath, [path.join(root, 'build.mjs'), '--if-stale'], { cwd: root });
  await writeModel();
});
afterAll(async () => {
  process.stdout.write(`ended after SIGINT: ${took.join(', ')}\n`);
  await rm(folder, { recursive: true });
});

async function writeModel(): Promise<void> {
  const weights = smallestWeights();
  const tensors = [...weights.tensors].map(([name, { shape }]) => {
    return { name, dtype: 'F32' as const, shape, data: () => weights.read(name) };
  });
  await writeSafetensors(await createFileSink(at('model.safetensors')), tensors, weights.metadata);
}

async function encode(file: string, size: string, seconds: number): Promise<void> {
  const { ffmpeg } = await findVideoTools();
  const input = ['-hide_banner', '-loglevel', 'error', '-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=30`];
  const encoder = ['-c:v', 'libx264', '-preset', 'ultrafast', '-t', `${seconds}`, `file:${file}`];
  await promisify(execFile)(ffmpeg.path, [...input, ...encoder]);
}

/** Sixty videos of one class. */
async function encodeFolder(): Promise<void> {
  await mkdir(at('val/some class'), { recursive: true });
  await encode(at('val/some class/0.mp4'), '64x48', 8);
  for (let i = 1; i < 60; i++) await cp(at('val/some class/0.mp4'), at(`val/some class/${i}.mp4`));
}

/** A checkpoint of 6 GB that takes no room: 64 tensors of zeros. */
async function writeSparse(): Promise<void> {
  const [count, elements] = [64, 24 * 2 ** 20];
  const entries = Array.from({ length: count }, (_, i) => [
    `tensor.${i}`,
    { dtype: 'F32', shape: [elements], data_offsets: [4 * elements * i, 4 * elements * (i + 1)] },
  ]);
  const text = JSON.stringify(Object.fromEntries(entries));
  const header = Buffer.from(text.padEnd(8 * Math.ceil(text.length / 8)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = await open(at('sparse.safetensors'), 'w');
  await file.write(Buffer.concat([length, header]));
  await file.truncate(8 + header.length + 4 * elements * count);
  await file.close();
}

/** A process in a group of its own, as a terminal's shell makes it, until its output has that in it. */
async function started(args: readonly string[], ready: RegExp): Promise<{ child: ChildProcess; said: () => string }> {
  const env = { ...process.env, TMPDIR: temporary };
  const child = spawn(process.execPath, args, { cwd: root, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const hear = (text: Buffer) => {
      said += text;
      if (ready.test(said)) resolve();
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('exit', (code) => reject(new Error(`it ended by itself, with ${code}: ${said}`)));
  });
  return { child, said: () => said };
}

const isAlive = (group: number): boolean => {
  try {
    process.kill(-group, 0);
    return true;
  } catch {
    return false;
  }
};

/** Sends SIGINT to the whole group, as a terminal does; the exit code once nobody of it is left. */
async function interrupt(name: string, child: ChildProcess): Promise<number | NodeJS.Signals | null> {
  const exited = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.removeAllListeners('exit').once('exit', (code, signal) => resolve(code ?? signal));
  });
  const group = child.pid ?? 0;
  const begin = performance.now();
  process.kill(-group, 'SIGINT');
  while (isAlive(group) && performance.now() - begin < bound) await new Promise((resolve) => setTimeout(resolve, 5));
  took.push(`${name} ${Math.round(performance.now() - begin)} ms`);
  const isLeft = isAlive(group);
  if (isLeft) process.kill(-group, 'SIGKILL');
  expect(isLeft, `${name} is still there`).toBe(false);
  return await exited;
}

const stam = path.join(root, 'dist/cli.js');
const synthetic = ['--weights', 'synthetic:1', '--input', 'synthetic:1'];
const model = () => ['--model_path', at('model.safetensors'), '--model_name', 'auto', ...adapter];

interface Command {
  readonly args: () => string[];
  /** What it has said when it is interrupted. */
  readonly ready: RegExp;
  readonly makeInput?: () => Promise<void>;
  /** Files that stay, for the next run to go on from. */
  readonly mayStay?: readonly string[];
}

const commands: readonly (readonly [name: string, Command])[] = [
  ['bench, while it loads', { args: () => ['bench', '--models', 'stam_8', ...adapter], ready: /adapter: / }],
  [
    'bench, while it uploads',
    { args: () => ['bench', '--models', 'stam_8', ...adapter], ready: /loading weights: \d/ },
  ],
  [
    'run',
    {
      args: () => ['run', '--model', 'stam_8', ...synthetic, '--output', at('out.safetensors'), ...adapter],
      ready: /adapter: /,
    },
  ],
  ['selftest', { args: () => ['selftest', ...adapter], ready: /adapter: / }],
  [
    'convert',
    {
      args: () => ['convert', at('sparse.safetensors'), at('converted.safetensors'), '--dtype', 'f16'],
      ready: /10 ?%/,
      makeInput: writeSparse,
    },
  ],
  [
    'classify',
    {
      args: () => ['classify', at('long.mp4'), ...model()],
      ready: /adapter: /,
      makeInput: () => encode(at('long.mp4'), '640x360', 120),
    },
  ],
  [
    'infer',
    {
      args: () => ['infer', '--val_dir', at('val'), '--out', at('out.jsonl'), ...model()],
      ready: /1\d ?%/,
      makeInput: encodeFolder,
      mayStay: ['out.jsonl'],
    },
  ],
];

test.each(sampleOf('commands that are interrupted', commands, 1))('%s', async (name, command) => {
  await command.makeInput?.();
  const before = new Set(readdirSync(folder));
  const { child, said } = await started([stam, ...command.args()], command.ready);
  const code = await interrupt(name, child);
  expect(code, said()).toBe(130);
  expect(readdirSync(folder).filter((file) => !before.has(file) && !command.mayStay?.includes(file))).toEqual([]);
  expect(readdirSync(temporary)).toEqual([]);
});

test('the demo', async () => {
  const out = at('demo');
  const { child } = await started([path.join(root, 'demo/serve.mjs'), '--port', '0', '--out', out], /http:.*\d\//);
  expect(await interrupt('demo', child)).toBe('SIGINT');
  expect(existsSync(path.join(out, 'index.html'))).toBe(true);
});

test('a command that has done its work ends by itself', async () => {
  const run = promisify(execFile);
  const args = ['run', '--model', 'auto', '--weights', at('model.safetensors'), '--input', 'synthetic:1'];
  await run(process.execPath, [stam, ...args, '--output', at('done.safetensors'), ...adapter], { timeout: 300_000 });
  expect(existsSync(at('done.safetensors'))).toBe(true);
});
