// The operators: each adds one node to a graph.
export { add } from './add.ts';
export type { AttentionOptions } from './attention.ts';
export { attention } from './attention.ts';
export type { Activation } from './definitions.ts';
export type { LayerNormOptions } from './layer-norm.ts';
export { layerNorm } from './layer-norm.ts';
export type { LinearOptions, PatchEmbedOptions } from './matmul.ts';
export { linear, patchEmbed } from './matmul.ts';
export { panelLayout } from './panels.ts';
export type { PixelFormat } from './pixels.ts';
export { pictureBytes } from './pixels.ts';
export type { Axis, ResampleOptions, Taps } from './resample.ts';
export { byteLevels, resample, resampleTaps, resampleTexture, tapsInput } from './resample.ts';
export type { TokensOptions } from './tokens.ts';
export { assembleTokens } from './tokens.ts';
