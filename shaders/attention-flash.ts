// attention-flash: both products by subgroup matrices, a block of keys at a time, for any number of tokens. Needs matrices for the storage
// type and a head dimension that is a multiple of 16.
import type { Capabilities } from '../engine/device.ts';
import type { Kernel } from '../engine/kernel.ts';
import type { Attention, AttentionFamily } from './attention-family.ts';
import { attentionLabel } from './attention-family.ts';
import source from './attention-flash.wgsl';
import type { MatrixUse } from './matrices.ts';
import { matricesOf } from './matrices.ts';
import { storageOf } from './storage.ts';

/** How a workgroup is cut up: each subgroup has whole rows of queries. */
export interface FlashTile {
  readonly queries: number;
  readonly subgroups: number;
  /** Keys of a block. */
  readonly keys: number;
}

/**
 * In the order of their speed on Hopper, 197 tokens of 64 channels. Subgroups of 32 rows load half as many fragments of keys and values,
 * and hold twice as much in registers, which Mesa's compiler for RDNA3 spills.
 */
export const flashTiles: readonly FlashTile[] = [
  { queries: 64, subgroups: 4, keys: 32 },
  { queries: 128, subgroups: 8, keys: 32 },
  { queries: 128, subgroups: 4, keys: 32 },
  { queries: 64, subgroups: 4, keys: 64 },
  { queries: 32, subgroups: 2, keys: 32 },
  { queries: 128, subgroups: 8, keys: 16 },
  { queries: 32, subgroups: 2, keys: 16 },
];

export const attentionFlash: AttentionFamily = (attention, capabilities) =>
  matricesOf(attention.storage, capabilities).flatMap((use, index) => {
    const kernels = tilesFor(attention).flatMap((tile) => kernelOf(tile, use, attention, capabilities) ?? []);
    return index === 0 ? kernels : kernels.slice(0, 1); // a shape that is not the likeliest is tried as the best tile only
  });

/**
 * Wide heads leave the registers for few keys: of 96, Mesa's compiler for RDNA3 spills blocks of 32. Few tokens leave most of a large block
 * of queries empty.
 */
function tilesFor({ headQuads, tokens }: Attention): readonly FlashTile[] {
  const tiles = headQuads > 16 ? flashTiles.toSorted((a, b) => a.keys - b.keys) : flashTiles;
  return tokens <= 32 ? tiles.toSorted((a, b) => a.queries - b.queries) : tiles;
}

/** Undefined where the shape of the matrices or the device's workgroup memory or invocations do not allow it. */
function kernelOf(
  tile: FlashTile,
  use: MatrixUse,
  attention: Attention,
  capabilities: Capabilities,
): Kernel | undefined {
  const { sequences, tokens, heads, headQuads } = attention;
  const { limits } = capabilities;
  const dimension = headQuads * 4;
  const parts = partition(tile, use, dimension);
  if (!parts || parts.memory > limits.workgroupStorageBytes || parts.invocations > limits.workgroupInvocations) {
    return undefined;
  }
  const { queries, subgroups, keys } = tile;
  const storage = storageOf(attention.storage, capabilities);
  const name = `${queries} queries by ${subgroups}, ${keys} keys ${use.label}`;
  return {
    name: 'attention-flash',
    tile: name,
    variant: `${name} ${attentionLabel(attention, storage.label)}`,
    source,
    imports: { ...use.imports, chunk: use.chunk, columns: use.columns },
    constants: {
      ...use.constants,
      SUBGROUPS: subgroups,
      TOKENS: tokens,
      HEADS: heads,
      DIMENSION: dimension,
      KEYS: keys,
      ...parts.constants,
      SCALE: dimension ** -0.5 * Math.LOG2E,
    },
    params: { tokens },
    workgroups: [Math.ceil(tokens / queries), heads, sequences],
    features: [...storage.features, ...use.features],
  };
}

/** Queries and sums, in elements, that a subgroup's registers hold. */
const heldElements = 32 * 64;

/** A tile in matrices of a shape: workgroup memory in bytes, and what the text has as constants. */
function partition(
  { queries, subgroups, keys }: FlashTile,
  { shape: { m, n, k }, lanes, constants: { CHUNK: chunk } }: MatrixUse,
  dimension: number,
): { readonly invocations: number; readonly memory: number; readonly constants: Record<string, number> } | undefined {
  const rows = queries / subgroups;
  const invocations = subgroups * lanes;
  const whole = [dimension % 16, dimension % n, dimension % k, rows % m, keys % n, keys % k, keys % chunk];
  if (whole.some((rest) => rest !== 0)) return undefined;
  if (rows > m && rows * dimension > heldElements) return undefined;
  const laneParts = Math.max(1, lanes / rows);
  if (keys / laneParts < chunk) return undefined;
  const headChunks = dimension / chunk;
  const stripQuads = keys / 4 + keys / chunk;
  const stageChunks = [8, 4, 2].find((count) => headChunks % count === 0 && count * 4 <= invocations) ?? 1;
  const queryChunks = largestDivisor(headChunks, stripQuads, (chunks) => (chunks * chunk) % k === 0);
  const block = Math.max(keys * (headChunks + 1), dimension * (keys / chunk + 1));
  const trip = largestDivisor(dimension / n, keys / n);
  const out = largestDivisor(dimension / n, Math.floor((stripQuads * 4) / n));
  return {
    invocations,
    memory: (2 * block + queries * (stripQuads + 1)) * 16 + subgroups * 4,
    constants: {
      DOWN: rows / m,
      ACROSS: dimension / n,
      STEPS: dimension / k,
      KEY_MATRICES: keys / n,
      KEY_STEPS: keys / k,
      QUERY_CHUNKS: queryChunks,
      QUERY_PARTS: headChunks / queryChunks,
      QUERY_STEPS: (queryChunks * chunk) / k,
      BLOCK: block,
      STAGE_CHUNKS: stageChunks,
      STAGES: (Math.ceil((keys * stageChunks) / invocations) * headChunks) / stageChunks,
      VALUE_STAGES: (Math.ceil((keys * 4 * stageChunks) / chunk / invocations) * headChunks) / stageChunks,
      LANE_ROWS: Math.max(1, rows / lanes),
      LANE_QUADS: keys / 4 / laneParts,
      LANE_CHUNKS: keys / chunk / laneParts,
      PART_BITS: Math.log2(laneParts),
      QUADS: chunk / 4,
      TRIP: trip,
      TRIPS: dimension / n / trip,
      OUT: out,
      OUT_PARTS: dimension / n / out,
      OUT_CHUNKS: (out * n) / chunk,
    },
  };
}

/** The largest number up to `most` that divides `count`. */
function largestDivisor(count: number, most: number, allows: (divisor: number) => boolean = () => true): number {
  let best = Math.min(count, most);
  while (count % best !== 0 || !allows(best)) best--;
  return best;
}
