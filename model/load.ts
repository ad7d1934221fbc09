// loadStam: from a source of weights to a model that runs, the one call an app makes.
import type { AdapterDescription } from '../engine/device.ts';
import { Device, requiredDevice } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { StamError, throwIfAborted } from '../engine/errors.ts';
import { kernelLabel } from '../engine/kernel.ts';
import type { MemoryStatistics } from '../engine/memory.ts';
import type { TensorSource } from '../engine/weights.ts';
import type { StamConfig } from './config.ts';
import { configFromCheckpoint, configName, namedConfig } from './config.ts';
import { labelsFor } from './labels.ts';
import type { Prediction } from './predictions.ts';
import { topPredictions } from './predictions.ts';
import type { DecodedFrames } from './preprocess.ts';
import type { StamModelOptions } from './stam-model.ts';
import { StamModel } from './stam-model.ts';

/** Named tensors with the metadata that came with them: what openSafetensors() and openSynthetic() give. */
export type StamSource = TensorSource & { readonly metadata: ReadonlyMap<string, string> };

/** What loadStam() takes beside the weights; everything may be left out. */
export interface LoadStamOptions extends StamModelOptions {
  /** A published name, or 'auto' (the default): the configuration is read off the checkpoint. */
  readonly model?: string | undefined;
  /** Heads of the spatial transformer, where neither the shapes nor the metadata tell. */
  readonly heads?: number | undefined;
  /** The app's own device, used and never destroyed. Left out, one is asked of navigator.gpu and destroyed by dispose(). */
  readonly device?: GPUDevice | undefined;
}

/**
 * [V, F, 3, S, S], float32 in 0..1; or the decoded pictures of V videos, F each, of any size, which are resized and cropped on the GPU,
 * byte for byte as the official infer.py does it.
 */
export type StamFrames = Float32Array<ArrayBuffer> | readonly DecodedFrames[];

/** What classify() takes beside the frames; everything may be left out. */
export interface ClassifyOptions {
  /** How many classes to give of each video: 5. */
  readonly topk?: number | undefined;
  /** Names of the classes, by number. */
  readonly labels?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
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
  /** Each distinct kernel of one video's plan and how often it is dispatched. */
  readonly kernels: readonly { readonly kernel: string; readonly calls: number }[];
}

/** A loaded model. */
export interface Stam {
  readonly config: StamConfig;
  /** V videos -> [V, classes]. Calls may overlap; they are queued. Throws bad-input for what is no whole number of videos. */
  logits(frames: StamFrames, options?: { signal?: AbortSignal }): Promise<Float32Array<ArrayBuffer>>;
  /**
   * The `topk` (5) most probable classes of each of V videos, best first. Frames as logits() takes them; labels are those of the
   * options, else Kinetics-400's for a model of 400 classes, else null.
   */
  classify(frames: StamFrames, options?: ClassifyOptions): Promise<readonly (readonly Prediction[])[]>;
  /**
   * Records one forward of V videos into the caller's encoder and returns the buffer of logits, [V, classes] in float32, each row
   * padded to a multiple of four. Nothing is submitted or read back. `frames`, [V, F, 3, S, S] in float32, each row padded likewise,
   * is read while the commands run. The buffer is valid until the next call with as many videos.
   */
  encode(encoder: GPUCommandEncoder, frames: GPUBuffer, videos?: number): Promise<GPUBuffer>;
  info(): Promise<StamInfo>;
  memory(): MemoryStatistics;
  /** Frees all memory; the device too if it was not the caller's. Safe to call twice. */
  dispose(): void;
}

/** Uploads the weights and compiles the kernels. A checkpoint that does not fit is refused by the name of the tensor. */
export async function loadStam(source: StamSource, options: LoadStamOptions = {}): Promise<Stam> {
  const { model: name = 'auto', device: gpu, heads, ...rest } = options;
  throwIfAborted(rest.signal);
  const config = name === 'auto' ? configFromCheckpoint(source, { heads }) : namedConfig(name);
  const device = gpu ? await Device.adopt(gpu) : await requestDevice();
  let model: StamModel;
  try {
    model = await StamModel.load(device, config, source, rest);
  } catch (error) {
    device.dispose();
    throw error;
  }
  const logits: Stam['logits'] = async (frames, runOptions = {}) => {
    return (await model.run(frames, runOptions)).get('logits') ?? new Float32Array();
  };
  return {
    config,
    logits,
    async classify(frames, { topk = 5, labels, signal } = {}) {
      const { classes } = config;
      const names = labelsFor(classes, labels);
      const all = await logits(frames, signal && { signal });
      return Array.from({ length: all.length / classes }, (_, video) =>
        topPredictions(all.subarray(video * classes, (video + 1) * classes), topk, names),
      );
    },
    async encode(encoder, frames, videos = 1) {
      const program = await model.program(videos);
      program.encode(encoder, { frames });
      return program.output('logits');
    },
    async info() {
      const { plan } = await model.program(1);
      const calls = new Map<string, number>();
      for (const command of plan.commands) {
        if (command.kind === 'dispatch') {
          const label = kernelLabel(command.kernel);
          calls.set(label, (calls.get(label) ?? 0) + 1);
        }
      }
      return {
        model: configName(config) ?? 'custom',
        config,
        dtype: model.storage,
        adapter: device.capabilities.adapter,
        features: [...device.capabilities.features],
        tuning: model.tuning.origin,
        kernels: [...calls].map(([kernel, count]) => ({ kernel, calls: count })),
      };
    },
    memory: () => device.memory.statistics(),
    dispose() {
      model.dispose();
      device.dispose();
    },
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
