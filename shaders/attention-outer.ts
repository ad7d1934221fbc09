// attention-outer: scores and output as outer products, the family for GPUs whose lanes have few registers. Needs no feature.
import type { AttentionFamily } from './attention-family.ts';
import { attentionLabel } from './attention-family.ts';
import source from './attention-outer.wgsl';
import { storageOf } from './storage.ts';

const invocations = 64;
/** Keys of a block. */
const keys = 32;
/** Quads of channels that a lane has registers for, twice. */
const mostLaneQuads = 2;

export const attentionOuter: AttentionFamily = (attention, capabilities) => {
  const { sequences, tokens, heads, headQuads } = attention;
  const storage = storageOf(attention.storage, capabilities);
  const lineLanes = headQuads > 8 * mostLaneQuads ? 16 : 8;
  const laneQuads = Math.ceil(headQuads / lineLanes);
  return [
    {
      name: 'attention-outer',
      variant: attentionLabel(attention, storage.label),
      source,
      imports: { storage: storage.text },
      constants: {
        TOKENS: tokens,
        HEADS: heads,
        HEAD_QUADS: headQuads,
        LINE_LANES: lineLanes,
        LANE_PAIRS: keys / 2 / lineLanes,
        LANE_QUADS: laneQuads,
        SUMS: 2 * laneQuads,
        SCALE: (headQuads * 4) ** -0.5,
      },
      params: { tokens, head_quads: headQuads, staged_pairs: 8 },
      workgroups: [Math.ceil((tokens * lineLanes) / (2 * invocations)), heads, sequences],
      features: storage.features,
    },
  ];
};
