// Measures one model on one device: the result is checked before a time is reported.
import type { Device } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { StamError } from '../engine/errors.ts';
import { kernelLabel } from '../engine/kernel.ts';
import { median } from '../engine/median.ts';
import type { Plan } from '../engine/plan.ts';
import type { Timing } from '../engine/profiler.ts';
import { Profiler, summarize } from '../engine/profiler.ts';
import type { Program } from '../engine/program.ts';
import type { Outputs } from '../engine/read-back.ts';
import type { TextStore } from '../engine/text-store.ts';
import type { TuneMode } from '../engine/tuning.ts';
import type { Checkpoint } from '../loaders/checkpoint.ts';
import { unit } from '../loaders/synthetic.ts';
import type { StamConfig } from '../model/config.ts';
import type { LoadProgress } from '../model/network.ts';
import type { DType } from '../model/planner.ts';
import { StamModel } from '../model/stam-model.ts';
import { checkLogits } from './check.ts';
import { gmacsOf } from './gmacs.ts';
import type { UnitCeilings } from './kernel-units.ts';
import { arithmeticCeiling, arithmeticUnitOf, ceilingOf } from './kernel-units.ts';
import type { BenchRow, KernelRow } from './report.ts';
import { timeInTurn } from './time-in-turn.ts';

export interface Measurement {
  readonly model: string;
  readonly config: StamConfig;
  readonly checkpoint: Checkpoint;
  readonly dtype: DType;
  readonly tune: TuneMode;
  /** V: videos of one run. */
  readonly batch: number;
  /** Timed runs; each takes `batch` videos. */
  readonly runs: number;
  /** Whole runs before the first timed one, at least; with any, for half a second at least. With none, every pipeline is compiled all the same. */
  readonly warmUps: number;
  readonly ceilings: UnitCeilings;
  /** Logits [classes] of the official code for one video of synthetic frames of seed 1, if these weights have any. */
  readonly reference: Float32Array | undefined;
  readonly signal: AbortSignal;
  readonly onLoad: (progress: LoadProgress) => void;
  readonly onNotice: (text: string) => void;
  readonly onRun: (done: number, total: number) => void;
  /** Where tunings are kept; by default where this environment keeps such things. */
  readonly tuningStore?: TextStore | undefined;
}

/** A GPU that was idle takes so long to raise its clock: an H200 from 345 to 1980 MHz. */
const leastWarmUpMs = 500;

/** Loads, warms up, runs and checks. Also returns the times of single kernels, if the device can tell them. */
export async function measure(
  device: Device,
  measurement: Measurement,
): Promise<{ row: BenchRow; timings: readonly Timing[] }> {
  const { config, checkpoint, batch, runs, warmUps, signal, onRun: onProgress } = measurement;
  device.memory.resetPeak();
  const pipelinesBefore = device.pipelines.size;
  const begin = performance.now();
  const { dtype, tune, onLoad, onNotice, tuningStore } = measurement;
  const options = { dtype, tune, videos: batch, signal, onProgress: onLoad, onNotice, tuningStore };
  const stam = await StamModel.load(device, config, checkpoint, options);
  const loadMs = performance.now() - begin;
  const frames = repeat(unit(1, 'frames', config.frames * 3 * config.imageSize ** 2), batch);
  const program = await stam.program(batch);

  const cold = performance.now();
  await program.warmUp();
  const warmUpMs = performance.now() - cold;
  const canProfile = device.capabilities.features.has('timestamp-query');
  // one run of a software adapter takes minutes: there the timed run is profiled too, which costs a pass per kernel
  const profileTimedRun = warmUps === 0;
  const times: number[] = [];
  let timings: readonly Timing[] = [];
  let error: number | null = null;
  const check = (outputs: Outputs) => {
    error = errorOf(measurement, stam.storage, outputs.get('logits') ?? new Float32Array());
  };
  const runProfiled = async () => {
    const profiler = canProfile ? new Profiler(device) : undefined;
    try {
      check(await stam.run(frames, { signal, onProgress, profiler }));
      if (profiler) timings = await profiler.finish();
    } finally {
      profiler?.dispose();
    }
  };
  if (profileTimedRun) {
    const start = performance.now();
    await runProfiled();
    times.push(performance.now() - start);
  }
  const runInTurn = (count: number) => timeInTurn(count, () => stam.run(frames, { signal, onProgress }), check);
  const warmUntil = performance.now() + (warmUps > 0 ? leastWarmUpMs : 0);
  const warming: number[] = [];
  while (warming.length < warmUps || performance.now() < warmUntil) warming.push(...(await runInTurn(warmUps)));
  times.push(...(await runInTurn(runs - times.length)));
  if (!profileTimedRun && canProfile) await runProfiled();
  const timed = times.map((ms) => ms / batch);
  const { plan } = program;
  const { weightBytes } = stam;
  const peakBytes = device.memory.statistics().peak;
  const encodeMs = timeEncoding(device, program);
  stam.dispose();

  const middle = median(timed);
  const gflopPerVideo = (2 * gmacsOf(plan)) / batch;
  const gflopPerSecond = (gflopPerVideo / middle) * 1000;
  const row: BenchRow = {
    model: measurement.model,
    frames: config.frames,
    batch,
    dtype: stam.storage,
    videosPerSecond: 1000 / middle,
    msPerVideo: { median: middle, min: Math.min(...timed), max: Math.max(...timed), runs: timed.length },
    gflopPerVideo,
    gflopPerSecond,
    fractionOfCeiling: gflopPerSecond / arithmeticCeiling(stam.storage, measurement.ceilings),
    weightBytes,
    peakBytes,
    loadMs,
    uploadMs: stam.loadTimes.uploadMs,
    compileMs: stam.loadTimes.compileMs,
    pipelines: device.pipelines.size - pipelinesBefore,
    tuneMs: stam.loadTimes.tuneMs,
    tuning: { origin: stam.tuning.origin, problems: stam.tuning.tuning?.problems ?? [] },
    firstVideoMs: warmUpMs + [...warming, ...times][0],
    encodeMs,
    maxAbsError: error,
    kernels: kernelRows(timings, plan, measurement.ceilings),
  };
  return { row, timings };
}

/** Sums of a profiled run by kernel, each beside the ceiling of its own unit. */
function kernelRows(timings: readonly Timing[], { commands }: Plan, ceilings: UnitCeilings): KernelRow[] {
  const kernels = commands.flatMap((command) => (command.kind === 'dispatch' ? [command.kernel] : []));
  const units = new Map(kernels.map((kernel) => [kernelLabel(kernel), arithmeticUnitOf(kernel)]));
  return summarize(timings).map(({ name, variant, calls, ms, flops, bytes }) => {
    const unit = units.get(`${name} ${variant}`) ?? 'f32';
    const [gflops, gbps] = [flops / ms / 1e6, bytes / ms / 1e6];
    const fraction = gflops / (ceilingOf(unit, ceilings) ?? ceilings.basic.gflops);
    return { name, variant, calls, ms, gflops, unit, fraction, gbps, fractionOfBandwidth: gbps / ceilings.basic.gbps };
  });
}

/** One video, `batch` times. */
export function repeat(video: Float32Array<ArrayBuffer>, batch: number): Float32Array<ArrayBuffer> {
  const videos = new Float32Array(video.length * batch);
  for (let i = 0; i < batch; i++) videos.set(video, i * video.length);
  return videos;
}

/** The largest difference to the reference over all videos of the batch; null without one. Throws when the result is wrong. */
function errorOf(
  { model, config, reference, batch }: Measurement,
  storage: StorageType,
  logits: Float32Array,
): number | null {
  const broken = logits.findIndex((value) => !Number.isFinite(value));
  if (broken >= 0 || logits.length !== batch * config.classes) {
    throw new StamError('bad-input', {
      where: model,
      problem: 'the logits are not finite numbers',
      got: `${logits[broken]} at ${broken}`,
    });
  }
  return reference ? checkLogits(model, logits, { reference, storage }) : null;
}

/** The median time of recording a run, in milliseconds. */
function timeEncoding(device: Device, program: Program): number {
  device.check();
  const size = program.plan.inputs.get('frames')?.size ?? 0;
  const frames = device.memory.create('frames', 'staging', size, GPUBufferUsage.COPY_SRC);
  const times = Array.from({ length: 5 }, () => {
    const begin = performance.now();
    program.encode(device.gpu.createCommandEncoder(), { frames });
    return performance.now() - begin;
  });
  device.memory.destroy(frames);
  return median(times);
}
