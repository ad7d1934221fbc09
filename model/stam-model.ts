// A STAM with its weights on a device, ready to be run on any number of videos.
import { madeUnlessAborted } from '../engine/abort.ts';
import type { Device } from '../engine/device.ts';
import { StamError } from '../engine/errors.ts';
import { rowLayout } from '../engine/layout.ts';
import { expectCount } from '../engine/options.ts';
import type { Program, RunInput } from '../engine/program.ts';
import type { Outputs } from '../engine/read-back.ts';
import type { StamConfig } from './config.ts';
import type { FitSource } from './fit.ts';
import { fitCheckpoint } from './fit.ts';
import type { NetworkOptions, NetworkRunOptions } from './network.ts';
import { Network, selfCheckOf, videosIn } from './network.ts';
import { NetworkModel } from './network-model.ts';
import { PictureReader } from './pictures.ts';
import { chooseStorage, Planner } from './planner.ts';
import type { CropRecipe, DecodedFrames, MakeProgram } from './preprocess.ts';
import { cropAxes, defaultZoom, Preprocessor } from './preprocess.ts';
import { spatialGraph, temporalGraph } from './stam.ts';
import { FrameStream } from './stream.ts';
import { shapesOf } from './weights.ts';

/** What a model runs on. */
export type ModelInput = Float32Array<ArrayBuffer> | GPUBuffer | readonly DecodedFrames[];

export interface StamModelOptions extends NetworkOptions {
  /**
   * Frames that go through the spatial transformer at a time, of several videos perhaps. Fewer take less memory, more fill a larger GPU.
   * Left out, a GPU that is tuned takes what is fastest for the batch that is loaded for; else 128 on a GPU, 16 on a software adapter.
   */
  readonly framesPerPass?: number | undefined;
  /** S divided by the length to which the shorter side of decoded pictures is resized before they are cropped: 0.875, as infer.py has it. */
  readonly zoom?: number | undefined;
}

export class StamModel extends NetworkModel {
  readonly config: StamConfig;
  /** What becomes of pictures. */
  readonly recipe: CropRecipe;
  readonly #makeProgram: MakeProgram = (graph, signal) => this.network.createProgram(graph, signal);
  readonly #preprocessor: Preprocessor;
  /** Where the preprocessed videos of a batch come together: [V F, 3, S, S]. */
  #batch: GPUBuffer | undefined;

  private constructor(config: StamConfig, network: Network, zoom: number) {
    super(network);
    this.config = config;
    this.recipe = { size: config.imageSize, zoom };
    this.#preprocessor = new Preprocessor(this.#makeProgram, this.recipe);
  }

  /**
   * Checks that the checkpoint fits (see fitCheckpoint, which also says what is thrown where it does not), chooses kernels, then uploads
   * the weights and compiles the kernels meanwhile. Frees everything when it fails or is aborted.
   */
  static async load(
    device: Device,
    config: StamConfig,
    source: FitSource,
    options: StamModelOptions = {},
  ): Promise<StamModel> {
    const { dtype = 'auto', framesPerPass: wanted, zoom = defaultZoom } = options;
    cropAxes(1, 1, { size: config.imageSize, zoom });
    const selfCheck = selfCheckOf(options);
    const planner = new Planner(device, config, chooseStorage(dtype, device), { wanted, selfCheck });
    const network = await Network.load(planner, (graph) => fitCheckpoint(source, config, shapesOf(graph)), options);
    return new StamModel(config, network, zoom);
  }

  /** Makes ready what claim() gives for V videos. Throws limit where no buffer holds so many. */
  async prepare(videos: number): Promise<void> {
    expectCount('videos', videos);
    const { frames, imageSize } = this.config;
    const { bufferBytes } = this.device.capabilities.limits;
    const bytes = 4 * rowLayout.elements([videos * frames, 3, imageSize, imageSize]);
    if (bytes <= bufferBytes) return await this.network.prepare(videos);
    const [got, expected] = [`${bytes} bytes`, `at most ${bufferBytes}`];
    throw new StamError('limit', {
      where: 'prepare',
      problem: 'so many frames fit in no buffer',
      got,
      expected,
    });
  }

  /** The program for V videos that an app may record, if prepare() or load() has made it. Runs have others. */
  claim(videos: number): Program | undefined {
    return this.network.claim(videos);
  }

  /**
   * `frames` [V F, 3, S, S], float32 in 0..1, in the host's memory or in rowLayout in the GPU's, or the decoded pictures of V videos, F
   * each, which are resized and cropped as infer.py does it -> `logits` [V, classes] and whatever else `keep` asks for, by module path.
   * Throws bad-input for what is no whole number of videos, and what Network.run() throws.
   */
  run(frames: ModelInput, options: NetworkRunOptions = {}): Promise<Outputs> {
    return this.network.run(async (signal) => {
      const videos = this.#videosIn(frames);
      return { videos, inputs: { frames: await this.#pixels(frames, videos, signal) } };
    }, options);
  }

  /** What reads pictures for this model. The caller disposes of it. */
  createReader(): PictureReader {
    return new PictureReader(this.device, this.#makeProgram, this.recipe);
  }

  /** A stream of frames on this model's weights. The caller disposes of it. */
  stream(): Promise<FrameStream> {
    return madeUnlessAborted(this.#makeStream(), (made) => made.dispose(), this.network.disposal);
  }

  async #makeStream(): Promise<FrameStream> {
    const { config, device, storage } = this;
    const network = this.network;
    network.check();
    const programs: Program[] = [];
    try {
      for (const graph of [spatialGraph(config, storage), temporalGraph(config, storage)]) {
        programs.push(await network.createProgram(graph));
      }
      const [spatial, temporal] = programs;
      const preprocessor = new Preprocessor(this.#makeProgram, this.recipe);
      const reader = this.createReader();
      return await FrameStream.create({ device, config, storage, spatial, temporal, preprocessor, reader });
    } catch (error) {
      for (const made of programs) made.dispose();
      throw error;
    }
  }

  /** Shapes of what run() returns with this `keep`. */
  outputShapes(videos: number, keep?: (name: string) => boolean): Map<string, readonly number[]> {
    return this.network.outputShapes(videos, keep);
  }

  /** Frees everything; calls that are not over reject with `reason`, by default disposed. */
  dispose(reason?: StamError): void {
    if (this.network.disposal.aborted) return;
    this.network.dispose(reason);
    this.#preprocessor.dispose();
    if (this.#batch) this.device.memory.destroy(this.#batch);
  }

  /** The input of a program: packed rows of the host's, or a buffer into which the queue has been told to put them. */
  async #pixels(frames: ModelInput, videos: number, signal: AbortSignal | undefined): Promise<RunInput> {
    const { imageSize, frames: count } = this.config;
    const shape = [videos * count, 3, imageSize, imageSize];
    if (frames instanceof Float32Array) return rowLayout.pack(frames, shape);
    if (isOnGpu(frames)) return frames;
    if (videos === 1) return await this.#preprocessor.submit(frames[0], count, { signal });
    const bytes = 4 * rowLayout.elements(shape);
    const buffer = await this.#batchBuffer(bytes, signal);
    for (const [i, video] of frames.entries()) {
      const copyTo = { buffer, offset: (i * bytes) / videos };
      await this.#preprocessor.submit(video, count, { copyTo, signal });
    }
    return buffer;
  }

  /** One buffer serves all runs: the queue fills it for the next only after the last has read it. */
  async #batchBuffer(bytes: number, signal: AbortSignal | undefined): Promise<GPUBuffer> {
    const { memory } = this.device;
    if (this.#batch && this.#batch.size >= bytes) return this.#batch;
    if (this.#batch) memory.destroy(this.#batch); // what has been submitted still reads it
    this.#batch = undefined;
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const making = this.device.checked('frames', () => memory.create('frames', 'activations', bytes, usage));
    const batch = await madeUnlessAborted(making, (late) => memory.destroy(late), signal, this.network.disposal);
    this.#batch = batch;
    return batch;
  }

  #videosIn(frames: ModelInput): number {
    const { imageSize, frames: count } = this.config;
    if (frames instanceof Float32Array || isOnGpu(frames)) return videosIn(frames, [count, 3, imageSize, imageSize]);
    if (frames.length > 0) return frames.length;
    throw new StamError('bad-input', { where: 'frames', problem: 'there is no video' });
  }
}

function isOnGpu(frames: ModelInput): frames is GPUBuffer {
  return 'mapState' in frames;
}
