// A STAM with its weights on a device, ready to be run on any number of videos.
import type { Device } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { StamError } from '../engine/errors.ts';
import { rowLayout } from '../engine/layout.ts';
import type { Plan } from '../engine/plan.ts';
import type { Outputs, RunInput, RunOptions } from '../engine/program.ts';
import { Program } from '../engine/program.ts';
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
  /** Where tunings are kept; by default where this environment keeps such things. */
  readonly tuningStore?: TextStore | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  /** Told, before anything is uploaded, what was made up for the checkpoint or left out of it: a sentence each. */
  readonly onNotice?: ((text: string) => void) | undefined;
}

/** Times of the stages of loading, in milliseconds. Compiling overlaps the upload. */
export interface LoadTimes {
  readonly tuneMs: number;
  readonly uploadMs: number;
  readonly compileMs: number;
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
  /** What was made up for the checkpoint or left out of it. */
  readonly notices: readonly string[];
  /** What becomes of pictures. */
  readonly recipe: CropRecipe;
  readonly #weights: Weights;
  readonly #planner: Planner;
  readonly #programs = new Map<number, Promise<Program>>();
  /** Those that are made. */
  readonly #ready = new Map<number, Program>();
  readonly #preprocessor: Preprocessor;
  /** Where the preprocessed videos of a batch come together: [V F, 3, S, S]. */
  #batch: GPUBuffer | undefined;
  #loadTimes: LoadTimes = { tuneMs: 0, uploadMs: 0, compileMs: 0, totalMs: 0 };
  /** Settles when the runs asked for so far are submitted: the GPU takes them in order. */
  #submitted: Promise<unknown> = Promise.resolve();
  /** Runs that are not over; each settles when its run is, whatever its outcome. */
  readonly #inFlight: Promise<unknown>[] = [];
  #disposed = false;

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
    this.notices = notices;
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
    const planner = new Planner(device, config, storage, wanted);
    const tuning = await obtainTuning(device, planner.graph(videos), {
      mode,
      use: planner.use(videos),
      store: tuningStore,
      signal,
      onProgress: (loaded, total) => onProgress?.({ stage: 'tune', loaded, total }),
    });
    planner.choose = chooseTuned(tuning.tuning);
    const chosen = performance.now();
    const plan = planner.plan(videos);
    const kernels = plan.commands.flatMap((command) => (command.kind === 'dispatch' ? [command] : []));
    let compileMs = 0;
    const compiled = Promise.all(
      kernels.map(({ kernel, resolved }) => device.pipelines.compile(kernel, resolved)),
    ).then(() => {
      compileMs = performance.now() - chosen;
      onProgress?.({ stage: 'compile', loaded: kernels.length, total: kernels.length });
    });
    compiled.catch(() => undefined); // awaited below; until then an upload that fails first must not leave it unhandled
    const report = (loaded: number, total: number) => onProgress?.({ stage: 'upload', loaded, total });
    const weights = await Weights.upload(device, fitted, plan.weights, { signal, onProgress: report });
    const uploadMs = performance.now() - chosen;
    const model = new StamModel(planner, tuning, weights, { zoom, notices: fitted.notices });
    try {
      await compiled;
      await model.#program(videos, plan);
    } catch (error) {
      model.dispose();
      throw error;
    }
    model.#loadTimes = { tuneMs: tuning.ms, uploadMs, compileMs, totalMs: performance.now() - begin };
    onProgress?.({ stage: 'ready', loaded: 1, total: 1 });
    return model;
  }

  get loadTimes(): LoadTimes {
    return this.#loadTimes;
  }

  get weightBytes(): number {
    return this.#weights.bytes;
  }

  /** The program for V videos; it is made when first asked for and kept. */
  program(videos: number): Promise<Program> {
    this.#check();
    return this.#program(videos);
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
   * no finite numbers, unless `keep` asks for activations, which may tell why.
   */
  run(
    frames: ModelInput,
    options: RunOptions & { keep?: ((name: string) => boolean) | undefined } = {},
  ): Promise<Outputs> {
    const before = this.#inFlight.slice(-maxInFlight)[0] ?? Promise.resolve();
    const submitted = Promise.all([this.#submitted, before]).then(() => this.#submit(frames, options));
    this.#submitted = submitted.then(ignore, ignore);
    const result = submitted.then(async (read) => {
      const outputs = await read();
      if (!options.keep) expectFinite(outputs, this.storage);
      return outputs;
    });
    const over = result.then(ignore, ignore);
    this.#inFlight.push(over);
    void over.then(() => this.#inFlight.splice(this.#inFlight.indexOf(over), 1));
    return result;
  }

  /** A stream of frames on this model's weights. The caller disposes of it. */
  async stream(): Promise<FrameStream> {
    this.#check();
    const { device, config, storage } = this;
    const programs: Program[] = [];
    const program = async (plan: Plan) => {
      const made = await Program.create(device, plan, this.#weights);
      programs.push(made);
      return made;
    };
    try {
      const spatial = await program(this.#planner.planOf(spatialGraph(config, storage)));
      const temporal = await program(this.#planner.planOf(temporalGraph(config, storage)));
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

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
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
    const videos = this.#videosIn(frames);
    const input = { frames: await this.#pixels(frames, videos, options.signal) };
    if (!keep) return await (await this.#program(videos)).submit(input, options);
    const program = await Program.create(this.device, this.#planner.plan(videos, keep), this.#weights);
    return async () => {
      try {
        return await program.run(input, options);
      } finally {
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
    for (const [i, video] of frames.entries()) {
      const source = await this.#preprocessor.submit(video, count, signal);
      const encoder = this.device.gpu.createCommandEncoder({ label: 'stam: batch' });
      encoder.copyBufferToBuffer(source, 0, batch, i * bytes, bytes);
      this.device.gpu.queue.submit([encoder.finish()]);
    }
    return batch;
  }

  /** One buffer serves all runs: the queue fills it for the next only after the last has read it. */
  async #batchBuffer(bytes: number): Promise<GPUBuffer> {
    const { memory } = this.device;
    if (this.#batch && this.#batch.size >= bytes) return this.#batch;
    if (this.#batch) memory.destroy(this.#batch); // what has been submitted still reads it
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.#batch = await this.device.checked('frames', () => memory.create('frames', 'activations', bytes, usage));
    return this.#batch;
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
    let program = this.#programs.get(videos);
    if (!program) {
      const plan = known ?? this.#planner.plan(videos);
      program = Program.create(this.device, plan, this.#weights);
      program.then(
        (made) => this.#ready.set(videos, made),
        () => this.#programs.delete(videos),
      );
      this.#programs.set(videos, program);
    }
    return program;
  }

  #check(): void {
    if (this.#disposed) throw new StamError('disposed', { where: 'model', problem: 'it was disposed of' });
  }
}

/** Numbers that overflowed become infinities and then NaN, which compare with nothing: any class would pass for the best. */
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
