// Two reports of `stam bench --json`, row by row: what became faster, what slower, and whether that is a regression.
import { UsageError } from '../cli/command.ts';
import { formatNumber, formatTable } from '../cli/table.ts';
import type { AdapterDescription } from '../engine/device.ts';
import type { BenchReport, BenchRow, KernelRow } from './report.ts';

/** One figure in both reports, and the second by the first in terms of speed: above 1 is faster. */
export interface Change {
  readonly before: number;
  readonly after: number;
  readonly speed: number;
}

export interface KernelChange {
  /** Name and variant. */
  readonly kernel: string;
  /** Milliseconds of all calls; undefined where a report lacks the kernel, without a speed where that cannot be told. */
  readonly ms:
    | Change
    | { readonly before: number | undefined; readonly after: number | undefined; readonly speed?: never };
}

export interface RowChange {
  /** `stam_16 batch 1 f32` */
  readonly label: string;
  readonly videosPerSecond: Change;
  /** Longest first; empty unless both reports have a profile of the row. */
  readonly kernels: readonly KernelChange[];
}

export interface Comparison {
  readonly rows: readonly RowChange[];
  /** Labels of rows that one report has and the other has not. */
  readonly unmatched: readonly string[];
}

/** Reads a report. Throws UsageError, naming it, when it is not what `stam bench --json` writes. */
export function parseReport(name: string, text: string): BenchReport {
  let report: unknown;
  try {
    report = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${name}: no JSON; ${error instanceof Error ? error.message : error}`);
  }
  const problem = problemOf(report);
  if (problem === undefined) return report as BenchReport;
  throw new UsageError(`${name}: no report of 'stam bench --json'; ${problem}`);
}

/**
 * Compares rows of the same model, batch and dtype. Throws UsageError when the adapters differ, when shaders ran unchecked for one report
 * alone, or when no row is in both.
 */
export function compareReports(before: BenchReport, after: BenchReport): Comparison {
  const differences = adapterFields.filter((field) => before.adapter[field] !== after.adapter[field]);
  if (differences.length > 0) {
    const list = differences.map((field) => `${field} '${before.adapter[field]}' and '${after.adapter[field]}'`);
    throw new UsageError(`--compare: the reports are of different adapters; got ${list.join(', ')}`);
  }
  const [uncheckedBefore, uncheckedAfter] = [before, after].map(({ unchecked = false }) => unchecked);
  if (uncheckedBefore !== uncheckedAfter) {
    const one = uncheckedAfter ? 'later' : 'earlier';
    throw new UsageError(`--compare: only the ${one} report is of unchecked shaders (--unchecked)`);
  }
  const olds = new Map(before.rows.map((row) => [labelOf(row), row]));
  const news = new Map(after.rows.map((row) => [labelOf(row), row]));
  const rows = [...olds].flatMap(([label, old]) => {
    const row = news.get(label);
    if (!row) return [];
    const videosPerSecond = change(old.videosPerSecond, row.videosPerSecond, (a, b) => b / a);
    return [{ label, videosPerSecond, kernels: compareKernels(old.kernels, row.kernels) }];
  });
  if (rows.length === 0) {
    throw new UsageError(
      `--compare: no row is in both reports; got ${[...olds.keys()].join(', ') || 'none'} and ${[...news.keys()].join(', ') || 'none'}`,
    );
  }
  const unmatched = [...olds.keys(), ...news.keys()].filter((label) => !(olds.has(label) && news.has(label)));
  return { rows, unmatched };
}

/** One line a row that lost more than `threshold` percent of its videos per second. */
export function regressions({ rows }: Comparison, threshold: number): string[] {
  return rows
    .filter(({ videosPerSecond: { speed } }) => speed < 1 - threshold / 100)
    .map(({ label, videosPerSecond: { speed } }) => `${label} is ${(100 * (1 - speed)).toFixed(1)} % slower`);
}

/** The rows, then the kernels of each row. */
export function comparisonText({ rows, unmatched }: Comparison): string {
  const right = (title: string) => ({ title, align: 'right' as const });
  const figure = (value: number | undefined) => (value === undefined ? undefined : formatNumber(value));
  const times = (speed: number | undefined) => (speed === undefined ? undefined : `${speed.toFixed(2)}x`);
  const table = formatTable(
    [{ title: 'row' }, right('videos/s before'), right('after'), right('speed')],
    rows.map(({ label, videosPerSecond: { before, after, speed } }) => [
      label,
      figure(before),
      figure(after),
      times(speed),
    ]),
  );
  const kernelTables = rows
    .filter(({ kernels }) => kernels.length > 0)
    .map(({ label, kernels }) => {
      const lines = kernels.map(({ kernel, ms }) => [kernel, figure(ms.before), figure(ms.after), times(ms.speed)]);
      return `${label}\n${formatTable([{ title: 'kernel' }, right('ms before'), right('after'), right('speed')], lines)}`;
    });
  const rest = unmatched.length > 0 ? [`in one report only: ${unmatched.join(', ')}`] : [];
  return [table, ...kernelTables, ...rest].join('\n\n');
}

function compareKernels(before: readonly KernelRow[], after: readonly KernelRow[]): KernelChange[] {
  if (before.length === 0 || after.length === 0) return [];
  const times = (rows: readonly KernelRow[]) =>
    new Map(rows.map(({ name, variant, ms }) => [`${name} ${variant}`, ms]));
  const [olds, news] = [times(before), times(after)];
  return [...new Set([...olds.keys(), ...news.keys()])]
    .map((kernel) => {
      const [a, b] = [olds.get(kernel), news.get(kernel)];
      // a timer of coarse steps may say 0, of which nothing is a multiple
      const ms = !a || !b ? { before: a, after: b } : change(a, b, (x, y) => x / y);
      return { kernel, ms };
    })
    .sort((x, y) => Math.max(y.ms.before ?? 0, y.ms.after ?? 0) - Math.max(x.ms.before ?? 0, x.ms.after ?? 0));
}

const change = (before: number, after: number, speed: (before: number, after: number) => number): Change => ({
  before,
  after,
  speed: speed(before, after),
});

const labelOf = ({ model, batch, dtype }: BenchRow) => `${model} batch ${batch} ${dtype}`;

const adapterFields = [
  'vendor',
  'architecture',
  'device',
  'description',
  'software',
] as const satisfies readonly (keyof AdapterDescription)[];

/** What keeps a value from being a report that can be compared; undefined when nothing does. */
function problemOf(report: unknown): string | undefined {
  if (!isObject(report) || !isObject(report['adapter'])) return 'it has no adapter';
  const { adapter, rows } = report;
  const missing = adapterFields.find(
    (field) => typeof adapter[field] !== (field === 'software' ? 'boolean' : 'string'),
  );
  if (missing) return `its adapter has no ${missing}`;
  if (!Array.isArray(rows)) return 'it has no rows';
  const isPositive = (value: unknown) => typeof value === 'number' && Number.isFinite(value) && value > 0;
  const isDuration = (value: unknown) => value === 0 || isPositive(value);
  const isKernel = (kernel: unknown) =>
    isObject(kernel) &&
    typeof kernel['name'] === 'string' &&
    typeof kernel['variant'] === 'string' &&
    isDuration(kernel['ms']);
  const isRow = (row: unknown) =>
    isObject(row) &&
    ['model', 'dtype'].every((field) => typeof row[field] === 'string') &&
    isPositive(row['batch']) &&
    isPositive(row['videosPerSecond']) &&
    Array.isArray(row['kernels']) &&
    row['kernels'].every(isKernel);
  const broken = rows.findIndex((row) => !isRow(row));
  return broken < 0 ? undefined : `its row ${broken} lacks a model, batch, dtype, videosPerSecond or kernels`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
