// An X3D with its weights on a device, ready to be run on any number of videos.
import type { Device } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { StamError } from '../engine/errors.ts';
import type { Graph } from '../engine/graph.ts';
import { rowLayout } from '../engine/layout.ts';
import type { Outputs, RunOptions } from '../engine/program.ts';
import { Program } from '../engine/program.ts';
import type { Shape } from '../engine/shape.ts';
import { elementCount } from '../engine/shape.ts';
import { chooseTuned } from '../engine/tuner.ts';
import type { TuningOutcome } from '../engine/tuning.ts';
import { obtainTuning } from '../engine/tuning.ts';
import { Weights } from '../engine/weights.ts';
import { channelsFirst, channelsFirstShape } from './channels.ts';
import type { FitSource } from './fit.ts';
import { fitTensors } from './fit.ts';
import { chooseStorage, NetworkPlanner } from './planner.ts';
import type { LoadTimes, StamModelOptions } from './stam-model.ts';
import { expectFinite } from './stam-model.ts';
import { largestBytes, videosPerPass, x3dGraph } from './x3d.ts';
import type { X3dConfig } from './x3d-config.ts';
import { describeX3d, identifyX3d } from './x3d-config.ts';
import { foldBatchNorms, isCounter, x3dShapes } from './x3d-weights.ts';

/** What loading an X3D takes beside it; everything may be left out. */
export interface X3dModelOptions extends Omit<StamModelOptions, 'framesPerPass' | 'zoom'> {
  /** Videos that go through the network at a time; fewer take less memory, more fill a larger GPU. */
  readonly videosPerPass?: number | undefined;
}

const defaultVideosPerPass = 4;

/** The plans of an X3D. */
export class X3dPlanner extends NetworkPlanner {
  readonly config: X3dConfig;
  readonly #wanted: number;

  /** `wanted` is how many videos are to go through the network at a time. */
  constructor(device: Device, config: X3dConfig, storage: StorageType, wanted = defaultVideosPerPass) {
    super(device, storage);
    this.config = config;
    this.#wanted = wanted;
  }

  use(videos: number): string {
    return `x3d ${JSON.stringify({ ...this.config, videos, storage: this.storage, videosPerPass: this.#wanted })}`;
  }

  graph(videos: number, keep?: (name: string) => boolean): Graph {
    const { config, storage } = this;
    const { capabilities } = this.device;
    return x3dGraph(config, {
      videos,
      storage,
      videosPerPass: videosPerPass(config, { videos, storage, wanted: this.#wanted }, capabilities),
      largestBytes: largestBytes(capabilities),
      keep,
    });
  }
}

export class X3dModel {
  readonly config: X3dConfig;
  readonly storage: StorageType;
  readonly device: Device;
  /** Where the choice of kernels comes from, and what was tried. */
  readonly tuning: TuningOutcome;
  /** What was left out of the checkpoint. */
  readonly notices: readonly string[];
  readonly #weights: Weights;
  readonly #planner: X3dPlanner;
  readonly #programs = new Map<number, Promise<Program>>();
  #loadTimes: LoadTimes = { tuneMs: 0, uploadMs: 0, compileMs: 0, totalMs: 0 };
  /** Settles when the runs asked for so far are over. */
  #before: Promise<unknown> = Promise.resolve();
  #disposed = false;

  private constructor(planner: X3dPlanner, tuning: TuningOutcome, weights: Weights, notices: readonly string[]) {
    this.device = planner.device;
    this.config = planner.config;
    this.storage = planner.storage;
    this.tuning = tuning;
    this.notices = notices;
    this.#planner = planner;
    this.#weights = weights;
  }

  /**
   * Checks that the checkpoint has exactly the tensors of pytorchvideo's state_dict (num_batches_tracked may be missing), chooses kernels,
   * then uploads the weights, BatchNorm folded into them, and compiles the kernels meanwhile. Frees everything when it fails or is aborted.
   * Throws what fitTensors() throws.
   */
  static async load(
    device: Device,
    config: X3dConfig,
    source: FitSource,
    {
      dtype = 'auto',
      videos = 1,
      videosPerPass: wanted,
      tune: mode = 'cached',
      tuningStore,
      signal,
      onProgress,
      onNotice,
    }: X3dModelOptions = {},
  ): Promise<X3dModel> {
    const begin = performance.now();
    const notices = fitTensors(source, {
      family: 'X3D',
      model: describeX3d(config),
      shapes: x3dShapes(config),
      isUnread: isCounter,
      identify: identifyX3d,
    });
    for (const notice of notices) onNotice?.(notice);
    const planner = new X3dPlanner(device, config, chooseStorage(dtype, device), wanted);
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
    const weights = await Weights.upload(device, foldBatchNorms(source, config), plan.weights, {
      signal,
      onProgress: (loaded, total) => onProgress?.({ stage: 'upload', loaded, total }),
    });
    const uploadMs = performance.now() - chosen;
    const model = new X3dModel(planner, tuning, weights, notices);
    try {
      await compiled;
      await model.program(videos);
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
    let program = this.#programs.get(videos);
    if (!program) {
      program = Program.create(this.device, this.#planner.plan(videos), this.#weights);
      program.catch(() => this.#programs.delete(videos));
      this.#programs.set(videos, program);
    }
    return program;
  }

  /**
   * `frames` [V, 3, F, S, S], float32 in 0..1, in the host's memory or in rowLayout in the GPU's -> `logits` [V, classes] and whatever
   * else `keep` asks for, by module path, in PyTorch's order of dimensions. Calls may overlap; they run one after another. Throws
   * bad-input for what is no whole number of videos, and unsupported for logits that are no finite numbers, unless `keep` asks for
   * activations, which may tell why.
   */
  run(
    frames: Float32Array<ArrayBuffer> | GPUBuffer,
    options: RunOptions & { keep?: ((name: string) => boolean) | undefined } = {},
  ): Promise<Outputs> {
    const result = this.#before.then(() => this.#run(frames, options));
    this.#before = result.catch(() => undefined);
    return result;
  }

  /** Shapes of what run() returns with this `keep`. */
  outputShapes(videos: number, keep?: (name: string) => boolean): Map<string, Shape> {
    const { outputs } = this.#planner.plan(videos, keep);
    return new Map([...outputs].map(([name, { shape }]) => [name, channelsFirstShape(shape)]));
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
    this.#weights.dispose();
  }

  async #run(
    frames: Float32Array<ArrayBuffer> | GPUBuffer,
    { keep, ...options }: RunOptions & { keep?: ((name: string) => boolean) | undefined },
  ): Promise<Outputs> {
    this.#check();
    const { frames: count, imageSize } = this.config;
    const shape = [this.#videosIn(frames), 3, count, imageSize, imageSize];
    const input = { frames: frames instanceof Float32Array ? rowLayout.pack(frames, shape) : frames };
    if (!keep) {
      const outputs = await (await this.program(shape[0])).run(input, options);
      expectFinite(outputs, this.storage);
      return outputs;
    }
    const plan = this.#planner.plan(shape[0], keep);
    const program = await Program.create(this.device, plan, this.#weights);
    try {
      const outputs = await program.run(input, options);
      return new Map(
        [...outputs].map(([name, data]) => [name, channelsFirst(data, plan.outputs.get(name)?.shape ?? [])]),
      );
    } finally {
      program.dispose();
    }
  }

  #videosIn(frames: Float32Array | GPUBuffer): number {
    const { frames: count, imageSize } = this.config;
    const shape = [3, count, imageSize, imageSize];
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
      expected: `a multiple of ${perVideo} ([V, 3, ${count}, ${imageSize}, ${imageSize}])`,
    });
  }

  #check(): void {
    if (this.#disposed) throw new StamError('disposed', { where: 'model', problem: 'it was disposed of' });
  }
}
