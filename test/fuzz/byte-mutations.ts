// Mutations that know nothing of the bytes, and those of zip records, which lie at signatures.
import { boundaries, putInteger, type Random } from './random.ts';

type Mutation = (bytes: Uint8Array<ArrayBuffer>, random: Random, other: Uint8Array) => Uint8Array<ArrayBuffer>;

/** Replaces [begin, end) by other bytes. */
function replaced(bytes: Uint8Array, begin: number, end: number, by: Uint8Array): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(begin + by.length + bytes.length - end);
  result.set(bytes.subarray(0, begin));
  result.set(by, begin);
  result.set(bytes.subarray(end), begin + by.length);
  return result;
}

function randomRange(bytes: Uint8Array, random: Random): [begin: number, end: number] {
  const begin = random.below(bytes.length + 1);
  // mostly short, now and then whatever is there
  const most = random.chance(0.8) ? Math.min(64, bytes.length - begin) : bytes.length - begin;
  return [begin, begin + random.below(most + 1)];
}

export const byteMutations: readonly Mutation[] = [
  function flipBits(bytes, random) {
    const result = bytes.slice();
    for (let i = 0; i <= random.below(8); i++) result[random.below(result.length)] ^= 1 << random.below(8);
    return result;
  },
  function setBytes(bytes, random) {
    const result = bytes.slice();
    for (let i = 0; i <= random.below(4); i++) result[random.below(result.length)] = random.below(256);
    return result;
  },
  function truncate(bytes, random) {
    return bytes.slice(0, random.below(bytes.length + 1));
  },
  function behead(bytes, random) {
    return bytes.slice(random.below(Math.min(bytes.length, 100) + 1));
  },
  function append(bytes, random) {
    const tail = Uint8Array.from({ length: 1 + random.below(40) }, () => random.below(256));
    return replaced(bytes, bytes.length, bytes.length, tail);
  },
  function deleteChunk(bytes, random) {
    return replaced(bytes, ...randomRange(bytes, random), new Uint8Array(0));
  },
  function duplicateChunk(bytes, random) {
    const [begin, end] = randomRange(bytes, random);
    const at = random.chance(0.5) ? end : random.below(bytes.length + 1);
    return replaced(bytes, at, at, bytes.subarray(begin, end));
  },
  function moveChunk(bytes, random) {
    const [begin, end] = randomRange(bytes, random);
    const rest = replaced(bytes, begin, end, new Uint8Array(0));
    const at = random.below(rest.length + 1);
    return replaced(rest, at, at, bytes.subarray(begin, end));
  },
  function overwriteChunk(bytes, random) {
    const result = bytes.slice();
    const [begin, end] = randomRange(bytes, random);
    result.copyWithin(random.below(bytes.length + 1), begin, end);
    return result;
  },
  function spliceOther(bytes, random, other) {
    const [begin, end] = randomRange(bytes, random);
    return replaced(bytes, begin, end, other.subarray(...randomRange(other, random)));
  },
  function crossOver(bytes, random, other) {
    const at = random.below(bytes.length + 1);
    return replaced(bytes, at, bytes.length, other.subarray(random.below(other.length + 1)));
  },
  function boundaryInteger(bytes, random) {
    const result = bytes.slice();
    putInteger(result, random.below(bytes.length + 1), random.pick(boundaries), random.pick([1, 2, 4, 8]));
    return result;
  },
];

const centralSignature = 0x02014b50;

/** Offsets and widths of the fields behind each signature. */
const zipRecords: readonly { signature: number; fields: readonly (readonly [offset: number, width: number])[] }[] = [
  {
    signature: 0x04034b50,
    fields: [
      [4, 2],
      [6, 2],
      [8, 2],
      [14, 4],
      [18, 4],
      [22, 4],
      [26, 2],
      [28, 2],
      [30, 1],
    ],
  },
  {
    signature: centralSignature,
    fields: [
      [8, 2],
      [10, 2],
      [16, 4],
      [20, 4],
      [24, 4],
      [28, 2],
      [30, 2],
      [32, 2],
      [34, 2],
      [42, 4],
      [46, 1],
    ],
  },
  {
    signature: 0x06064b50,
    fields: [
      [4, 8],
      [16, 4],
      [20, 4],
      [24, 8],
      [32, 8],
      [40, 8],
      [48, 8],
    ],
  },
  {
    signature: 0x07064b50,
    fields: [
      [4, 4],
      [8, 8],
      [16, 4],
    ],
  },
  {
    signature: 0x06054b50,
    fields: [
      [4, 2],
      [6, 2],
      [8, 2],
      [10, 2],
      [12, 4],
      [16, 4],
      [20, 2],
    ],
  },
];

/** Changes a field of a record of a zip archive, to a boundary or by a little. The same bytes when there is no record. */
export function mutateZipRecord(bytes: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { signature, fields } = random.pick(zipRecords);
  const places: number[] = [];
  for (let at = 0; at + 4 <= bytes.length; at++) {
    if (bytes[at] === 0x50 && view.getUint32(at, true) === signature) places.push(at);
  }
  if (places.length === 0) return bytes;
  const place = random.pick(places);
  const [offset, width] =
    signature === centralSignature && random.chance(0.3)
      ? [46 + random.below(60), random.pick([1, 2])] // its name and its extra fields, whose lengths differ
      : random.pick(fields);
  const at = place + offset;
  const result = bytes.slice();
  const now = bytes.subarray(at, at + width).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  const value = random.chance(0.5) ? random.pick(boundaries) : now + BigInt(random.below(9) - 4);
  putInteger(result, at, BigInt.asUintN(64, value), width);
  return result;
}
