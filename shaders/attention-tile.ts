// attention-tile: keys and values pass through workgroup memory, an invocation a query. Needs no feature.
import type { AttentionFamily } from './attention-family.ts';
import { attentionLabel } from './attention-family.ts';
import source from './attention-tile.wgsl';
import { storageOf } from './storage.ts';

export const attentionTile: AttentionFamily = (attention, capabilities) => {
  const { sequences, tokens, heads, headQuads } = attention;
  const storage = storageOf(attention.storage, capabilities);
  // keys and values of a block share WebGPU's guaranteed 16 KiB
  const block = Math.min(16, Math.floor(16384 / (headQuads * 32)));
  if (block === 0) return [];
  return [
    {
      name: 'attention-tile',
      variant: attentionLabel(attention, storage.label),
      source,
      imports: { storage: storage.text },
      constants: {
        TOKENS: tokens,
        HEADS: heads,
        HEAD_QUADS: headQuads,
        BLOCK: block,
        SCALE: (headQuads * 4) ** -0.5,
      },
      params: {},
      workgroups: [Math.ceil(tokens / 64), heads, sequences],
      features: storage.features,
    },
  ];
};
