// npm run fuzz -- [--inputs N] [--seconds N] [--seed N] [--first INDEX]
// Prints how the inputs ended. A failure is written to a file, with the arguments that bring it back; exit 1.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { FuzzFailure, fuzz } from './fuzz.ts';

/** After so long on one input it hangs. */
const hangMilliseconds = 30_000;

interface Orders {
  readonly inputs: number;
  readonly seconds: number;
  readonly seed: number;
  readonly first: number;
  /** The index of the present input. */
  readonly progress: Int32Array<SharedArrayBuffer>;
}

const write = (line: string) => process.stdout.write(`${line}\n`);

if (isMainThread) watch();
else await work(workerData);

/** A thread that hangs cannot say so itself. */
function watch(): void {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { inputs: text, seconds: text, seed: text, first: text } });
  const count = (value: string | undefined, otherwise: number) => {
    const number = Number(value ?? otherwise);
    if (!Number.isInteger(number) || number < 0) throw new RangeError(`'${value}' is no count`);
    return number;
  };
  const progress = new Int32Array(new SharedArrayBuffer(4));
  const orders: Orders = {
    inputs: count(values.inputs, 200_000),
    seconds: count(values.seconds, 600),
    seed: count(values.seed, 1),
    first: count(values.first, 0),
    progress,
  };
  const worker = new Worker(new URL(import.meta.url), { workerData: orders });
  let last = -1;
  const timer = setInterval(() => {
    const index = Atomics.load(progress, 0);
    if (index === last) {
      write(`seed ${orders.seed}, index ${index}: has not ended after ${hangMilliseconds / 1000} s`);
      process.exit(1);
    }
    last = index;
  }, hangMilliseconds);
  worker.on('error', (error) => {
    write(String(error.stack));
    process.exitCode = 1;
  });
  worker.on('exit', (code) => {
    clearInterval(timer);
    if (code !== 0) process.exitCode = 1;
  });
}

async function work({ progress, ...options }: Orders): Promise<void> {
  const begin = performance.now();
  try {
    const report = await fuzz({
      ...options,
      maxMilliseconds: 1000,
      onInput: (index) => Atomics.store(progress, 0, index),
    });
    const seconds = (performance.now() - begin) / 1000;
    write(`seed ${options.seed}: ${report.inputs} inputs in ${seconds.toFixed(0)} s`);
    for (const [outcome, count] of [...report.outcomes].sort((a, b) => b[1] - a[1])) {
      write(`${String(count).padStart(9)}  ${outcome}`);
    }
    write(
      `slowest input ${report.slowestMilliseconds.toFixed(0)} ms, memory grew by ${(report.grownBytes / 1e6).toFixed(0)} MB`,
    );
  } catch (error) {
    if (!(error instanceof FuzzFailure)) throw error;
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'stam-fuzz-')), `input-${options.seed}-${error.index}`);
    writeFileSync(file, error.bytes);
    const cause = error.cause instanceof Error ? `\n${error.cause.stack}` : '';
    write(`${error.message}${cause}\nthe input: ${file}`);
    write(`again: npm run fuzz -- --seed ${options.seed} --first ${error.index} --inputs 1`);
    process.exitCode = 1;
  }
}
