// The report of the kernel laboratory as text.
import { formatNumber, formatTable } from '../cli/table.ts';
import type { KernelReport, KernelResult } from './kernel-report.ts';

/** Three digits, whatever the size: an adapter's figures may be a thousandth of another's. */
const figure = (value: number) =>
  value >= 1000 ? formatNumber(Math.round(value)) : String(Number(value.toPrecision(3)));
const tera = (gflops: number) => figure(gflops / 1000);

/** A table for each problem, the fastest kernel first; `>` marks the choice of the rules, `~` what was extrapolated from a part. */
export function kernelTables(rows: readonly KernelResult[]): string {
  const problems = new Map<string, KernelResult[]>();
  for (const row of rows) {
    const key = `${row.operator} ${row.problem} ${row.calls} ${row.flops}`;
    problems.set(key, [...(problems.get(key) ?? []), row]);
  }
  return [...problems.values()].map(problemTable).join('\n\n');
}

function problemTable(rows: readonly KernelResult[]): string {
  const [{ operator, problem, models, calls, flops, bytes }] = rows;
  const work = `${figure(flops / 1e9)} GFLOP, ${figure(bytes / 1e6)} MB, ${calls} ${calls === 1 ? 'call' : 'calls'} of ${models.join(', ')}`;
  const parts = rows.flatMap(({ part }) => (part === null || part === 1 ? [] : [part]));
  const range = [Math.min(...parts), Math.max(...parts)].map((part) => figure(100 * part));
  const part = parts.length > 0 ? [`~ extrapolated from ${[...new Set(range)].join(' to ')} % of the work`] : [];
  const right = (title: string) => ({ title, align: 'right' as const });
  const columns = [
    { title: '' },
    { title: 'kernel' },
    { title: 'tile' },
    right('ms'),
    right('TFLOP/s'),
    right('GB/s'),
    right('of ceiling'),
    { title: 'which is' },
    right('error'),
    { title: 'status' },
  ];
  const lines = rows.map((row) => [
    row.chosen ? '>' : '',
    row.kernel,
    row.tile ?? undefined,
    row.ms === null ? undefined : `${row.part === 1 ? '' : '~'}${figure(row.ms)}`,
    row.gflops === null ? undefined : tera(row.gflops),
    row.gbps === null ? undefined : figure(row.gbps),
    row.share === null ? undefined : `${(100 * row.share).toFixed(1)} %`,
    ceilingText(row),
    row.error === null ? undefined : row.error.toExponential(1),
    row.status,
  ]);
  return [`${operator} ${problem}`, [work, ...part].join('; '), formatTable(columns, lines)].join('\n');
}

/** `0.612 TFLOP/s matrix f16` */
function ceilingText({ unit, ceiling }: KernelResult): string {
  if (ceiling === null) return `not measured, ${unit}`;
  return unit === 'memory' ? `${figure(ceiling)} GB/s memory` : `${tera(ceiling)} TFLOP/s ${unit}`;
}

/** What was measured of the adapter itself: a line for each unit. */
export function ceilingLines({ ceilings }: Pick<KernelReport, 'ceilings'>): string {
  const { gflops, gbps, halvesGflops, workgroupGbps, writeBufferGbps, mappedPoolGbps, dispatchMicroseconds } = ceilings;
  const rows = [
    ['multiply-adds in f32', `${tera(gflops)} TFLOP/s`],
    ['multiply-adds in f16', halvesGflops === null ? undefined : `${tera(halvesGflops)} TFLOP/s`],
    ...ceilings.matrices.map(({ component, m, n, k, accumulators, gflops: rate }) => [
      `matrices of ${component}, ${m}x${n}x${k}, ${accumulators} sums`,
      `${tera(rate)} TFLOP/s`,
    ]),
    ['copying in memory', `${figure(gbps)} GB/s`],
    ['workgroup memory, rows of five chunks', `${figure(workgroupGbps.padded)} GB/s`],
    ['workgroup memory, rows of four chunks', `${figure(workgroupGbps.unpadded)} GB/s`],
    ['queue.writeBuffer', `${figure(writeBufferGbps)} GB/s`],
    ['two mapped buffers in turn', `${figure(mappedPoolGbps)} GB/s`],
    ['a dispatch that computes nothing', `${figure(dispatchMicroseconds)} us`],
  ];
  return formatTable([{ title: 'ceiling of' }, { title: 'measured', align: 'right' }], rows);
}

/** What was not reached, by name: it must not look as if it were not there. */
export function unreachedText(rows: readonly KernelResult[]): string | undefined {
  const left = rows.filter(({ status }) => status.startsWith('not reached'));
  if (left.length === 0) return undefined;
  const names = [...new Set(left.map(({ operator, kernel }) => `${operator} by ${kernel}`))];
  return `not reached, ${left.length} of ${rows.length}: ${names.join('; ')}`;
}
