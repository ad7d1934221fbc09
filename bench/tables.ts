// A report as text.
import { formatBytes, formatNumber, formatTable } from '../cli/table.ts';
import { paperFigures } from './paper.ts';
import type { BenchRow, KernelRow } from './report.ts';

const percent = (fraction: number) => `${(100 * fraction).toFixed(1)} %`;
const figure = (value: number) => (value >= 100 ? formatNumber(Math.round(value)) : value.toPrecision(3));

/** One line a model. */
export function benchTable(rows: readonly BenchRow[]): string {
  return table(
    [
      'model',
      'frames',
      'batch',
      'dtype',
      'videos/s',
      'ms/video (min-max)',
      'GFLOP/video',
      'GFLOP/s',
      'of ceiling',
      'peak memory',
      'max error',
    ],
    rows.map((row) => [
      row.model,
      `${row.frames}`,
      `${row.batch}`,
      row.dtype,
      figure(row.videosPerSecond),
      `${figure(row.msPerVideo.median)} (${figure(row.msPerVideo.min)}-${figure(row.msPerVideo.max)})`,
      row.gflopPerVideo.toFixed(1),
      figure(row.gflopPerSecond),
      percent(row.fractionOfCeiling),
      formatBytes(row.peakBytes),
      row.maxAbsError === null ? 'no reference' : row.maxAbsError.toExponential(1),
    ]),
  );
}

/** One line a kernel variant, the longest first: `of ceiling` is of the ceiling that it is nearer to, and `bound` says which. */
export function kernelTable(kernels: readonly KernelRow[]): string {
  const total = kernels.reduce((sum, { ms }) => sum + ms, 0);
  return table(
    ['kernel', 'variant', 'calls', 'ms', 'share', 'GFLOP/s', 'GB/s', 'of ceiling', 'bound'],
    kernels.map(({ name, variant, calls, ms, gflops, unit, fraction, gbps, fractionOfBandwidth }) => [
      name,
      variant,
      `${calls}`,
      ms.toFixed(1),
      percent(ms / total),
      figure(gflops),
      figure(gbps),
      percent(Math.max(fraction, fractionOfBandwidth)),
      fraction >= fractionOfBandwidth ? unit : 'memory',
    ]),
  );
}

/** What stands between the start of a program and its first result. */
export function coldStart({ model, uploadMs, compileMs, tuneMs, firstVideoMs, pipelines }: BenchRow): string {
  const ms = (value: number) => formatNumber(Math.round(value));
  const stages = `upload ${ms(uploadMs)}, compile ${ms(compileMs)} (overlapping), tune ${ms(tuneMs)}`;
  return `${model} cold start: ${stages}, first logits ${ms(firstVideoMs)} ms; ${pipelines} pipelines`;
}

/** The paper's figures, marked as such. */
export function paperTable(): string {
  const rows = paperFigures.map(({ model, topOne, videosPerSecond }) => [
    model,
    videosPerSecond === undefined ? 'not given' : `${videosPerSecond}`,
    `${topOne}`,
  ]);
  return `the paper, on a V100 in mixed precision (not measured here)\n${table(['model', 'videos/s', 'top-1 %'], rows)}`;
}

/** Text columns are the first; figures with units are aligned right like numbers. */
function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const isText = (title: string) => ['model', 'kernel', 'variant', 'dtype', 'bound'].includes(title);
  return formatTable(
    titles.map((title) => ({ title, align: isText(title) ? 'left' : 'right' })),
    rows,
  );
}
