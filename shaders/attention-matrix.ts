// attention-matrix: both products by subgroup matrices. Needs them for the storage type, a head dimension that is a multiple of 16,
// and workgroup memory for the scores of a row of matrices.
import type { Kernel } from '../engine/kernel.ts';
import type { AttentionFamily } from './attention-family.ts';
import { attentionLabel } from './attention-family.ts';
import source from './attention-matrix.wgsl';
import { matricesOf } from './matrices.ts';
import { storageOf } from './storage.ts';

/** Queries of a workgroup: the more, the fewer times keys and values are read; the fewer, the less memory. */
const queryCounts = [32, 16] as const;
/** Elements of queries that a subgroup's registers hold beside its sums. */
const heldElements = 32 * 96;
const subgroupCount = 4;
/** Keys are padded to so many at least, and to whole matrices. */
const keyMultiple = 16;

export const attentionMatrix: AttentionFamily = (attention, capabilities) => {
  const { sequences, tokens, heads, headQuads } = attention;
  const { limits } = capabilities;
  const [use] = matricesOf(attention.storage, capabilities);
  const dimension = headQuads * 4;
  if (!use || dimension % 16 !== 0 || dimension % use.shape.n !== 0) return [];
  const storage = storageOf(attention.storage, capabilities);
  const { m, n, k } = use.shape;
  const { CHUNK: chunk } = use.constants;
  const multiple = Math.max(keyMultiple, n);
  const keys = Math.ceil(tokens / multiple) * multiple;
  const block = subgroupCount * n;
  return queryCounts.flatMap((queries): Kernel[] => {
    if (queries % m !== 0 || queries * dimension > heldElements) return [];
    // a row of scores, and of the sums that take its place; a row of queries before is shorter
    const scores = queries * Math.max(keys / 4 + 1, dimension / 4 + 2);
    const blocks = Math.max(subgroupCount, dimension / n); // keys, or columns of values
    const blockPitch = Math.max(dimension, block) / chunk + 1;
    const bytes = (scores + blocks * n * blockPitch) * 16 + queries * 4;
    const invocations = subgroupCount * use.lanes;
    if (bytes > limits.workgroupStorageBytes || invocations > limits.workgroupInvocations) return [];
    return [
      {
        name: 'attention-matrix',
        tile: `${queries} queries`,
        variant: `${queries} queries by ${use.label} ${attentionLabel(attention, storage.label)}`,
        source,
        imports: {
          ...use.imports,
          storage: storage.text,
          chunk: use.chunk,
          columns: use.columns,
        },
        constants: {
          ...use.constants,
          SUBGROUPS: subgroupCount,
          TOKENS: tokens,
          HEADS: heads,
          DIMENSION: dimension,
          KEYS: keys,
          DOWN: queries / m,
          STEPS: dimension / k,
          OWN: Math.ceil(dimension / n / subgroupCount),
          PER_LANE: Math.ceil(keys / chunk / use.lanes),
          SCORES: scores,
          BLOCKS: blocks,
          BLOCK_PITCH: blockPitch,
          SCALE: dimension ** -0.5,
        },
        params: {},
        workgroups: [Math.ceil(tokens / queries), heads, sequences],
        features: [...storage.features, ...use.features],
      },
    ];
  });
};
