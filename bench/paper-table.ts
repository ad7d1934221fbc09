// The paper's table with this adapter's figures in it: what was measured, what follows from it, and what the paper states.
import { formatNumber, formatTable } from '../cli/table.ts';
import type { AdapterDescription } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { median } from '../engine/median.ts';
import type { PaperFigure } from './paper.ts';
import { figureOf } from './paper.ts';

/** A row of which something ran here. */
export interface PaperRow {
  readonly model: string;
  readonly views: number;
  readonly inputFrames: number;
  /** Billions of multiply-adds of one view, counted from the plan. */
  readonly gmacsPerView: number;
  readonly dtype: StorageType;
  readonly msPerVideo: number;
  readonly videosPerSecond: number;
  /** Processor time of a video, which tells more of a software adapter on a busy machine; null on a GPU. */
  readonly processorMsPerVideo: number | null;
  /** What ran. */
  readonly measured: string;
  /** Whether the figure is of something that did not run as a whole. */
  readonly isExtrapolated: boolean;
  /** The largest logit difference to the reference: of STAM as it is, of X3D by the largest logit. Null where nothing ran. */
  readonly maxError: number | null;
}

/** What `stam bench --table paper --json` writes. */
export interface PaperReport {
  readonly version: string;
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly adapter: AdapterDescription;
  readonly rows: readonly PaperRow[];
  /** Not measured here. */
  readonly paper: readonly PaperFigure[];
}

type Ran = Pick<PaperRow, 'gmacsPerView' | 'dtype' | 'maxError'> & {
  /** Of one run. */
  readonly processorMs: number | null;
};

/** A row from the times of runs, in milliseconds, that took `perRun` views each: of whole videos, or of so few views that the others are inferred. */
export function rowOfRuns(
  model: string,
  times: readonly number[],
  perRun: number,
  { processorMs, ...ran }: Ran,
): PaperRow {
  const { views, inputFrames } = figureOf(model);
  const isWhole = times.length * perRun >= views;
  const runsPerVideo = Math.max(1, Math.round(views / perRun));
  const videos = Math.floor(times.length / runsPerVideo);
  const sumOf = (video: number) =>
    times.slice(video * runsPerVideo, (video + 1) * runsPerVideo).reduce((sum, ms) => sum + ms, 0);
  const msPerVideo = isWhole
    ? median(Array.from({ length: videos }, (_, video) => sumOf(video)))
    : (median(times) / perRun) * views;
  const counted = times.length * perRun;
  return {
    model,
    views,
    inputFrames,
    ...ran,
    msPerVideo,
    videosPerSecond: 1000 / msPerVideo,
    processorMsPerVideo: processorMs === null ? null : (processorMs / perRun) * views,
    measured: isWhole ? `${videos} ${videos === 1 ? 'video' : 'videos'}` : `${counted} of ${views} views`,
    isExtrapolated: !isWhole,
  };
}

/** A row of a STAM that did not run, from one that did: passes of 16 frames through the same kernels are nearly all of both. */
export function rowFromOther(model: string, gmacs: number, from: PaperRow): PaperRow {
  const { views, inputFrames } = figureOf(model);
  const ratio = gmacs / from.gmacsPerView;
  const msPerVideo = from.msPerVideo * ratio;
  return {
    ...from,
    model,
    views,
    inputFrames,
    gmacsPerView: gmacs,
    msPerVideo,
    videosPerSecond: 1000 / msPerVideo,
    processorMsPerVideo: from.processorMsPerVideo === null ? null : from.processorMsPerVideo * ratio,
    measured: `nothing: ${from.model} x ${ratio.toFixed(3)}`,
    isExtrapolated: true,
    maxError: null,
  };
}

/** The rows beside the paper's, and how many times as fast STAM-16 is as X3D-L, here and there. */
export function comparisonTable(rows: readonly PaperRow[]): string {
  const table = formatTable(
    [
      { title: 'model' },
      { title: 'GMAC x views', align: 'right' },
      { title: 'input frames', align: 'right' },
      { title: 'ms/video', align: 'right' },
      { title: 'videos/s', align: 'right' },
      { title: 'processor ms', align: 'right' },
      { title: 'measured' },
      { title: 'error', align: 'right' },
      { title: 'paper: top-1 %', align: 'right' },
      { title: 'paper: V100 videos/s', align: 'right' },
    ],
    rows.map((row) => {
      const { topOne, videosPerSecond } = figureOf(row.model);
      const mark = row.isExtrapolated ? '~' : '';
      return [
        `${row.model} ${row.dtype}`,
        `${row.gmacsPerView.toFixed(1)} x ${row.views}`,
        row.inputFrames,
        `${mark}${formatNumber(Math.round(row.msPerVideo))}`,
        `${mark}${row.videosPerSecond.toPrecision(3)}`,
        row.processorMsPerVideo === null ? undefined : `${mark}${formatNumber(Math.round(row.processorMsPerVideo))}`,
        row.measured,
        row.maxError === null ? undefined : row.maxError.toExponential(1),
        topOne.toFixed(1),
        videosPerSecond === undefined ? 'not given' : `${videosPerSecond}`,
      ];
    }),
  );
  const notes = [
    '~: extrapolated, of X3D by the number of views, of STAM by multiply-adds. processor ms: time of all processors for a video',
    'GMAC: multiply-adds of matrix products, attention and convolutions in one view, counted from the plan; the paper calls',
    "them GFLOPs and leaves out STAM's attention. Accuracy and the V100's videos/s are the paper's, not measured here.",
  ];
  return [table, '', ...ratioLine(rows), ...notes].join('\n');
}

function ratioLine(rows: readonly PaperRow[]): string[] {
  const [stam, x3d] = ['stam_16', 'x3d_l'].map((model) => rows.find((row) => row.model === model));
  if (!stam || !x3d) return [];
  const { processorMsPerVideo: less } = stam;
  const { processorMsPerVideo: more } = x3d;
  const byProcessor = less && more ? ` (${(more / less).toFixed(1)} by processor time)` : '';
  const here = `${(stam.videosPerSecond / x3d.videosPerSecond).toFixed(1)} here${byProcessor}`;
  const paper = (figureOf('stam_16').videosPerSecond ?? 0) / (figureOf('x3d_l').videosPerSecond ?? 1);
  return [`STAM-16 : X3D-L in videos/s: ${here}, ${paper.toFixed(1)} in the paper (20 / 0.46)`];
}
