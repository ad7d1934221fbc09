// Random choices for mutations, a stream of its own for each input, so that any input can be made again by itself.
import { randomStream } from '../random.ts';

export interface Random {
  /** 0 .. count - 1. */
  below(count: number): number;
  pick<T>(items: readonly T[]): T;
  chance(probability: number): boolean;
}

export function randomOf(seed: number, index: number): Random {
  const next = randomStream(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  const below = (count: number) => Math.floor(next() * count);
  return { below, pick: (items) => items[below(items.length)], chance: (probability) => next() < probability };
}

/** How many changes to make: one more often than two, and seldom many, which leave nothing to be read. */
export function turnsOf(random: Random): number {
  return random.chance(0.7) ? 1 : 2 + random.below(4);
}

/** Where integers go wrong. */
export const boundaries: readonly bigint[] = [
  ...[
    0n,
    1n,
    2n,
    7n,
    8n,
    63n,
    64n,
    65n,
    127n,
    128n,
    255n,
    256n,
    32767n,
    32768n,
    65534n,
    65535n,
    65536n,
    100_000n,
    100_001n,
  ],
  ...[
    2n ** 24n,
    2n ** 31n - 1n,
    2n ** 31n,
    2n ** 32n - 2n,
    2n ** 32n - 1n,
    2n ** 32n,
    2n ** 53n - 1n,
    2n ** 53n,
    2n ** 53n + 1n,
  ],
  ...[2n ** 62n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 8n, 2n ** 64n - 1n],
];

/** Writes an integer of 1, 2, 4 or 8 bytes, little-endian, as far as the bytes reach. */
export function putInteger(bytes: Uint8Array, offset: number, value: bigint, width: number): void {
  for (let i = 0; i < width && offset + i < bytes.length; i++)
    bytes[offset + i] = Number((value >> BigInt(8 * i)) & 0xffn);
}
