// attention-tile: the scores of a block of queries and keys pass through workgroup memory. Needs no feature.
import type { AttentionFamily } from './attention-family.ts';
import { attentionLabel } from './attention-family.ts';
import source from './attention-tile.wgsl';
import { storageOf } from './storage.ts';
import { unitOf } from './units.ts';

const lanes = 8; // of a line
const lines = 8;

export const attentionTile: AttentionFamily = (attention, capabilities) => {
  const { sequences, tokens, heads, headQuads } = attention;
  const storage = storageOf(attention.storage, capabilities);
  const unit = unitOf(attention.storage, headQuads, lanes);
  const laneUnits = Math.ceil(headQuads / unit.quads / lanes);
  const laneQueries = chooseQueries(tokens, laneUnits * unit.quads);
  return [
    {
      name: 'attention-tile',
      variant: attentionLabel(attention, storage.label),
      source,
      imports: { storage: storage.text, unit: unit.text },
      constants: {
        TOKENS: tokens,
        HEADS: heads,
        HEAD_QUADS: headQuads,
        UNIT: unit.quads,
        LANE_QUERIES: laneQueries,
        LANE_UNITS: laneUnits,
        LANE_QUADS: laneUnits * unit.quads,
        // 32 keys of four quads, loaded by 64 invocations
        KEY_LOADS: 2 / unit.quads,
        SCALE: (headQuads * 4) ** -0.5,
      },
      params: { tokens, head_units: headQuads / unit.quads },
      workgroups: [Math.ceil(tokens / (lines * laneQueries)), heads, sequences],
      features: storage.features,
    },
  ];
};

/**
 * Queries of a lane: as few rows past the last token as possible, where each workgroup costs as much as another line of queries, which
 * is its way through the keys. More than five queries, or 48 sums, would halve how many workgroups a GPU holds.
 */
function chooseQueries(tokens: number, laneQuads: number): number {
  const most = Math.max(1, Math.min(5, Math.floor((laneQuads > 3 ? 8 : 12) / laneQuads)));
  const cost = (queries: number) => Math.ceil(tokens / (lines * queries)) * (queries + 1);
  return Array.from({ length: most }, (_, i) => i + 1).reduce((best, queries) =>
    cost(queries) <= cost(best) ? queries : best,
  );
}
