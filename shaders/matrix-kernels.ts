// What matrix-families.ts loads on demand.
export { attentionFlash } from './attention-flash.ts';
export { attentionMatrix } from './attention-matrix.ts';
export { matmulMatrix } from './matmul-matrix.ts';
