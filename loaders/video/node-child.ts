// One run of another program, in Node: bounded in time, in what is kept of its output, and never left behind.
import { type ChildProcess, spawn } from 'node:child_process';
import { StamError, throwIfAborted } from '../../engine/errors.ts';

export interface ChildOptions {
  signal?: AbortSignal | undefined;
  /** Milliseconds until the program is stopped, from 1 to `maxTimeoutMs`. */
  timeoutMs: number;
  /** Takes what the program writes to stdout. What it throws stops the program, and the run rejects with that. */
  onOutput(chunk: Uint8Array): void;
  /** Takes each line of stderr, without the addresses that ffmpeg puts into it. */
  onComplaint?: ((line: string) => void) | undefined;
}

export interface ChildEnd {
  /** Whether it ended by itself with exit status 0. */
  readonly ok: boolean;
  readonly timedOut: boolean;
  /** How it ended, for messages: `exit status 1`, `killed by SIGSEGV`. */
  readonly status: string;
  /** The last lines of stderr that say anything, without repetitions; empty when there were none. */
  readonly complaint: string;
}

/** What runs now: it goes with this process, however that ends. One listener for all, for Node warns of many. */
const children = new Set<ChildProcess>();

function killAll(): void {
  for (const child of children) child.kill('SIGKILL');
}

/** The longest time that Node's timers know; they take a longer one for 1 ms. */
const maxTimeoutMs = 2 ** 31 - 1;

/** Milliseconds between the request to end and the kill. */
const graceMs = 2000;
const maxLineLength = 400;
const keptLines = 2;

/**
 * Runs `program` with `args`, as they are: there is no shell. Settles only when the program is gone.
 * Rejects with the signal's reason once that is aborted, with what `onOutput` threw, with bad-video when the system has no room for another program
 * now, and with Node's error when it cannot be started at all.
 * Throws bad-input for a timeout that no timer can keep.
 */
export async function runChild(program: string, args: readonly string[], options: ChildOptions): Promise<ChildEnd> {
  const { signal, timeoutMs, onOutput } = options;
  throwIfAborted(signal);
  if (!(timeoutMs >= 1 && timeoutMs <= maxTimeoutMs)) {
    const expected = `1 to ${maxTimeoutMs} ms`;
    throw new StamError('bad-input', { where: 'timeoutMs', problem: 'no such timeout', got: `${timeoutMs}`, expected });
  }
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    windowsHide: true,
    env: { ...process.env, AV_LOG_FORCE_NOCOLOR: '1' },
  });
  let timedOut = false;
  let failure: { error: unknown } | undefined;
  let killTimer: NodeJS.Timeout | undefined;

  const stop = () => {
    child.kill();
    killTimer ??= setTimeout(() => child.kill('SIGKILL'), graceMs);
  };
  const timer = setTimeout(() => {
    timedOut = true;
    stop();
  }, timeoutMs);
  signal?.addEventListener('abort', stop, { once: true });
  if (children.size === 0) process.on('exit', killAll);
  children.add(child);

  // without descriptors left there are no pipes: all that is to come is the error
  child.stdout?.on('data', (chunk: Buffer) => {
    if (failure) return; // read on all the same: a program that cannot write might not end
    try {
      onOutput(chunk);
    } catch (error) {
      failure = { error };
      stop();
    }
  });
  const complaints = new Complaints(options.onComplaint);
  child.stderr?.setEncoding('utf8').on('data', (text: string) => complaints.add(text));

  try {
    const status = await new Promise<string>((resolve, reject) => {
      child.once('error', (error) => {
        // one that runs reports only that it could not be signalled: its end is still to come
        if (child.pid === undefined) reject(startFailure(program, error));
      });
      child.once('close', (code, killedBy) => resolve(killedBy ? `killed by ${killedBy}` : `exit status ${code}`));
    });
    complaints.end();
    throwIfAborted(signal);
    if (failure) throw failure.error;
    return { ok: status === 'exit status 0' && !timedOut, timedOut, status, complaint: complaints.summary() };
  } finally {
    clearTimeout(timer);
    clearTimeout(killTimer);
    signal?.removeEventListener('abort', stop);
    children.delete(child);
    if (children.size === 0) process.off('exit', killAll);
  }
}

/** What the system lacks at this moment only: descriptors, processes, memory. The next run may have them. */
const shortages = ['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM'];

function startFailure(program: string, error: NodeJS.ErrnoException): Error {
  if (!shortages.includes(error.code ?? '')) return error;
  return new StamError('bad-video', {
    where: program,
    problem: `the program cannot be started: ${error.message}`,
    hint: 'the system is out of open files, processes or memory: raise its limits (ulimit -n, ulimit -u), or run fewer at a time',
    cause: error,
  });
}

/** Lines of stderr as they come, of which the last few are kept. */
class Complaints {
  private readonly onLine: ((line: string) => void) | undefined;
  private rest = '';
  private kept: string[] = [];

  constructor(onLine: ((line: string) => void) | undefined) {
    this.onLine = onLine;
  }

  add(text: string): void {
    const lines = (this.rest + text).split(/[\r\n]+/);
    this.rest = (lines.pop() ?? '').slice(0, maxLineLength);
    for (const line of lines) this.keep(line);
  }

  end(): void {
    this.keep(this.rest);
  }

  summary(): string {
    return this.kept.join(', ');
  }

  private keep(raw: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a file's own texts may hold what a terminal would obey
    const printable = raw.slice(0, maxLineLength).replace(/[\u0000-\u001f\u007f-\u009f\s]+/g, ' ');
    const line = printable.replace(/ @ 0x[0-9a-f]+(?=\])/g, '').trim();
    if (line === '') return;
    this.onLine?.(line);
    this.kept = [...this.kept.filter((other) => other !== line), line].slice(-keptLines);
  }
}
