// Finds the programs that decode video in Node: ffmpeg and ffprobe. Nothing is ever downloaded or run through a shell.
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, chmod, copyFile, mkdir, readFile, rename, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { StamError, throwIfAborted } from '../../engine/errors.ts';
import { cacheFolder } from '../../engine/node-cache.ts';
import { runChild } from './node-child.ts';

export type ToolName = 'ffmpeg' | 'ffprobe';

/** A program that answered `-version`. */
export interface VideoTool {
  readonly path: string;
  /** As it names itself, for example `5.1.9-0+deb12u1`. */
  readonly version: string;
  /** Where it was found: named by the caller, by STAM_FFMPEG or STAM_FFPROBE, beside the other one, on PATH, in an npm package. */
  readonly origin: 'option' | 'environment' | 'beside' | 'path' | 'package';
}

export interface VideoTools {
  readonly ffmpeg: VideoTool;
  readonly ffprobe: VideoTool;
  /** The arguments by which this ffmpeg hands on each frame once: their name changed with 5.1. */
  readonly passthrough: readonly string[];
}

export interface FindToolsOptions {
  /** ffmpeg itself, or the folder of both programs. */
  ffmpeg?: string | undefined;
  /** Instead of the process's own STAM_FFMPEG, STAM_FFPROBE and PATH. */
  environment?: Readonly<Record<string, string | undefined>>;
  /** Resolves a package's file to its path, or throws. Instead of this module's own resolution. */
  resolve?: (specifier: string) => string;
  signal?: AbortSignal | undefined;
}

/** Milliseconds for `-version`, on a busy machine. */
const versionMs = 60_000;

interface Candidate {
  readonly file: string;
  readonly origin: VideoTool['origin'];
}

interface Found {
  readonly tool: VideoTool;
  /** Of its libavcodec, as [major, minor]: builds from git have no other number. */
  readonly libavcodec: readonly [number, number];
}

/**
 * Finds both programs. ffmpeg: `options.ffmpeg`, else STAM_FFMPEG, else the first on PATH that runs, else that of the npm package
 * @ffmpeg-installer/ffmpeg. ffprobe: beside the ffmpeg that `options.ffmpeg` names, else STAM_FFPROBE, else beside ffmpeg, else on PATH,
 * else that of @ffprobe-installer/ffprobe. A program that was named has to run: no other takes its place.
 * Throws unsupported, saying where was looked, when one of them is not to be had.
 */
export async function findVideoTools(options: FindToolsOptions = {}): Promise<VideoTools> {
  const environment = options.environment ?? process.env;
  const ffmpeg = await find('ffmpeg', ffmpegCandidates(options.ffmpeg, environment), options);
  const ffprobe = await find('ffprobe', ffprobeCandidates(ffmpeg.tool, environment), options);
  const [major, minor] = ffmpeg.libavcodec;
  const isRecent = major > 59 || (major === 59 && minor >= 37); // 5.1
  return {
    ffmpeg: ffmpeg.tool,
    ffprobe: ffprobe.tool,
    passthrough: isRecent ? ['-fps_mode', 'passthrough'] : ['-vsync', '0'],
  };
}

/** Candidates in order, and whether the first one was named by the user, so that no other will do. */
interface Candidates {
  readonly named: boolean;
  readonly list: readonly Candidate[];
}

type Environment = Readonly<Record<string, string | undefined>>;

function ffmpegCandidates(option: string | undefined, environment: Environment): Candidates {
  const named = option ?? environment['STAM_FFMPEG'];
  if (!named) return { named: false, list: onPath('ffmpeg', environment) };
  return { named: true, list: [{ file: named, origin: option ? 'option' : 'environment' }] };
}

function ffprobeCandidates(ffmpeg: VideoTool, environment: Environment): Candidates {
  const beside: Candidate = { file: path.join(path.dirname(ffmpeg.path), executableName('ffprobe')), origin: 'beside' };
  const named = environment['STAM_FFPROBE'];
  if (named && ffmpeg.origin !== 'option') return { named: true, list: [{ file: named, origin: 'environment' }] };
  const fromEnvironment: Candidate[] = named ? [{ file: named, origin: 'environment' }] : [];
  return { named: false, list: [beside, ...fromEnvironment, ...onPath('ffprobe', environment)] };
}

/** Relative entries of PATH are left out: they would run whatever lies in the working folder. */
function onPath(name: ToolName, environment: Environment): Candidate[] {
  return (environment['PATH'] ?? environment['Path'] ?? '')
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder))
    .map((folder) => ({ file: path.join(folder, executableName(name)), origin: 'path' }));
}

const executableName = (name: ToolName) => (process.platform === 'win32' ? `${name}.exe` : name);

async function find(name: ToolName, { named, list }: Candidates, options: FindToolsOptions): Promise<Found> {
  const failures: string[] = [];
  for (const { file, origin } of list) {
    const answer = await ask(name, file, origin, options.signal);
    if (typeof answer !== 'string') return answer;
    // PATH has many folders, and most of them simply have no such program
    if (origin !== 'path' || answer !== 'no such file') failures.push(`${file}: ${answer}`);
  }
  if (!named) {
    if (list.some(({ origin }) => origin === 'path')) failures.push(`none on PATH runs`);
    const file = await packagedTool(name, options.resolve);
    const answer = file ? await ask(name, file, 'package', options.signal) : 'not installed';
    if (typeof answer !== 'string') return answer;
    failures.push(`npm package ${packageOf(name)}: ${answer}`);
  }
  throw new StamError('unsupported', {
    where: name,
    problem: `videos are decoded by ${name}, which cannot be run`,
    got: failures.join('; '),
    expected: 'version 4.1 or later',
    hint:
      'install ffmpeg by the package manager of the system (apt-get install ffmpeg, brew install ffmpeg, winget install ffmpeg), ' +
      `or npm install ${packageOf('ffmpeg')} ${packageOf('ffprobe')}, or name its folder by --ffmpeg or STAM_FFMPEG`,
  });
}

/** The program when it runs, else what is wrong with it. A folder stands for the program in it. */
async function ask(
  name: ToolName,
  named: string,
  origin: VideoTool['origin'],
  signal: AbortSignal | undefined,
): Promise<Found | string> {
  throwIfAborted(signal);
  let file = path.resolve(named);
  let status = await stat(file).catch(() => undefined);
  if (status?.isDirectory()) {
    file = path.join(file, executableName(name));
    status = await stat(file).catch(() => undefined);
  }
  if (!status?.isFile()) return 'no such file';
  if (!(await isExecutable(file))) return 'not executable';
  const chunks: Uint8Array[] = [];
  const run = runChild(file, ['-version'], { signal, timeoutMs: versionMs, onOutput: (chunk) => chunks.push(chunk) });
  const end = await run.catch((error: unknown) => {
    throwIfAborted(signal);
    return { ok: false, status: String(error) };
  });
  if (!end.ok) return `does not run (${end.status})`;
  const text = Buffer.concat(chunks).toString('utf8');
  const version = new RegExp(`^${name} version (\\S+)`).exec(text)?.[1];
  const library = /^libavcodec\s+(\d+)\.\s*(\d+)/m.exec(text);
  if (version === undefined || library === null) return `does not answer -version as ${name} does`;
  return { tool: { path: file, version, origin }, libavcodec: [Number(library[1]), Number(library[2])] };
}

const isExecutable = (file: string) =>
  access(file, constants.X_OK).then(
    () => true,
    () => false,
  );

const packageOf = (name: ToolName) => `@${name}-installer/${name}`;

/**
 * The program out of the platform's own package, which the named one depends on, or undefined when that is not installed. Where npm
 * was told to run no install scripts, the file may lack its execute bit: then a copy in the user's cache has it.
 */
async function packagedTool(name: ToolName, resolve: FindToolsOptions['resolve']): Promise<string | undefined> {
  const platformPackage = `@${name}-installer/${process.platform}-${process.arch}`;
  let manifest: string;
  try {
    manifest = (resolve ?? createRequire(import.meta.url).resolve)(`${platformPackage}/package.json`);
  } catch {
    return undefined;
  }
  const file = path.join(path.dirname(manifest), executableName(name));
  if ((await isExecutable(file)) || !(await stat(file).catch(() => undefined))?.isFile()) return file;
  const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string };
  const folder = path.join(cacheFolder(), `${name}-${version}`);
  const copy = path.join(folder, executableName(name));
  if (await isExecutable(copy)) return copy;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const partial = `${copy}.${randomUUID()}`;
  await copyFile(file, partial);
  await chmod(partial, 0o700);
  await rename(partial, copy); // another process may have been first: its file is the same
  return copy;
}
