// Two programs in turn, on the same adapter: ours, theirs, ours, theirs. What slows the machine down for a while slows both.
import { StamError } from '../../engine/errors.ts';
import { median } from '../../engine/median.ts';
import { checkLogits } from '../check.ts';
import type { Driver } from './driver.ts';
import { findLibrary } from './driver.ts';
import type { Program } from './program.ts';
import { outOfTime } from './program.ts';
import type { LoadReply, LoadRequest } from './protocol.ts';
import type { ProgramRow } from './report.ts';

export interface Contest {
  readonly model: string;
  /** Logits of the official code for the video that all programs get. */
  readonly reference: Float32Array;
  /** Timed videos of each program, and whole ones before them that are not timed. */
  readonly videos: number;
  readonly warmUpVideos: number;
  /** What every program must have loaded; undefined where drivers cannot be told. */
  readonly driver: Driver | undefined;
  readonly log: (line: string) => void;
}

export interface Contestant {
  readonly program: Program;
  readonly load: LoadRequest;
  /** What it may take for one video, or to warm up; then it is ended and the limit is a lower bound of its time. */
  readonly limitMs?: number;
}

interface State extends Contestant {
  row: Omit<ProgramRow, 'msPerVideo' | 'videosPerSecond' | 'cpuMsPerVideo'>;
  readonly times: { readonly ms: number; readonly cpuMs: number }[];
}

/** Loads, warms up, runs and checks all programs. Throws when one of them fails or computes something else, or runs elsewhere. */
export async function interleave(contest: Contest, contestants: readonly Contestant[]): Promise<ProgramRow[]> {
  const states: State[] = [];
  for (const contestant of contestants) states.push(await begin(contest, contestant));
  for (let video = 1 - contest.warmUpVideos; video <= contest.videos; video++) {
    for (const state of states) {
      if (state.row.stoppedAfterMs === null) await runVideo(contest, state, video);
    }
  }
  return states.map(({ row, times }) => finish(row, times));
}

async function begin({ log, driver }: Contest, contestant: Contestant): Promise<State> {
  const { program, load, limitMs } = contestant;
  const start = performance.now();
  const loaded = await program.ask('load', load);
  if (loaded === outOfTime) throw new RangeError(`${program.name}: loading has no limit`);
  const loadMs = performance.now() - start;
  const loadedDriver = requireDriver(program.name, driver, loaded);
  log(`${program.name} ${loaded.version}: loaded in ${seconds(loadMs)}, compiling`);
  const warm = await program.ask('warmUp', {}, limitMs);
  const isOver = warm === outOfTime;
  log(
    isOver ? overLimit(program.name, 'to warm up', limitMs ?? 0) : `${program.name}: warmed up in ${seconds(warm.ms)}`,
  );
  return {
    ...contestant,
    times: [],
    row: {
      name: program.name,
      version: loaded.version,
      dtype: loaded.dtype,
      adapter: loaded.adapter ?? null,
      driver: loadedDriver ?? null,
      loadMs,
      warmUpMs: isOver ? null : warm.ms,
      maxAbsError: null,
      stoppedAfterMs: isOver ? (limitMs ?? 0) : null,
    },
  };
}

async function runVideo(contest: Contest, state: State, video: number): Promise<void> {
  const { log, videos, model, reference } = contest;
  const { program, row, limitMs } = state;
  const label = video > 0 ? `video ${video} of ${videos}` : 'a video that is not timed';
  log(`${program.name}: ${label}`);
  const result = await program.ask('run', {}, limitMs);
  if (result === outOfTime) {
    state.row = { ...row, stoppedAfterMs: limitMs ?? 0 };
    log(overLimit(program.name, 'for one video', limitMs ?? 0));
    return;
  }
  const error = checkLogits(`${program.name}: ${model}`, result.logits, { reference, storage: row.dtype });
  state.row = { ...row, maxAbsError: Math.max(error, row.maxAbsError ?? 0) };
  if (video > 0) state.times.push(result);
  log(`${program.name}: ${label}: ${seconds(result.ms)}, max error ${error.toExponential(1)}`);
}

/**
 * The library of the driver that a program was given, as found in its memory; undefined where that cannot be told. Throws no-adapter
 * when it is not there: then the program computes on something else.
 */
function requireDriver(name: string, driver: Driver | undefined, { libraries }: LoadReply): string | undefined {
  if (!driver || !libraries) return undefined;
  const found = findLibrary(driver, libraries);
  if (found !== undefined) return found;
  throw new StamError('no-adapter', {
    where: name,
    problem: 'it did not load the driver that it was given, so it would run on another adapter',
    got: libraries.filter((file) => /vulkan|vk_|GL|dri/i.test(file)).join(', ') || 'no driver at all',
    expected: driver.library,
  });
}

function finish(row: State['row'], times: State['times']): ProgramRow {
  if (row.stoppedAfterMs !== null) {
    return { ...row, msPerVideo: null, videosPerSecond: null, cpuMsPerVideo: null };
  }
  const walls = times.map(({ ms }) => ms);
  const middle = median(walls);
  return {
    ...row,
    msPerVideo: { median: middle, min: Math.min(...walls), max: Math.max(...walls), runs: walls.length },
    videosPerSecond: 1000 / middle,
    cpuMsPerVideo: median(times.map(({ cpuMs }) => cpuMs)),
  };
}

const overLimit = (name: string, what: string, limitMs: number) =>
  `${name}: ended, ${seconds(limitMs)} ${what} is the limit`;
const seconds = (ms: number) => `${(ms / 1000).toPrecision(3)} s`;
