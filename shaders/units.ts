// How much a lane loads at a time: 16 bytes where rows allow.
import type { StorageType } from '../engine/dtype.ts';
import unitHalves from './shared/unit-halves.wgsl';
import unitQuad from './shared/unit-quad.wgsl';

export interface Unit {
  /** The import `unit`. It uses the import `storage`. */
  readonly text: string;
  /** The constant UNIT. */
  readonly quads: number;
}

/**
 * The unit for rows of this many quads: two quads of f16 where that divides rows. Where a row is spread over `lanes` lanes for more work
 * than loading, also only if that idles no more of them than single quads do.
 */
export function unitOf(type: StorageType, rowQuads: number, lanes = 1): Unit {
  const turns = (quads: number) => Math.ceil(rowQuads / quads / lanes) * quads;
  return type === 'f16' && rowQuads % 2 === 0 && turns(2) === turns(1)
    ? { text: unitHalves, quads: 2 }
    : { text: unitQuad, quads: 1 };
}
