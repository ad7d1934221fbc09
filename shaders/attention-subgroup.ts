// attention-subgroup: a subgroup's own memory only. Needs subgroups of a known size that divides the quads of a head.
import type { AttentionFamily } from './attention-family.ts';
import { attentionLabel } from './attention-family.ts';
import source from './attention-subgroup.wgsl';
import { packedStorageOf } from './storage.ts';
import { rowLoops, subgroupsOf } from './subgroups.ts';

/** Scores of a row of more tokens take compilers minutes: SwiftShader 12 seconds for 261 tokens, 26 for 512, over three minutes for 1568. */
const mostTokens = 512;
/** The most queries that a subgroup takes. */
const mostRows = 40;
/** Keys that a lane multiplies at a time. */
const keys = 2;

export const attentionSubgroup: AttentionFamily = (attention, capabilities) => {
  const { sequences, tokens, heads, headQuads } = attention;
  const subgroups = subgroupsOf(capabilities);
  if (!subgroups || tokens > mostTokens || headQuads % subgroups.lanes !== 0) return [];
  const { lanes } = subgroups;
  const storage = packedStorageOf(attention.storage);
  const blocks = Math.ceil(tokens / mostRows);
  const rows = Math.ceil(tokens / blocks); // blocks of one size, so that few rows are computed for nothing
  const loops = rowLoops(rows, capabilities);
  return [
    {
      name: 'attention-subgroup',
      variant: `${rows} rows ${attentionLabel(attention, storage.label)}`,
      source,
      imports: { storage: storage.text, subgroup: subgroups.text, 'row-count': loops.text },
      constants: {
        TOKENS: tokens,
        HEADS: heads,
        HEAD_QUADS: headQuads,
        QUADS: headQuads / lanes,
        LANES: lanes,
        ...loops.constants,
        KEYS: keys,
        SCALE: (headQuads * 4) ** -0.5,
      },
      params: {},
      workgroups: [blocks, heads, sequences],
      features: [...storage.features, ...subgroups.features],
    },
  ];
};
