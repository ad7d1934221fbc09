// The one public entry of stam-webgpu, for browsers and Node.
//
//   const stam = await loadStam('/stam_16.safetensors');
//   const [top] = await stam.classify(frames);
import type { OpenWeightsOptions, WeightInput } from './loaders/open-weights.ts';
import { openWeights } from './loaders/open-weights.ts';
import type { LoadCheckpointOptions, Stam, StamSource } from './model/load.ts';
import { loadStam as loadFromCheckpoint } from './model/load.ts';

/** What loadStam() takes beside the weights; everything may be left out. */
export interface LoadStamOptions extends LoadCheckpointOptions, Pick<OpenWeightsOptions, 'cache' | 'key'> {}

/**
 * Loads a model: reads the weights, uploads them one tensor at a time as they arrive, and compiles the kernels meanwhile. `source` is an
 * address, a path (in Node), a Request, a File or Blob, bytes, a stream, or an opened Checkpoint, which stays open.
 * Throws a StamError: bad-checkpoint, missing-tensor or shape-mismatch for a file that is damaged or no such model, by the name of the
 * tensor; bad-input for a source that cannot be read; no-webgpu, no-adapter, limit, out-of-memory, shader or device-lost for what the
 * GPU lacks. An aborted call rejects with the signal's reason, by default an AbortError.
 */
export async function loadStam(source: WeightInput | StamSource, options: LoadStamOptions = {}): Promise<Stam> {
  if (source && typeof source === 'object' && 'tensors' in source) return await loadFromCheckpoint(source, options);
  const { cache, key, onProgress, onNotice } = options;
  const onRead = (loaded: number, total: number) => onProgress?.({ stage: 'download', loaded, total });
  const open = async (signal: AbortSignal | undefined) => {
    const checkpoint = await openWeights(source, { signal, cache, key, onRead, onNotice });
    return { source: checkpoint, close: () => checkpoint.close() };
  };
  return await loadFromCheckpoint(open, options);
}

export type { AdapterDescription, Capabilities } from './engine/device.ts';
// The engine by itself, for networks of an app's own: a Graph built by operators is planned for a Device, and a Program runs the plan on
// Weights that were uploaded. demo/examples/ has an MLP and a ViT so.
export { Device, describeAdapter, formatAdapter, requiredDevice } from './engine/device.ts';
export type { StorageType } from './engine/dtype.ts';
export type { StamErrorCode } from './engine/errors.ts';
export { StamError } from './engine/errors.ts';
export type { GraphNode, Part, Value } from './engine/graph.ts';
export { Graph } from './engine/graph.ts';
export type { Layout } from './engine/layout.ts';
export { rowLayout } from './engine/layout.ts';
export type { MemoryStatistics } from './engine/memory.ts';
export type { Plan } from './engine/plan.ts';
export { createPlan, formatPlan } from './engine/plan.ts';
export type { RunInputs, RunOptions } from './engine/program.ts';
export { Program } from './engine/program.ts';
export type { Outputs } from './engine/read-back.ts';
export type { Shape } from './engine/shape.ts';
export { version } from './engine/version.ts';
export type { TensorSource, UploadOptions } from './engine/weights.ts';
export { Weights } from './engine/weights.ts';
export type { Checkpoint, TensorInfo } from './loaders/checkpoint.ts';
export type { HttpSourceOptions } from './loaders/http-source.ts';
export { httpSource } from './loaders/http-source.ts';
export type { OpenCheckpointOptions } from './loaders/open-checkpoint.ts';
export { openCheckpoint } from './loaders/open-checkpoint.ts';
export type { OpenWeightsOptions, WeightInput } from './loaders/open-weights.ts';
export { openWeights } from './loaders/open-weights.ts';
export { openSafetensors } from './loaders/safetensors.ts';
export type { ByteSource } from './loaders/source.ts';
export { blobSource, bufferSource } from './loaders/source.ts';
export { openSynthetic } from './loaders/synthetic.ts';
export type {
  Clip,
  ClipProgress,
  ClipSource,
  FrameChoice,
  PacketSink,
  ReadClipOptions,
  VideoPacket,
} from './loaders/video/clip.ts';
export type { ClipRule } from './loaders/video/frame-choice.ts';
export { chooseClips, leastFrames } from './loaders/video/frame-choice.ts';
export { readClip } from './loaders/video/read-clip.ts';
export type { StamConfig } from './model/config.ts';
export { configs } from './model/config.ts';
export { kinetics400 } from './model/labels.ts';
export type {
  ClassifyOptions,
  RunStamOptions,
  Stam,
  StamFrames,
  StamInfo,
  StamSource,
  StamStream,
} from './model/load.ts';
export type { LoadProgress } from './model/network.ts';
export type { PictureSource } from './model/pictures.ts';
export type { DType } from './model/planner.ts';
export type { Prediction } from './model/predictions.ts';
export type { DecodedFrames } from './model/preprocess.ts';
export type { Sampling } from './model/sampling.ts';
export { samplingOf } from './model/sampling.ts';
export type { StreamFrame } from './model/stream.ts';
export { weightShapes } from './model/weights.ts';
export type {
  Activation,
  AttentionOptions,
  LayerNormOptions,
  LinearOptions,
  PatchEmbedOptions,
  TokensOptions,
} from './shaders/index.ts';
export { add, assembleTokens, attention, layerNorm, linear, panelLayout, patchEmbed } from './shaders/index.ts';
