// What matrix-families.ts loads on demand.
export { attentionMatrix } from './attention-matrix.ts';
export { matmulMatrix } from './matmul-matrix.ts';
