// The one public entry of stam-webgpu, for browsers and Node.
//
//   const stam = await loadStam(source, { model: 'auto' });
//   const logits = await stam.logits(frames);

export type { AdapterDescription, Capabilities } from './engine/device.ts';
export { requiredDevice } from './engine/device.ts';
export type { StamErrorCode } from './engine/errors.ts';
export { StamError } from './engine/errors.ts';
export { version } from './engine/version.ts';
export type { Checkpoint, TensorInfo } from './loaders/checkpoint.ts';
export type { ClipRule } from './loaders/frame-choice.ts';
export { chooseClips, leastFrames } from './loaders/frame-choice.ts';
export type { HttpSourceOptions } from './loaders/http-source.ts';
export { httpSource } from './loaders/http-source.ts';
export { openSafetensors } from './loaders/safetensors.ts';
export type { ShardedSafetensorsOptions } from './loaders/sharded-safetensors.ts';
export { openShardedSafetensors } from './loaders/sharded-safetensors.ts';
export type { ByteSource } from './loaders/source.ts';
export { blobSource, bufferSource } from './loaders/source.ts';
export { openSynthetic } from './loaders/synthetic.ts';
export type { StamConfig } from './model/config.ts';
export { configs } from './model/config.ts';
export { kinetics400 } from './model/labels.ts';
export type {
  ClassifyOptions,
  LoadStamOptions,
  RunStamOptions,
  Stam,
  StamFrames,
  StamInfo,
  StamSource,
  StamStream,
} from './model/load.ts';
export { loadStam } from './model/load.ts';
export type { PictureSource } from './model/pictures.ts';
export type { Prediction } from './model/predictions.ts';
export type { DecodedFrames } from './model/preprocess.ts';
export type { Sampling } from './model/sampling.ts';
export { samplingOf } from './model/sampling.ts';
export type { DType, LoadProgress } from './model/stam-model.ts';
export type { StreamFrame } from './model/stream.ts';
export { weightShapes } from './model/weights.ts';
