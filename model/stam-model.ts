// A STAM with its weights on a device, ready to be run on any number of videos.
import { madeUnlessAborted, unlessAborted } from '../engine/abort.ts';
import type { Device } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { StamError, throwIfAborted } from '../engine/errors.ts';
import { rowLayout } from '../engine/layout.ts';
import type { Plan } from '../engine/plan.ts';
import type { RunInput, RunOptions } from '../engine/program.ts';
import { Program } from '../engine/program.ts';
import type { Outputs } from '../engine/read-back.ts';
import type { DroppedKernel } from '../engine/self-check.ts';
import { elementCount } from '../engine/shape.ts';
import type { TextStore } from '../engine/text-store.ts';
import { chooseTuned } from '../engine/tuner.ts';
import type { TuneMode, TuningOutcome } from '../engine/tuning.ts';
import { obtainTuning } from '../engine/tuning.ts';
import { Weights } from '../engine/weights.ts';
import type { StamConfig } from './config.ts';
import type { FitSource } from './fit.ts';
import { fitCheckpoint } from './fit.ts';
import { PictureReader } from './pictures.ts';
import type { DType } from './planner.ts';
import { chooseStorage, Planner } from './planner.ts';
import type { CropRecipe, DecodedFrames } from './preprocess.ts';
import { defaultZoom, Preprocessor } from './preprocess.ts';
import { spatialGraph, temporalGraph } from './stam.ts';
import { FrameStream } from './stream.ts';

/** What loading is at: bytes of weights read, problems tuned, bytes of weights in GPU memory, or pipelines compiled. */
export interface LoadProgress {
  readonly stage: 'download' | 'tune' | 'upload' | 'compile' | 'ready';
  readonly loaded: number;
  readonly total: number;
}

/** What a model runs on. */
export type ModelInput = Float32Array<ArrayBuffer> | GPUBuffer | readonly DecodedFrames[];

export interface StamModelOptions {
  readonly dtype?: DType | undefined;
  /** V of the program that is made ready while loading; others are made when first asked for. */
  readonly videos?: number | undefined;
  /** Frames that go through the spatial transformer at a time; fewer take less memory, more fill a larger GPU. */
  readonly framesPerPass?: number | undefined;
  /** S divided by the length to which the shorter side of decoded pictures is resized before they are cropped: 0.875, as infer.py has it. */
  readonly zoom?: number | undefined;
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

/** Runs submitted at a time: while one computes, the pixels of the next are on their way. */
const maxInFlight = 2;

const ignore = () => undefined;

export class StamModel {
  readonly config: StamConfig;
  readonly storage: StorageType;
  readonly device: Device;
  /** Where the choice of kernels comes from, and what was tried. */
  readonly tuning: TuningOutcome;
  /** What becomes of pictures. */
  readonly recipe: CropRecipe;
  readonly #weights: Weights;
  readonly #planner: Planner;
  readonly #notices: readonly string[];
  readonly #programs = new Map<number, Promise<Program>>();
  /** Those that are made. */
  readonly #ready = new Map<number, Program>();
  /** Those of runs that keep activations. */
  readonly #passing = new Set<Program>();
  readonly #preprocessor: Preprocessor;
  /** Where the preprocessed videos of a batch come together: [V F, 3, S, S]. */
  #batch: GPUBuffer | undefined;
  #loadTimes: LoadTimes = { tuneMs: 0, uploadMs: 0, compileMs: 0, checkMs: 0, totalMs: 0 };
  /** Settles when the runs asked for so far are submitted: the GPU takes them in order. */
  #submitted: Promise<unknown> = Promise.resolve();
  /** Runs that are not over; each settles when its run is, whatever its outcome. */
  readonly #inFlight: Promise<unknown>[] = [];
  readonly #disposal = new AbortController();

  private constructor(
    planner: Planner,
    tuning: TuningOutcome,
    weights: Weights,
    { zoom, notices }: { zoom: number; notices: readonly string[] },
  ) {
    this.device = planner.device;
    this.config = planner.config;
    this.storage = planner.storage;
    this.tuning = tuning;
    this.#notices = notices;
    this.#planner = planner;
    this.#weights = weights;
    this.recipe = { size: this.config.imageSize, zoom };
    this.#preprocessor = new Preprocessor(this.device, this.recipe);
  }

  /**
   * Checks that the checkpoint fits (see fitCheckpoint, which also says what is thrown where it does not), chooses kernels, then uploads
   * the weights and compiles the kernels meanwhile. Frees everything when it fails or is aborted.
   */
  static async load(
    device: Device,
    config: StamConfig,
    source: FitSource,
    {
      dtype = 'auto',
      videos = 1,
      framesPerPass: wanted,
      zoom = defaultZoom,
      tune: mode = 'cached',
      selfCheck: enabled = true,
      tuningStore,
      signal,
      onProgress,
      onNotice,
    }: StamModelOptions = {},
  ): Promise<StamModel> {
    const begin = performance.now();
    const fitted = fitCheckpoint(source, config);
    for (const notice of fitted.notices) onNotice?.(notice);
    const storage = chooseStorage(dtype, device);
    const onDrop = (dropped: DroppedKernel) => onNotice?.(droppedNotice(dropped));
    const planner = new Planner(device, config, storage, { wanted, selfCheck: { enabled, onDrop } });
    const tuningOptions = {
      mode,
      use: planner.use(videos),
      store: tuningStore,
      signal,
      onProgress: (loaded: number, total: number) => onProgress?.({ stage: 'tune', loaded, total }),
    };
    const tuning = await unlessAborted(obtainTuning(device, planner.graph(videos), tuningOptions), signal);
    planner.choose = chooseTuned(tuning.tuning);
    const chosen = performance.now();
    let compileMs = 0;
    const stop = new AbortController();
    const until = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
    const planned = planner.rightPlan(planner.graph(videos), until).then(async (plan) => {
      const kernels = plan.commands.flatMap((command) => (command.kind === 'dispatch' ? [command] : []));
      await Promise.all(kernels.map(({ kernel, resolved }) => device.pipelines.compile(kernel, resolved)));
      compileMs = performance.now() - chosen - planner.selfCheck.ms;
      onProgress?.({ stage: 'compile', loaded: kernels.length, total: kernels.length });
      return plan;
    });
    planned.catch(ignore); // awaited below; until then an upload that fails first must not leave it unhandled
    const report = (loaded: number, total: number) => onProgress?.({ stage: 'upload', loaded, total });
    const weights = await Weights.upload(device, fitted, planner.plan(videos).weights, {
      signal,
      onProgress: report,
    }).catch(async (error) => {
      stop.abort();
      await planned.catch(ignore); // it frees what it took
      throw error;
    });
    const uploadMs = performance.now() - chosen;
    const model = new StamModel(planner, tuning, weights, { zoom, notices: fitted.notices });
    try {
      const plan = await unlessAborted(planned, signal);
      await unlessAborted(model.#program(videos, plan), signal);
      throwIfAborted(signal);
    } catch (error) {
      model.dispose();
      throw error;
    }
    const checkMs = planner.selfCheck.ms;
    model.#loadTimes = { tuneMs: tuning.ms, uploadMs, compileMs, checkMs, totalMs: performance.now() - begin };
    onProgress?.({ stage: 'ready', loaded: 1, total: 1 });
    return model;
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

  /** The program for V videos; it is made when first asked for and kept. */
  program(videos: number): Promise<Program> {
    this.#check();
    return unlessAborted(this.#program(videos), this.#disposal.signal);
  }

  /** The program for V videos if it has been made. */
  readyProgram(videos: number): Program | undefined {
    this.#check();
    return this.#ready.get(videos);
  }

  /**
   * `frames` [V F, 3, S, S], float32 in 0..1, in the host's memory or in rowLayout in the GPU's, or the decoded pictures of V videos, F
   * each, which are resized and cropped as infer.py does it -> `logits` [V, classes] and whatever else `keep` asks for, by module path. Calls may overlap; they run one after another,
   * the next being submitted while one computes. Throws bad-input for what is no whole number of videos, and unsupported for logits that are
   * no finite numbers, unless `keep` asks for activations, which may tell why. A call that is aborted rejects at once, and so does every
   * call when the model is disposed of.
   */
  run(
    frames: ModelInput,
    options: RunOptions & { keep?: ((name: string) => boolean) | undefined } = {},
  ): Promise<Outputs> {
    const before = this.#inFlight.slice(-maxInFlight)[0] ?? Promise.resolve();
    const turn = unlessAborted(Promise.all([this.#submitted, before]), options.signal, this.#disposal.signal);
    const submitted = unlessAborted(
      turn.then(() => this.#submit(frames, options)),
      options.signal,
    );
    this.#submitted = Promise.allSettled([this.#submitted, submitted]);
    const work = submitted.then(async (read) => {
      const outputs = await read();
      if (!options.keep) expectFinite(outputs, this.storage);
      return outputs;
    });
    const result = unlessAborted(this.device.settle(work), options.signal, this.#disposal.signal);
    const over = result.then(ignore, ignore);
    this.#inFlight.push(over);
    void over.then(() => this.#inFlight.splice(this.#inFlight.indexOf(over), 1));
    return result;
  }

  /** A stream of frames on this model's weights. The caller disposes of it. */
  stream(): Promise<FrameStream> {
    return madeUnlessAborted(this.#makeStream(), (made) => made.dispose(), this.#disposal.signal);
  }

  async #makeStream(): Promise<FrameStream> {
    this.#check();
    const { device, config, storage } = this;
    const programs: Program[] = [];
    const program = async (plan: Plan) => {
      const made = await Program.create(device, plan, this.#weights);
      programs.push(made);
      return made;
    };
    try {
      const spatial = await program(await this.#planner.rightPlan(spatialGraph(config, storage)));
      const temporal = await program(await this.#planner.rightPlan(temporalGraph(config, storage)));
      const preprocessor = new Preprocessor(device, this.recipe);
      const reader = new PictureReader(device, this.recipe);
      return await FrameStream.create({ device, config, storage, spatial, temporal, preprocessor, reader });
    } catch (error) {
      for (const made of programs) made.dispose();
      throw error;
    }
  }

  /** Shapes of what run() returns with this `keep`. */
  outputShapes(videos: number, keep?: (name: string) => boolean): Map<string, readonly number[]> {
    const { outputs } = this.#planner.plan(videos, keep);
    return new Map([...outputs].map(([name, { shape }]) => [name, shape]));
  }

  /** Frees everything; calls that are not over reject with `reason`, by default disposed. */
  dispose(reason = new StamError('disposed', { where: 'model', problem: 'it was disposed of' })): void {
    if (this.#disposal.signal.aborted) return;
    this.#disposal.abort(reason);
    for (const program of this.#passing) program.dispose();
    for (const program of this.#programs.values()) {
      program.then(
        (made) => made.dispose(),
        () => undefined,
      );
    }
    this.#preprocessor.dispose();
    if (this.#batch) this.device.memory.destroy(this.#batch);
    this.#weights.dispose();
  }

  /** Settles when everything is submitted, with what waits for the outputs. */
  async #submit(
    frames: ModelInput,
    { keep, ...options }: RunOptions & { keep?: ((name: string) => boolean) | undefined },
  ): Promise<() => Promise<Outputs>> {
    this.#check();
    throwIfAborted(options.signal);
    const videos = this.#videosIn(frames);
    const input = { frames: await this.#pixels(frames, videos, options.signal) };
    if (!keep) return await (await this.#program(videos)).submit(input, options);
    const plan = await this.#planner.rightPlan(this.#planner.graph(videos, keep), options.signal);
    const program = await Program.create(this.device, plan, this.#weights);
    this.#passing.add(program);
    return async () => {
      try {
        this.#check();
        return await program.run(input, options);
      } finally {
        this.#passing.delete(program);
        program.dispose();
      }
    };
  }

  /** The input of a program: packed rows of the host's, or a buffer into which the queue has been told to put them. */
  async #pixels(frames: ModelInput, videos: number, signal: AbortSignal | undefined): Promise<RunInput> {
    const { imageSize, frames: count } = this.config;
    const shape = [videos * count, 3, imageSize, imageSize];
    if (frames instanceof Float32Array) return rowLayout.pack(frames, shape);
    if (isOnGpu(frames)) return frames;
    const batch = await this.#batchBuffer(4 * rowLayout.elements(shape));
    const bytes = (4 * rowLayout.elements(shape)) / videos;
    const { gpu } = this.device;
    const scopes: Promise<void>[] = [];
    for (const [i, video] of frames.entries()) {
      const source = await this.#preprocessor.submit(video, count, signal);
      throwIfAborted(signal); // the batch may be another call's by now
      const { accepted } = this.device.scoped('frames', () => {
        const encoder = gpu.createCommandEncoder({ label: 'stam: batch' });
        encoder.copyBufferToBuffer(source, 0, batch, i * bytes, bytes);
        gpu.queue.submit([encoder.finish()]);
      });
      scopes.push(accepted);
    }
    await Promise.all(scopes);
    return batch;
  }

  /** One buffer serves all runs: the queue fills it for the next only after the last has read it. */
  async #batchBuffer(bytes: number): Promise<GPUBuffer> {
    const { memory } = this.device;
    if (this.#batch && this.#batch.size >= bytes) return this.#batch;
    if (this.#batch) memory.destroy(this.#batch); // what has been submitted still reads it
    this.#batch = undefined;
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const batch = await this.device.checked('frames', () => memory.create('frames', 'activations', bytes, usage));
    if (this.#disposal.signal.aborted) memory.destroy(batch);
    this.#check();
    this.#batch = batch;
    return batch;
  }

  #videosIn(frames: ModelInput): number {
    if (!(frames instanceof Float32Array || isOnGpu(frames))) return atLeastOne(frames.length);
    const { imageSize, frames: count } = this.config;
    const shape = [count, 3, imageSize, imageSize];
    const [length, perVideo, unit] =
      frames instanceof Float32Array
        ? [frames.length, elementCount(shape), 'elements']
        : [frames.size, 4 * rowLayout.elements(shape), 'bytes'];
    const videos = length / perVideo;
    if (Number.isInteger(videos) && videos > 0) return videos;
    throw new StamError('bad-input', {
      where: 'frames',
      problem: 'not a whole number of videos',
      got: `${length} ${unit}`,
      expected: `a multiple of ${perVideo} ([V, ${count}, 3, ${imageSize}, ${imageSize}])`,
    });
  }

  #program(videos: number, known?: Plan): Promise<Program> {
    this.#check();
    let program = this.#programs.get(videos);
    if (!program) {
      program = this.#createProgram(videos, known);
      program.then(
        (made) => this.#ready.set(videos, made),
        () => this.#programs.delete(videos),
      );
      this.#programs.set(videos, program);
    }
    return program;
  }

  async #createProgram(videos: number, known: Plan | undefined): Promise<Program> {
    const plan = known ?? (await this.#planner.rightPlan(this.#planner.graph(videos)));
    return await Program.create(this.device, plan, this.#weights);
  }

  #check(): void {
    throwIfAborted(this.#disposal.signal);
  }
}

function droppedNotice({ kernel, why }: DroppedKernel): string {
  return `the self-check dropped ${kernel}: ${why}`;
}

/** Numbers that overflowed become infinities and then NaN, which compare with nothing: any class would pass for the best. */
function expectFinite(outputs: Outputs, storage: StorageType): void {
  const logits = outputs.get('logits') ?? new Float32Array();
  const index = logits.findIndex((value) => !Number.isFinite(value));
  if (index < 0) return;
  throw new StamError('unsupported', {
    where: 'logits',
    problem: 'they are not finite numbers',
    got: `${logits[index]} at ${index}`,
    hint:
      storage === 'f16'
        ? "weights, activations or frames may be too large for f16: load with dtype 'f32'"
        : 'the weights or the frames may hold what is no number',
  });
}

function isOnGpu(frames: ModelInput): frames is GPUBuffer {
  return 'mapState' in frames;
}

function atLeastOne(videos: number): number {
  if (videos > 0) return videos;
  throw new StamError('bad-input', { where: 'frames', problem: 'there is no video' });
}
