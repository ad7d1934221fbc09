// What a comparison with peers reports, as JSON and as text.
import { formatTable } from '../../cli/table.ts';
import type { AdapterDescription } from '../../engine/device.ts';
import { formatAdapter } from '../../engine/device.ts';
import type { StorageType } from '../../engine/dtype.ts';

/** One program. Times are in milliseconds. */
export interface ProgramRow {
  readonly name: string;
  readonly version: string;
  readonly dtype: StorageType;
  /** As the program tells it; null when it does not. */
  readonly adapter: AdapterDescription | null;
  /** The driver's library, as found in the program's memory; null where the system does not show it. */
  readonly driver: string | null;
  readonly loadMs: number;
  /** Null when it did not end within the limit. */
  readonly warmUpMs: number | null;
  readonly msPerVideo: {
    readonly median: number;
    readonly min: number;
    readonly max: number;
    readonly runs: number;
  } | null;
  readonly videosPerSecond: number | null;
  /** Median processor time of all threads: on a software adapter what a busy machine does not change. */
  readonly cpuMsPerVideo: number | null;
  /** Largest |logit difference| to the official code over all its videos. */
  readonly maxAbsError: number | null;
  /** The limit, when the program was ended for it; null when it finished all its videos. */
  readonly stoppedAfterMs: number | null;
}

export interface PeerReport {
  /** Of this project. */
  readonly version: string;
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly adapter: AdapterDescription;
  /** How the programs were held to the adapter, in words. */
  readonly pinning: string;
  readonly model: string;
  /** Whole videos of each before the timed ones; with none, only one layer of each transformer ran before. */
  readonly warmUpVideos: number;
  /** This engine first. */
  readonly programs: readonly ProgramRow[];
  /** The peer's time by this engine's. */
  readonly ratio: Ratio;
}

export interface Ratio {
  readonly value: number;
  /** Whether the peer did not finish, so that the value can only be larger. */
  readonly isLowerBound: boolean;
}

/** How many times as long the peer takes for a video. Throws RangeError unless this engine, which has no limit, has finished. */
export function ratioOf(ours: ProgramRow, theirs: ProgramRow): Ratio {
  if (!ours.msPerVideo) throw new RangeError(`${ours.name}: no time to compare with`);
  const theirMs = theirs.msPerVideo?.median ?? theirs.stoppedAfterMs ?? 0;
  return { value: theirMs / ours.msPerVideo.median, isLowerBound: theirs.msPerVideo === null };
}

/** Table, ratio, and what the times are. */
export function peerTable({ adapter, pinning, model, programs, ratio, warmUpVideos }: PeerReport): string {
  const table = formatTable(
    [
      { title: 'program' },
      { title: 'driver in memory' },
      { title: 'dtype' },
      ...['videos', 'ms/video (min-max)', 'videos/s', 'CPU ms/video', 'max error'].map((title) => ({
        title,
        align: 'right' as const,
      })),
    ],
    programs.map(
      ({ name, version, driver, dtype, msPerVideo, videosPerSecond, cpuMsPerVideo, maxAbsError, stoppedAfterMs }) => [
        `${name} ${version}`,
        driver ?? undefined,
        dtype,
        `${msPerVideo?.runs ?? 0}`,
        msPerVideo
          ? `${figure(msPerVideo.median)} (${figure(msPerVideo.min)}-${figure(msPerVideo.max)})`
          : `did not finish in ${figure(stoppedAfterMs ?? 0)}`,
        videosPerSecond?.toPrecision(3),
        cpuMsPerVideo === null ? undefined : figure(cpuMsPerVideo),
        maxAbsError?.toExponential(1),
      ],
    ),
  );
  const [ours, theirs] = programs;
  const factor = `${ratio.isLowerBound ? 'at least ' : ''}${ratio.value.toPrecision(3)} times`;
  const before =
    warmUpVideos > 0
      ? `${warmUpVideos} videos of each ran before, not timed`
      : 'before it, not timed, this engine compiled its kernels and the peer ran one layer of each transformer, whose shaders it keeps';
  return [
    `${model} on ${formatAdapter(adapter)}; ${pinning}`,
    table,
    `a time is from frames in memory to logits in memory; ${before}`,
    ...(programs.some(({ msPerVideo }) => msPerVideo?.runs === 1) ? [once] : []),
    `${theirs.name} takes ${factor} as long as ${ours.name}`,
  ].join('\n');
}

const once =
  'one video of each: other work on this machine may have met one of them only; CPU ms tells on a software adapter';
const figure = (ms: number) => (ms >= 1000 ? Math.round(ms).toLocaleString('en-US') : ms.toPrecision(3));
