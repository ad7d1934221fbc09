// A network with its weights on a device: a program for any number of videos, and the queue of runs. What a network is fed is its own
// model's to know.
import { bothOver, madeUnlessAborted, unlessAborted, whenAborted } from '../engine/abort.ts';
import type { Device } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { StamError, throwIfAborted } from '../engine/errors.ts';
import type { Graph } from '../engine/graph.ts';
import { rowLayout } from '../engine/layout.ts';
import { expectCount } from '../engine/options.ts';
import type { RunInputs, RunOptions } from '../engine/program.ts';
import { Program } from '../engine/program.ts';
import type { Outputs } from '../engine/read-back.ts';
import type { DroppedKernel, SelfCheckOptions } from '../engine/self-check.ts';
import { elementCount } from '../engine/shape.ts';
import type { TextStore } from '../engine/text-store.ts';
import type { TuneMode, TuningOutcome } from '../engine/tuning.ts';
import { obtainTuning } from '../engine/tuning.ts';
import { Weights } from '../engine/weights.ts';
import type { FittedSource } from './fit.ts';
import type { DType, NetworkPlanner } from './planner.ts';
import { RecentlyUsed } from './recently-used.ts';

/** What loading is at: bytes of weights read, problems tuned, bytes of weights in GPU memory, or pipelines compiled. */
export interface LoadProgress {
  readonly stage: 'download' | 'tune' | 'upload' | 'compile' | 'ready';
  readonly loaded: number;
  readonly total: number;
}

/** What loading any network takes; everything may be left out. */
export interface NetworkOptions {
  readonly dtype?: DType | undefined;
  /** V of the program that is made ready while loading; others are made when first asked for. */
  readonly videos?: number | undefined;
  /** How kernels are chosen; 'cached' by default. */
  readonly tune?: TuneMode | undefined;
  /** Whether each kernel runs once on a small problem before it is used; true by default. One that is wrong here is replaced. */
  readonly selfCheck?: boolean | undefined;
  /** Where tunings are kept; by default where this environment keeps such things. */
  readonly tuningStore?: TextStore | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  /** Told what was made up for the checkpoint or left out of it, and of kernels that fail the self-check: a sentence each. */
  readonly onNotice?: ((text: string) => void) | undefined;
}

/** Times of the stages of loading, in milliseconds. Compiling and the self-check overlap the upload. */
export interface LoadTimes {
  readonly tuneMs: number;
  readonly uploadMs: number;
  readonly compileMs: number;
  readonly checkMs: number;
  readonly totalMs: number;
}

/** How a run is watched and ended, and which activations it is to give beside the logits. */
export type NetworkRunOptions = RunOptions & { readonly keep?: ((name: string) => boolean) | undefined };

/** What a run begins with, once it is its turn. */
export type Feed = (
  signal: AbortSignal | undefined,
) => Promise<{ readonly videos: number; readonly inputs: RunInputs }>;

/** What a planner is to do about the self-check. */
export function selfCheckOf({ selfCheck, onNotice }: NetworkOptions): SelfCheckOptions {
  return { enabled: selfCheck ?? true, onDrop: (dropped) => onNotice?.(droppedNotice(dropped)) };
}

/** Runs submitted at a time: while one computes, the pixels of the next are on their way. */
const maxInFlight = 2;

/** More than maxInFlight, so that none goes while its run computes; what was asked for by program() is the app's to bound. */
const keptPrograms = { used: 4, held: Number.POSITIVE_INFINITY };
const keptRecorded = { used: 0, held: Number.POSITIVE_INFINITY };

const ignore = () => undefined;

export class Network {
  readonly device: Device;
  readonly storage: StorageType;
  /** Where the choice of kernels comes from, and what was tried. */
  readonly tuning: TuningOutcome;
  readonly #planner: NetworkPlanner;
  readonly #weights: Weights;
  readonly #notices: readonly string[];
  /** Those of runs, by their number of videos: each takes memory for its activations. */
  readonly #programs = new RecentlyUsed<Program>(keptPrograms, (program) => program.dispose());
  /** Those that apps record: what an app submits, it submits at any time, also between the submissions of a run. */
  readonly #recorded = new RecentlyUsed<Program>(keptRecorded, (program) => program.dispose());
  /** Those of runs that keep activations. */
  readonly #passing = new Set<Program>();
  #loadTimes: LoadTimes = { tuneMs: 0, uploadMs: 0, compileMs: 0, checkMs: 0, totalMs: 0 };
  /** Settles when the runs asked for so far are submitted: the GPU takes them in order. */
  #submitted: Promise<void> = Promise.resolve();
  /** Runs that are not over; each settles when its run is, whatever its outcome. */
  readonly #inFlight: Promise<unknown>[] = [];
  readonly #disposal = new AbortController();

  private constructor(planner: NetworkPlanner, tuning: TuningOutcome, weights: Weights, notices: readonly string[]) {
    this.device = planner.device;
    this.storage = planner.storage;
    this.tuning = tuning;
    this.#planner = planner;
    this.#weights = weights;
    this.#notices = notices;
  }

  /**
   * Chooses kernels, then uploads the weights and meanwhile compiles and checks the kernels. `fit` compares the
   * checkpoint with the graph's weights. Frees everything when it fails or is aborted. Throws what `fit` throws.
   */
  static async load(
    planner: NetworkPlanner,
    fit: (graph: Graph) => FittedSource,
    { videos = 1, tune: mode = 'cached', tuningStore: store, signal, onProgress, onNotice }: NetworkOptions,
  ): Promise<Network> {
    expectCount('videos', videos);
    const begin = performance.now();
    const { device } = planner;
    const byRule = planner.graph(videos);
    const source = fit(byRule);
    for (const notice of source.notices) onNotice?.(notice);
    const onTuned = (loaded: number, total: number) => onProgress?.({ stage: 'tune', loaded, total });
    const subject = { use: planner.use(videos), passes: planner.passes(videos) };
    const tuningOptions = { ...subject, mode, store, signal, onProgress: onTuned };
    const tuning = await unlessAborted(obtainTuning(device, byRule, tuningOptions), signal);
    planner.adopt(tuning.tuning);
    const graph = tuning.tuning?.pass ? planner.graph(videos) : byRule;
    const plan = planner.plan(graph);
    const chosen = performance.now();
    let compileMs = 0;
    // no AbortSignal.any(): what listens to such a signal stays in memory for as long as the app's own signal does
    const stop = new AbortController();
    const leave = signal ? whenAborted(signal, () => stop.abort(signal.reason)) : ignore;
    try {
      const planned = planner.rightPlan(graph, stop.signal, plan).then(async (right) => {
        const kernels = right.commands.flatMap((command) => (command.kind === 'dispatch' ? [command] : []));
        const compiling = kernels.map(({ kernel, resolved }) => device.pipelines.compile(kernel, resolved));
        await unlessAborted(Promise.all(compiling), stop.signal);
        compileMs = performance.now() - chosen - planner.selfCheck.ms;
        onProgress?.({ stage: 'compile', loaded: kernels.length, total: kernels.length });
        return right;
      });
      planned.catch(ignore); // awaited below; until then an upload that fails first must not leave it unhandled
      const report = (loaded: number, total: number) => onProgress?.({ stage: 'upload', loaded, total });
      const uploading = Weights.upload(device, source, plan.weights, { signal, onProgress: report });
      const weights = await uploading.catch(async (error) => {
        stop.abort();
        await planned.catch(ignore); // it frees what it took
        throw error;
      });
      const uploadMs = performance.now() - chosen;
      const network = new Network(planner, tuning, weights, source.notices);
      try {
        const right = await unlessAborted(planned, signal);
        await network.#programs.hold(`${videos}`, () => Program.create(device, right, weights), signal);
        throwIfAborted(signal);
      } catch (error) {
        network.dispose();
        throw error;
      }
      const checkMs = planner.selfCheck.ms;
      network.#loadTimes = { tuneMs: tuning.ms, uploadMs, compileMs, checkMs, totalMs: performance.now() - begin };
      onProgress?.({ stage: 'ready', loaded: 1, total: 1 });
      return network;
    } finally {
      leave();
    }
  }

  get loadTimes(): LoadTimes {
    return this.#loadTimes;
  }

  /** What was made up for the checkpoint or left out of it, and which kernels failed the self-check so far. */
  get notices(): readonly string[] {
    return [...this.#notices, ...this.#planner.selfCheck.dropped.map(droppedNotice)];
  }

  /** How many kernels were tried on the device and what came of it, for people. */
  get selfCheck(): string {
    return this.#planner.selfCheck.summary;
  }

  get weightBytes(): number {
    return this.#weights.bytes;
  }

  /** Aborted, with the reason, when this is disposed of. */
  get disposal(): AbortSignal {
    return this.#disposal.signal;
  }

  /** The program that runs of V videos have, made when first asked for, and kept until claim() takes it. */
  program(videos: number): Promise<Program> {
    this.check();
    return this.#programs.hold(`${videos}`, this.#making(videos), this.disposal);
  }

  /** Makes ready what claim() gives for V videos. */
  async prepare(videos: number): Promise<void> {
    if (this.claim(videos)) return;
    await this.#recorded.hold(`${videos}`, this.#making(videos), this.disposal);
  }

  /**
   * The program for V videos that an app may record, if it is ready: prepare() or load() has made it. No run has it: one that load() or
   * program() made is taken from the runs the first time, unless one of them is using it. Throws disposed and device-lost.
   */
  claim(videos: number): Program | undefined {
    this.check();
    this.device.check();
    const key = `${videos}`;
    const known = this.#recorded.held(key);
    if (known) return known;
    const idle = this.#programs.giveIdle(key);
    if (idle) this.#recorded.adopt(key, idle);
    return idle;
  }

  /** A program of another graph on these weights, which is the caller's to dispose of. */
  async createProgram(graph: Graph, signal?: AbortSignal): Promise<Program> {
    const plan = await this.#planner.rightPlan(graph, signal);
    this.check();
    const making = Program.create(this.device, plan, this.#weights);
    return await madeUnlessAborted(making, (late) => late.dispose(), signal, this.disposal);
  }

  /**
   * Runs on what `feed` gives, which is asked when it is the run's turn -> `logits` and whatever else `keep` asks for. Runs may overlap;
   * they are submitted one after another, the next while one computes. Throws unsupported for logits that are no finite numbers, unless
   * `keep` asks for activations, which may tell why. A run that is aborted rejects at once, and so does every run on disposal.
   */
  run(feed: Feed, options: NetworkRunOptions = {}): Promise<Outputs> {
    const before = this.#inFlight.at(-maxInFlight) ?? Promise.resolve();
    const turn = unlessAborted(Promise.all([this.#submitted, before]), options.signal, this.disposal);
    const submitted = unlessAborted(
      turn.then(() => this.#submit(feed, options)),
      options.signal,
    );
    this.#submitted = bothOver(this.#submitted, submitted);
    const work = submitted.then(async ({ outputs: reading }) => {
      const outputs = await reading;
      if (!options.keep) expectFinite(outputs, this.storage);
      return outputs;
    });
    const result = unlessAborted(this.device.settle(work), options.signal, this.disposal);
    const over = result.then(ignore, ignore);
    this.#inFlight.push(over);
    void over.then(() => this.#inFlight.splice(this.#inFlight.indexOf(over), 1));
    return result;
  }

  /** Shapes of what run() returns with this `keep`. */
  outputShapes(videos: number, keep?: (name: string) => boolean): Map<string, readonly number[]> {
    const { outputs } = this.#planner.plan(this.#planner.graph(videos, keep));
    return new Map([...outputs].map(([name, { shape }]) => [name, shape]));
  }

  /** Throws disposed once this was disposed of. */
  check(): void {
    throwIfAborted(this.disposal);
  }

  /** Frees everything; runs that are not over reject with `reason`, by default disposed. */
  dispose(reason = new StamError('disposed', { where: 'model', problem: 'it was disposed of' })): void {
    if (this.disposal.aborted) return;
    this.#disposal.abort(reason);
    for (const program of this.#passing) program.dispose();
    this.#programs.dispose(reason);
    this.#recorded.dispose(reason);
    this.#weights.dispose();
  }

  /** Settles when everything is submitted, after which `inputs` may be others; nobody has to wait for the outputs. */
  async #submit(feed: Feed, { keep, ...options }: NetworkRunOptions): Promise<{ readonly outputs: Promise<Outputs> }> {
    this.check();
    throwIfAborted(options.signal);
    const { videos, inputs } = await feed(options.signal);
    if (!keep) {
      const submit = (program: Program) => program.submit(inputs, options);
      return await this.#programs.use(`${videos}`, this.#making(videos), submit, options.signal, this.disposal);
    }
    const program = await this.createProgram(this.#planner.graph(videos, keep), options.signal);
    const release = () => {
      this.#passing.delete(program);
      program.dispose();
    };
    this.#passing.add(program);
    try {
      const outputs = (await program.submit(inputs, options)).outputs.finally(release);
      outputs.catch(ignore);
      return { outputs };
    } catch (error) {
      release();
      throw error;
    }
  }

  #making(videos: number): (signal: AbortSignal) => Promise<Program> {
    return (signal) => this.createProgram(this.#planner.graph(videos), signal);
  }
}

function droppedNotice({ kernel, why }: DroppedKernel): string {
  return `the self-check dropped ${kernel}: ${why}`;
}

/**
 * Throws unsupported for logits that are no finite numbers. What overflowed becomes infinities and then NaN, which compare with nothing:
 * any class would pass for the best.
 */
export function expectFinite(outputs: Outputs, storage: StorageType): void {
  const logits = outputs.get('logits') ?? new Float32Array();
  const index = logits.findIndex((value) => !Number.isFinite(value));
  if (index < 0) return;
  throw new StamError('unsupported', {
    where: 'logits',
    problem: 'they are not finite numbers',
    got: `${logits[index]} at ${index}`,
    hint:
      storage === 'f16'
        ? 'weights, activations or frames may be too large for f16: load with the option `dtype` f32'
        : 'the weights or the frames may hold what is no number',
  });
}

/** V of a run's frames, `perVideo` being the shape of one's. Throws bad-input for what is no whole number of videos. */
export function videosIn(frames: Float32Array | GPUBuffer, perVideo: readonly number[]): number {
  const [length, size, unit] =
    frames instanceof Float32Array
      ? [frames.length, elementCount(perVideo), 'elements']
      : [frames.size, 4 * rowLayout.elements(perVideo), 'bytes'];
  const videos = length / size;
  if (Number.isInteger(videos) && videos > 0) return videos;
  throw new StamError('bad-input', {
    where: 'frames',
    problem: 'not a whole number of videos',
    got: `${length} ${unit}`,
    expected: `a multiple of ${size} ([V, ${perVideo.join(', ')}])`,
  });
}
