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
export type { OpenCheckpointOptions } from './loaders/open-checkpoint.ts';
export { openCheckpoint } from './loaders/open-checkpoint.ts';
export type { PthOptions } from './loaders/pth.ts';
export { openPth } from './loaders/pth.ts';
export { openSafetensors } from './loaders/safetensors.ts';
export { blobSource, bufferSource } from './loaders/source.ts';
export { openSynthetic } from './loaders/synthetic.ts';
export type { StamConfig } from './model/config.ts';
export { configs } from './model/config.ts';
export type { LoadStamOptions, Stam, StamInfo, StamSource } from './model/load.ts';
export { loadStam } from './model/load.ts';
export type { DType, LoadProgress } from './model/stam-model.ts';
export { weightShapes } from './model/weights.ts';
