// What gpu-families.ts loads on demand.
export { attentionOuter } from './attention-outer.ts';
export { default as depthwiseChannel } from './depthwise-channel.wgsl';
export { matmulHalves } from './matmul-halves.ts';
export { matmulOuter } from './matmul-outer.ts';
