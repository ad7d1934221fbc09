// loadStam: from a source of weights to a model that runs, the one call an app makes.
import { madeUnlessAborted, unlessAborted } from '../engine/abort.ts';
import type { AdapterDescription } from '../engine/device.ts';
import { Device, requiredDevice } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { StamError, throwIfAborted } from '../engine/errors.ts';
import { kernelLabel } from '../engine/kernel.ts';
import type { MemoryStatistics } from '../engine/memory.ts';
import { expectCount } from '../engine/options.ts';
import type { Program } from '../engine/program.ts';
import type { TensorSource } from '../engine/weights.ts';
import type { StamConfig } from './config.ts';
import { configFromCheckpoint, configName, describeConfig, namedConfig } from './config.ts';
import { labelsFor } from './labels.ts';
import { exactPicture, expectFrames, expectRecordable, isPictures, PictureInputs } from './picture-inputs.ts';
import type { PictureReader, PictureSource } from './pictures.ts';
import { notPrepared } from './pictures.ts';
import type { Prediction } from './predictions.ts';
import { topPredictions } from './predictions.ts';
import type { DecodedFrames } from './preprocess.ts';
import type { StamModelOptions } from './stam-model.ts';
import { StamModel } from './stam-model.ts';
import type { FrameStream, StreamFrame } from './stream.ts';

/** Named tensors, with the metadata that came with them if any did: what openSafetensors() and openSynthetic() give. */
export type StamSource = TensorSource & { readonly metadata?: ReadonlyMap<string, string> | undefined };

/** What loading a checkpoint takes beside it; everything may be left out. */
export interface LoadCheckpointOptions extends StamModelOptions {
  /** A published name, or 'auto' (the default): the configuration is read off the checkpoint. */
  readonly model?: string | undefined;
  /** Heads of the spatial transformer, where neither the shapes nor the metadata tell. */
  readonly heads?: number | undefined;
  /** The app's own device, used and never destroyed. Left out, one is asked of navigator.gpu and destroyed by dispose(). */
  readonly device?: GPUDevice | undefined;
}

/**
 * V videos: [V, F, 3, S, S] in float32, 0..1, in the host's memory or (each row padded to a multiple of four) in the GPU's; the decoded
 * pictures of V videos, F each; or V F pictures that the browser holds or that lie in textures. Pictures are of any size: they are
 * resized and cropped on the GPU, with the integers of the official infer.py. What a call was given may change once it has settled, and
 * not before: floats, buffers and bytes are read when it is its turn.
 */
export type StamFrames = Float32Array<ArrayBuffer> | GPUBuffer | readonly DecodedFrames[] | readonly PictureSource[];

/** How frames are read, and until when they are waited for. */
export interface RunStamOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * How frames of video (VideoFrame) become R G B. 'exact', the default: their bytes are copied and converted as the official pipeline
   * does it, by BT.601 whatever the video says. 'fast': the GPU reads them where they are, converted by the browser as the video says,
   * which for HD video are other values.
   */
  readonly colors?: 'exact' | 'fast' | undefined;
}

/** What classify() takes beside the frames; everything may be left out. */
export interface ClassifyOptions extends RunStamOptions {
  /** How many classes to give of each video: 5. */
  readonly topk?: number | undefined;
  /** Names of the classes, by number; by default Kinetics-400's where there are 400. */
  readonly labels?: readonly string[] | undefined;
}

/** The last F frames of a stream: each new one costs one pass of the spatial transformer, a prediction one of the temporal. */
export interface StamStream {
  /** Frames that a prediction would be of: at most F, and at least F are needed for one. */
  readonly length: number;
  /** Adds a frame: [3, S, S], one decoded picture, or one of the browser's or in a texture, which may change once this has settled. */
  push(frame: StreamFrame, options?: RunStamOptions): Promise<void>;
  /** The `topk` most probable classes of the last F frames. Throws bad-input before there are as many. */
  predict(options?: ClassifyOptions): Promise<readonly Prediction[]>;
  /** The logits of the last F frames, [classes]. Throws bad-input before there are as many. */
  logits(options?: { readonly signal?: AbortSignal | undefined }): Promise<Float32Array<ArrayBuffer>>;
  /** Forgets all frames. */
  reset(): Promise<void>;
  /** Frees the stream's memory; the model stays. */
  dispose(): void;
}

/** What is running, and how. */
export interface StamInfo {
  readonly model: string;
  readonly config: StamConfig;
  readonly dtype: StorageType;
  readonly adapter: AdapterDescription;
  readonly features: readonly string[];
  /** Where the choice of kernels comes from: a rule, or a tuning and its date. */
  readonly tuning: string;
  /** How many kernels the self-check has tried on this device so far and what came of it; `off` if it was turned off. */
  readonly selfCheck: string;
  /** What was made up for the checkpoint or left out of it, and kernels that the self-check dropped; onNotice was told the same. */
  readonly notices: readonly string[];
  /** Each distinct kernel of the plan that was made while loading and how often it is dispatched. */
  readonly kernels: readonly { readonly kernel: string; readonly calls: number }[];
}

/** A loaded model. */
export interface Stam {
  readonly config: StamConfig;
  /** V videos -> [V, classes]. Calls may overlap; they are queued. Throws bad-input for what is no whole number of videos. */
  logits(frames: StamFrames, options?: RunStamOptions): Promise<Float32Array<ArrayBuffer>>;
  /**
   * The `topk` (5) most probable classes of each of V videos, best first. Frames as logits() takes them; labels are those of the
   * options, else Kinetics-400's for a model of 400 classes, else null.
   */
  classify(frames: StamFrames, options?: ClassifyOptions): Promise<readonly (readonly Prediction[])[]>;
  /**
   * Records one forward of V videos (1) into the caller's encoder and returns the buffer of logits, [V, classes] in float32, each row
   * padded to a multiple of four. Nothing is submitted or read back. `frames` is a buffer as StamFrames has it, or V F pictures:
   * textures and frames of video are read while the commands run, other pictures are copied now, to where the next encode() copies its
   * own: submit before that. It may be submitted while other calls are on their way. The buffer is valid until the next encode() of as
   * many videos. Throws bad-input for what prepare() has not made ready; buffers of the `videos` of loadStam() are ready, too, unless a
   * call of logits() for as many is on its way.
   */
  encode(encoder: GPUCommandEncoder, frames: GPUBuffer | readonly PictureSource[], videos?: number): GPUBuffer;
  /**
   * Makes ready what encode() needs: for V videos, or for pictures of the sizes of these, at most four. It takes memory until dispose(),
   * beside that of calls of logits() for as many; of sizes the four that were prepared last do.
   */
  prepare(options?: {
    readonly videos?: number | undefined;
    readonly pictures?: readonly PictureSource[] | undefined;
  }): Promise<void>;
  /** Begins a stream of frames. */
  stream(): Promise<StamStream>;
  info(): StamInfo;
  /**
   * Loads everything again, from the same source, after a device-lost: on a device of its own, or on `device` where the first one was the
   * app's. Streams of before are gone, and calls that are not over reject with device-lost. Called again meanwhile, it waits for the same
   * recovery, or, on another device, for its turn. Throws what loadStam() throws, apart from an AbortError: the signal was that of the
   * first load. Then it may be tried again.
   */
  recover(device?: GPUDevice): Promise<void>;
  memory(): MemoryStatistics;
  /** Frees all memory; the device too if it was not the caller's. Safe to call twice. */
  dispose(): void;
}

/** Opens the weights, at the first load and at each recovery. What it gives is closed when the weights are on the GPU. */
export type OpenSource = (
  signal: AbortSignal | undefined,
) => Promise<{ readonly source: StamSource; close(): Promise<void> }>;

/**
 * Uploads the weights and compiles the kernels. A checkpoint that does not fit is refused with the names of the tensors. A source that is
 * a checkpoint has to stay open for recover().
 */
export async function loadStam(source: StamSource | OpenSource, options: LoadCheckpointOptions = {}): Promise<Stam> {
  const open: OpenSource = typeof source === 'function' ? source : async () => ({ source, close: async () => {} });
  const own = { ...options }; // recover() wants them as they were
  return new LoadedStam(open, own, await loadParts(open, own, own.device));
}

/** What is lost with a device. */
interface Parts {
  readonly device: Device;
  readonly model: StamModel;
  /** The program that was made while loading. */
  readonly program: Program;
  readonly reader: PictureReader;
  readonly inputs: PictureInputs;
}

async function loadParts(
  open: OpenSource,
  { model: name = 'auto', heads, ...rest }: LoadCheckpointOptions,
  gpu: GPUDevice | undefined,
  before?: StamConfig,
): Promise<Parts> {
  const { signal } = rest;
  throwIfAborted(signal);
  const opened = await madeUnlessAborted(open(signal), ({ close }) => void close().catch(() => undefined), signal);
  const { close } = opened;
  let { source } = opened;
  let device: Device | undefined;
  try {
    // a file of its own in the library for browsers: few checkpoints have other names
    if (!source.tensors.has('cls_token')) source = (await import('./names.ts')).withoutPrefix(source);
    const config = name === 'auto' ? configFromCheckpoint(source, { heads }) : namedConfig(name);
    if (before) expectSame(config, before);
    const making = gpu ? Device.adopt(gpu) : requestDevice();
    device = await madeUnlessAborted(making, (made) => made.dispose(), signal);
    const model = await StamModel.load(device, config, source, rest);
    const program = await model.program(rest.videos ?? 1);
    const reader = model.createReader();
    await close();
    return { device, model, program, reader, inputs: new PictureInputs(device, config, reader) };
  } catch (error) {
    device?.dispose();
    void close().catch(() => undefined); // it may be what stalls, and there is a better error to tell
    throw error;
  }
}

class LoadedStam implements Stam {
  readonly #open: OpenSource;
  readonly #options: LoadCheckpointOptions;
  #parts: Parts;
  /** The one that was begun last, until it is over. */
  #recovery: { readonly device: GPUDevice | undefined; readonly done: Promise<void> } | undefined;
  readonly #disposal = new AbortController();

  constructor(open: OpenSource, options: LoadCheckpointOptions, parts: Parts) {
    this.#open = open;
    this.#options = options;
    this.#parts = parts;
  }

  get config(): StamConfig {
    return this.#parts.model.config;
  }

  async logits(frames: StamFrames, { signal, colors }: RunStamOptions = {}): Promise<Float32Array<ArrayBuffer>> {
    const { inputs, model } = this.#parts;
    throwIfAborted(signal);
    expectFrames(frames);
    const reading = inputs.of(frames, colors, signal);
    const { input, release } = await madeUnlessAborted(reading, (made) => made.release(), signal);
    try {
      return (await model.run(input, { signal })).get('logits') ?? new Float32Array();
    } finally {
      release();
    }
  }

  async classify(frames: StamFrames, { topk = 5, labels, ...options }: ClassifyOptions = {}) {
    const { classes } = this.config;
    const names = labelsFor(classes, labels);
    expectCount('topk', topk); // before the work
    const all = await this.logits(frames, options);
    return Array.from({ length: all.length / classes }, (_, video) =>
      topPredictions(all.subarray(video * classes, (video + 1) * classes), topk, names),
    );
  }

  encode(encoder: GPUCommandEncoder, frames: GPUBuffer | readonly PictureSource[], videos = 1): GPUBuffer {
    const { inputs, model } = this.#parts;
    expectRecordable(frames);
    const count = isPictures(frames) ? inputs.videosIn(frames) : videos;
    const program = model.claim(count) ?? notPrepared(`${count} videos`);
    program.encode(encoder, { frames: isPictures(frames) ? inputs.encode(encoder, frames) : frames });
    return program.output('logits');
  }

  async prepare({ pictures, videos }: Parameters<Stam['prepare']>[0] = {}): Promise<void> {
    const { inputs, model } = this.#parts;
    if (pictures) expectRecordable(pictures);
    await model.prepare(pictures ? inputs.videosIn(pictures) : (videos ?? 1));
    if (pictures) await inputs.prepare(pictures);
  }

  async stream(): Promise<StamStream> {
    return streamOf(await this.#parts.model.stream(), this.config);
  }

  info(): StamInfo {
    const { device, model, program } = this.#parts;
    const calls = new Map<string, number>();
    for (const command of program.plan.commands) {
      if (command.kind !== 'dispatch') continue;
      const label = kernelLabel(command.kernel);
      calls.set(label, (calls.get(label) ?? 0) + 1);
    }
    return {
      model: configName(this.config) ?? 'custom',
      config: this.config,
      dtype: model.storage,
      adapter: device.capabilities.adapter,
      features: [...device.capabilities.features],
      tuning: model.tuning.origin,
      selfCheck: model.selfCheck,
      notices: model.notices,
      kernels: [...calls].map(([kernel, count]) => ({ kernel, calls: count })),
    };
  }

  memory(): MemoryStatistics {
    return this.#parts.device.memory.statistics();
  }

  async recover(device?: GPUDevice): Promise<void> {
    throwIfAborted(this.#disposal.signal);
    if (this.#options.device && !device) {
      throw new StamError('bad-input', {
        where: 'recover',
        problem: "the device was the app's own, and is not replaced behind its back",
        expected: 'a new device',
      });
    }
    const before = this.#recovery;
    if (before && before.device === device) return await before.done;
    const recovery = { device, done: this.#recover(device, before?.done) };
    this.#recovery = recovery;
    try {
      await recovery.done;
    } finally {
      if (this.#recovery === recovery) this.#recovery = undefined;
    }
  }

  dispose(): void {
    this.#disposal.abort(new StamError('disposed', { where: 'model', problem: 'it was disposed of' }));
    disposeOf(this.#parts);
  }

  async #recover(device: GPUDevice | undefined, before: Promise<void> | undefined): Promise<void> {
    const { signal } = this.#disposal;
    await unlessAborted(
      (before ?? Promise.resolve()).catch(() => undefined),
      signal,
    ); // whoever asked for that one hears of it
    const parts = await loadParts(this.#open, { ...this.#options, signal }, device, this.config);
    const old = this.#parts;
    this.#parts = parts;
    const moved = { where: 'model', problem: 'its device was replaced by recover()', hint: 'call again' };
    disposeOf(old, new StamError('device-lost', moved));
    if (!signal.aborted) return;
    disposeOf(parts);
    throwIfAborted(signal);
  }
}

function disposeOf({ reader, inputs, model, device }: Parts, reason?: StamError): void {
  model.dispose(reason);
  for (const part of [reader, inputs, device]) part.dispose(reason);
}

/** Throws shape-mismatch: whoever loaded one model does not want another back. */
function expectSame(config: StamConfig, before: StamConfig): void {
  const [got, expected] = [config, before].map(describeConfig);
  if (JSON.stringify(config) === JSON.stringify(before)) return;
  throw new StamError('shape-mismatch', { where: 'recover', problem: 'the source holds another model', got, expected });
}

function streamOf(frames: FrameStream, { classes }: StamConfig): StamStream {
  return {
    get length() {
      return frames.length;
    },
    push: (frame, { signal, colors } = {}) => frames.push(exactPicture(frame, colors), signal),
    async predict({ topk = 5, labels, signal } = {}) {
      const names = labelsFor(classes, labels);
      expectCount('topk', topk); // before the work
      return topPredictions(await frames.logits(signal), topk, names);
    },
    logits: ({ signal } = {}) => frames.logits(signal),
    reset: () => frames.reset(),
    dispose: () => frames.dispose(),
  };
}

async function requestDevice(): Promise<Device> {
  if (typeof navigator === 'undefined' || !navigator.gpu) {
    throw new StamError('no-webgpu', {
      where: 'navigator.gpu',
      problem: 'this browser or runtime has no WebGPU',
      hint: 'in Node, make a device with the npm package `webgpu` and pass it as `device`',
    });
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new StamError('no-adapter', { where: 'navigator.gpu', problem: 'no GPU adapter is available' });
  return await Device.request(adapter, requiredDevice(adapter));
}
