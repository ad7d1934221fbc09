// Times whole runs of any network, and nothing else of it: the result is checked before a time is reported.
import type { StorageType } from '../engine/dtype.ts';
import type { Program } from '../engine/program.ts';
import type { Outputs } from '../engine/read-back.ts';
import { unit } from '../loaders/synthetic.ts';
import { checkLogits } from './check.ts';
import { gmacsOf } from './gmacs.ts';
import { repeat } from './harness.ts';
import { timeInTurn } from './time-in-turn.ts';

/** A network on a device. */
export interface Runnable {
  readonly storage: StorageType;
  program(inputs: number): Promise<Program>;
  run(
    frames: Float32Array<ArrayBuffer>,
    options: { readonly signal: AbortSignal; readonly onProgress: TimedRuns['onRun'] },
  ): Promise<Outputs>;
  dispose(): void;
}

export interface TimedRuns {
  /** For messages. */
  readonly model: string;
  /** Float32 elements of what goes in once: a view of X3D, all frames of STAM. */
  readonly inputElements: number;
  /** Inputs of one run. */
  readonly perRun: number;
  /** Timed runs, and whole runs before the first of them. */
  readonly runs: number;
  readonly warmUps: number;
  /** Logits [classes] for one input of synthetic frames of seed 1. */
  readonly reference: Float32Array;
  /** Whether differences to it are taken relative to its largest. */
  readonly relative: boolean;
  readonly signal: AbortSignal;
  readonly onRun: (done: number, total: number) => void;
}

export interface TimedResult {
  readonly storage: StorageType;
  /** Billions of multiply-adds for one input. */
  readonly gmacs: number;
  /** Milliseconds of each run, from one result to the next. */
  readonly times: readonly number[];
  /** Milliseconds of this process' processors for one run, the mean of all: on a software adapter, what the network costs however busy the machine is. */
  readonly processorMs: number;
  /** The largest difference to the reference in all runs. */
  readonly error: number;
}

/** Warms up, runs and checks. Throws bad-input when the logits are wrong. The network stays the caller's. */
export async function timeRuns(network: Runnable, options: TimedRuns): Promise<TimedResult> {
  const { model, inputElements, perRun, runs, warmUps, reference, relative, signal, onRun } = options;
  const { storage } = network;
  const frames = repeat(unit(1, 'frames', inputElements), perRun);
  const program = await network.program(perRun);
  await program.warmUp();
  let error = 0;
  const processor = process.cpuUsage();
  const times = await timeInTurn(
    warmUps + runs,
    () => network.run(frames, { signal, onProgress: onRun }),
    (outputs) => {
      const logits = outputs.get('logits') ?? new Float32Array();
      error = Math.max(error, checkLogits(model, logits, { reference, storage, relative }));
    },
  );
  const { user, system } = process.cpuUsage(processor); // microseconds
  const processorMs = (user + system) / 1000 / times.length;
  return { storage, gmacs: gmacsOf(program.plan) / perRun, times: times.slice(warmUps), processorMs, error };
}
