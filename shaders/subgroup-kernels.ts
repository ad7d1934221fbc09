// What subgroup-families.ts loads on demand.
export { attentionSubgroup } from './attention-subgroup.ts';
export { matmulSubgroup } from './matmul-subgroup.ts';
