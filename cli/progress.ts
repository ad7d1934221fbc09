// How far long work has come: a bar that redraws itself on a terminal, one line per 10 % anywhere else.
import { formatBytes, formatDuration, formatNumber, printable } from './table.ts';

/** The part of process.stderr that a bar needs. */
export interface ProgressStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Where a bar writes and how it tells the time. */
export interface ProgressOptions {
  readonly stream: ProgressStream;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** How much was done before the bar began, so that the rate is that of this run. */
  readonly begin?: number;
}

/** A bar that is running. After `finish` or `fail` nothing changes it any more. */
export interface Progress {
  /** `done` of the total, in all; `note` says what is being worked on. */
  update(done: number, note?: string): void;
  /** Everything is done: leaves one line with the time it took. */
  finish(): void;
  /** Stopped before the end: leaves one line with how far it came. */
  fail(): void;
  /** Takes the bar off the terminal's line, so that another line can be written; the next update draws it again. */
  clear(): void;
}

/** Milliseconds between two drawings. */
const drawInterval = 100;
const barCells = 20;
const eraseLine = '\r\x1b[2K';

/** Begins a bar. `unit` is a plural noun, or 'bytes'. */
export function progress(label: string, total: number, unit: string, options: ProgressOptions): Progress {
  const { stream, now, begin = 0 } = options;
  const started = now();
  const onTerminal = stream.isTTY === true;
  let done = begin;
  let note = '';
  let lastStep = partsDone(10);
  let drawnAt = Number.NEGATIVE_INFINITY;
  let isDrawn = false;
  let isOpen = true;

  /** How many of `parts` equal parts are done. Multiplies first, since 0.29 * 100 is less than 29. */
  function partsDone(parts: number): number {
    return total > 0 ? Math.min(parts, Math.max(0, Math.floor((done * parts) / total))) : parts;
  }

  /** Units per millisecond in this run; 0 as long as nothing can be said. */
  function rate(): number {
    const elapsed = now() - started;
    return elapsed > 0 ? Math.max(0, done - begin) / elapsed : 0;
  }

  function rateText(): string {
    const perSecond = rate() * 1000;
    if (perSecond === 0) return '';
    return unit === 'bytes'
      ? `${formatBytes(perSecond)}/s`
      : `${formatNumber(Number(perSecond.toPrecision(3)))} ${unit}/s`;
  }

  function status(): string[] {
    const left = rate() > 0 ? `${timeLeft((total - done) / rate())} left` : '';
    return [percent(), amountOf(done, total, unit), rateText(), left, note].filter(Boolean);
  }

  function percent(): string {
    return `${partsDone(100)} %`;
  }

  function draw(): void {
    const filled = partsDone(barCells);
    const bar = `[${'='.repeat(filled)}${' '.repeat(barCells - filled)}]`;
    const line = [label, bar, percent().padStart(5), ...status().slice(1)].join('  ');
    // a line that fills the last column wraps, and a wrapped line cannot be erased; a terminal of no known width says 0
    stream.write(eraseLine + line.slice(0, (stream.columns || 80) - 1));
    drawnAt = now();
    isDrawn = true;
  }

  function clear(): void {
    if (!isDrawn) return;
    stream.write(eraseLine);
    isDrawn = false;
    drawnAt = Number.NEGATIVE_INFINITY;
  }

  function end(summary: () => string[]): void {
    if (!isOpen) return;
    clear();
    isOpen = false;
    stream.write(`${label}: ${summary().filter(Boolean).join(', ')}\n`);
  }

  if (onTerminal) draw();
  return {
    clear,
    update(count, text = '') {
      if (!isOpen) return;
      done = count;
      note = printable(text);
      if (onTerminal) {
        if (now() - drawnAt >= drawInterval) draw();
        return;
      }
      const step = partsDone(10);
      // the line of 100 % is that of `finish`
      if (step > lastStep && step < 10) stream.write(`${label}: ${status().join(', ')}\n`);
      lastStep = Math.max(step, lastStep);
    },
    finish() {
      done = Math.max(done, total);
      const took = `in ${formatDuration(now() - started)}`;
      end(() => ['100 %', amount(done, unit), took, rateText()]);
    },
    fail() {
      end(() => [`stopped at ${percent()}`, amountOf(done, total, unit)]);
    },
  };
}

/** A guess, so no finer than a second. */
function timeLeft(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  return seconds < 60 ? `${seconds} s` : formatDuration(seconds * 1000);
}

function amount(count: number, unit: string): string {
  return unit === 'bytes' ? formatBytes(count) : `${formatNumber(count)} ${unit}`;
}

function amountOf(done: number, total: number, unit: string): string {
  return unit === 'bytes'
    ? `${formatBytes(done)} of ${formatBytes(total)}`
    : `${formatNumber(done)} of ${amount(total, unit)}`;
}
