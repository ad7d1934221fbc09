// What infer writes and merge reads: a line of JSON for the settings, then one for each video, in the order of the data set. A line that
// a crash has torn is cut off when a run is resumed, so that nothing is lost or repeated.
import { open, readFile } from 'node:fs/promises';
import type { AdapterDescription } from '../engine/device.ts';
import { StamError } from '../engine/errors.ts';
import type { Prediction } from '../model/predictions.ts';

/** How infer.py looks at a video: clips that do not overlap, one view and one answer of each. */
export interface ClipSettings {
  readonly inputSize: number;
  readonly zoom: number;
  readonly framesPerClip: number;
  readonly frameRate: number;
  readonly stepBetweenClips: number;
}

/** How X3D is tested: clips spread over the video, some crops of each, one answer of all. */
export interface ViewSettings {
  readonly inputSize: number;
  readonly framesPerClip: number;
  readonly frameStep: number;
  readonly targetRate: number;
  readonly clips: number;
  readonly crops: number;
}

/** The first line. Everything but the adapter and the checkpoint's name has to be the same for results to belong together. */
export type RunSettings = (ClipSettings | ViewSettings) & {
  /** Of this package. */
  readonly version: string;
  /** The versions of ffmpeg and ffprobe: other decoders may give other frames. */
  readonly ffmpeg: string;
  readonly model: string;
  /** The model's configuration, as JSON with sorted keys. */
  readonly config: string;
  /** A hash of the checkpoint's content, or `synthetic:SEED`. */
  readonly weights: string;
  /** Name of the checkpoint's file, which may differ between runs of one checkpoint. */
  readonly checkpoint: string;
  readonly dtype: 'f32' | 'f16';
  readonly topk: number;
  /** Of the whole data set: how many, and a hash of all their names. */
  readonly videos: number;
  readonly dataSet: string;
  /** `I/N`. */
  readonly shard: string;
  readonly adapter: AdapterDescription;
};

/** What one clip of a video got, or all clips together where they make one answer. */
export interface ClipResult {
  /** The frames taken, counted as the decoder puts them out; those of several clips one clip after another. */
  readonly frames: readonly number[];
  /** How many classes the model holds more probable than the right one: Prec@k counts the ranks below k. */
  readonly rank: number;
  readonly topk: readonly Prediction[];
}

/** The line of one video. Without clips it says why: too short for one, or not to be decoded. */
export interface VideoResult {
  readonly index: number;
  readonly video: string;
  readonly label: number;
  readonly class: string;
  readonly clips: readonly ClipResult[];
  readonly tooShort?: string;
  readonly error?: { readonly code: string; readonly message: string };
  /** What the decoder complained of, of a video that has clips all the same. */
  readonly complaint?: string;
}

/** Counts and precision over lines. Precision is in percent, null without any clip. */
export interface Summary {
  readonly videos: number;
  readonly predicted: number;
  readonly tooShort: number;
  readonly failed: number;
  /** Predicted videos whose decoder complained of damage. */
  readonly damaged: number;
  readonly clips: number;
  readonly prec1: number | null;
  readonly prec5: number | null;
}

/** Adds up results as they come. */
export class Tally {
  #videos = 0;
  #tooShort = 0;
  #failed = 0;
  #damaged = 0;
  #clips = 0;
  #within = { one: 0, five: 0 };

  add({ clips, tooShort, error, complaint }: VideoResult): void {
    this.#videos++;
    if (tooShort !== undefined) this.#tooShort++;
    if (error) this.#failed++;
    if (complaint !== undefined) this.#damaged++;
    this.#clips += clips.length;
    this.#within.one += clips.filter(({ rank }) => rank < 1).length;
    this.#within.five += clips.filter(({ rank }) => rank < 5).length;
  }

  summary(): Summary {
    const percent = (count: number) => (this.#clips > 0 ? (100 * count) / this.#clips : null);
    return {
      videos: this.#videos,
      predicted: this.#videos - this.#tooShort - this.#failed,
      tooShort: this.#tooShort,
      failed: this.#failed,
      damaged: this.#damaged,
      clips: this.#clips,
      prec1: percent(this.#within.one),
      prec5: percent(this.#within.five),
    };
  }
}

/** `Prec@1 79.30  Prec@5 94.10`, as infer.py prints it. */
export function formatPrecision({ prec1, prec5 }: Summary): string {
  if (prec1 === null || prec5 === null) return 'no clip, so no precision';
  return `Prec@1 ${prec1.toFixed(2)}  Prec@5 ${prec5.toFixed(2)}`;
}

/** How many videos, and what became of them. */
export function formatCounts({ videos, predicted, tooShort, failed, damaged }: Summary): string {
  const ofDamaged = damaged > 0 ? ` (${damaged} of damaged files)` : '';
  const counts = [`${predicted} predicted${ofDamaged}`, `${tooShort} too short`, `${failed} failed`];
  return `${videos} ${videos === 1 ? 'video' : 'videos'}: ${counts.join(', ')}`;
}

export interface ResultsContent {
  readonly settings: RunSettings;
  readonly results: readonly VideoResult[];
  /** Bytes of the whole lines; what follows them was torn. */
  readonly bytes: number;
}

/**
 * Reads a results file; undefined when not even its first line is whole. Throws bad-input, naming the line, for what no crash leaves
 * behind.
 */
export async function readResults(path: string): Promise<ResultsContent | undefined> {
  const content = await readFile(path).catch((cause) => {
    throw new StamError('bad-input', { where: path, problem: `the file cannot be read: ${cause}`, cause });
  });
  const bytes = content.lastIndexOf(0x0a) + 1;
  if (bytes === 0) return undefined;
  const lines = content.toString('utf8', 0, bytes - 1).split('\n');
  const [settings, ...results] = lines.map((line, i) => parseLine(path, line, i));
  if (!isSettings(settings)) throw notResults(path, 1, 'the settings of a run');
  const seen = new Set<number>();
  for (const [i, result] of results.entries()) {
    if (!isResult(result)) throw notResults(path, i + 2, 'the result of a video');
    if (seen.has(result.index)) throw notResults(path, i + 2, 'a video that no line before has');
    seen.add(result.index);
  }
  return { settings, results: results.filter(isResult), bytes };
}

function parseLine(path: string, line: string, index: number): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw notResults(path, index + 1, 'a line of JSON');
  }
}

function notResults(path: string, line: number, expected: string): StamError {
  return new StamError('bad-input', {
    where: `${path}: line ${line}`,
    problem: 'this is no results file of infer, or a damaged one',
    expected,
  });
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

function isSettings(value: unknown): value is RunSettings {
  return isObject(value) && ['model', 'weights', 'dataSet', 'shard'].every((key) => typeof value[key] === 'string');
}

function isResult(value: unknown): value is VideoResult {
  if (!isObject(value) || !Number.isSafeInteger(value['index']) || !Array.isArray(value['clips'])) return false;
  return value['clips'].every((clip) => isObject(clip) && Number.isSafeInteger(clip['rank']));
}

/** What may always differ between runs whose results belong together. */
const incidental = ['adapter', 'checkpoint'];

/** Which settings two runs differ in, those of `except` aside: `frameRate: 1.6 and 3.2`. */
export function settingsDifference(a: RunSettings, b: RunSettings, except: readonly string[] = []): string | undefined {
  const [one, other]: Record<string, unknown>[] = [{ ...a }, { ...b }];
  const keys = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  const differing = keys.filter((key) => ![...incidental, ...except].includes(key) && one[key] !== other[key]);
  return differing.length > 0 ? differing.map((key) => `${key}: ${one[key]} and ${other[key]}`).join('; ') : undefined;
}

/** A results file that is being written. Each append is on disk when it resolves. */
export interface ResultsSink {
  append(results: readonly VideoResult[]): Promise<void>;
  close(): Promise<void>;
}

/** Begins a file. Throws bad-input when there is one already: results of days must not be lost to a forgotten --resume. */
export async function createResults(path: string, settings: RunSettings): Promise<ResultsSink> {
  return await openSink(path, 'wx', settings, 0);
}

/** Goes on behind the first `bytes`, what readResults() found whole; with nothing whole, from the beginning. */
export async function resumeResults(path: string, settings: RunSettings, bytes: number): Promise<ResultsSink> {
  return await openSink(path, 'r+', bytes > 0 ? undefined : settings, bytes);
}

async function openSink(
  path: string,
  flags: 'wx' | 'r+',
  settings: RunSettings | undefined,
  bytes: number,
): Promise<ResultsSink> {
  const file = await open(path, flags).catch((cause: NodeJS.ErrnoException) => {
    const exists = cause.code === 'EEXIST';
    throw new StamError('bad-input', {
      where: path,
      problem: exists ? 'the file is there already' : `the file cannot be written: ${cause.message}`,
      hint: exists ? '--resume goes on with it; or name another' : undefined,
      cause,
    });
  });
  await file.truncate(bytes);
  let end = bytes;
  const write = async (text: string) => {
    const data = Buffer.from(text);
    for (let done = 0; done < data.length; ) {
      done += (await file.write(data, done, data.length - done, end + done)).bytesWritten;
    }
    end += data.length;
    await file.datasync();
  };
  const line = (value: unknown) => `${JSON.stringify(value)}\n`;
  if (settings) await write(line(settings));
  return {
    append: (results) => write(results.map(line).join('')),
    close: () => file.close(),
  };
}
