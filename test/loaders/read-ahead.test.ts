// Small reads that come as large ones: what they give must be the bytes of the source, and its errors those of the source.
import { expect, test } from 'vitest';
import { readAhead } from '../../loaders/read-ahead.ts';
import { recordedSource } from './recorded-source.ts';

const mebibyte = 1024 * 1024;
const bytes = new Uint8Array(2.5 * mebibyte);
for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 7) ^ (i >> 8);

/** Whether these are the bytes of the source from `at` on. */
const isFrom = (at: number, piece: Uint8Array) => Buffer.compare(piece, bytes.subarray(at, at + piece.length)) === 0;

test('many small reads from front to back are a few of the source, and give its bytes', async () => {
  const { source, ranges } = recordedSource(bytes);
  const ahead = readAhead(source);
  for (let at = 0; at < bytes.length; at += 1000) {
    const end = Math.min(at + 1000, bytes.length);
    const piece = await ahead.read(at, end);
    expect({ length: piece.length, isRight: isFrom(at, piece) }).toEqual({ length: end - at, isRight: true });
  }
  expect(ranges).toHaveLength(3);
  expect(ranges[0]).toEqual([0, mebibyte]);
});

test('reads in any order give their bytes, also at the same time, in memory of the caller', async () => {
  const ahead = readAhead(recordedSource(bytes).source);
  const places = [2_000_000, 5, 1_048_570, 10, 2_500_000, 1_048_576];
  const read = await Promise.all(places.map((at) => ahead.read(at, at + 100)));
  for (const [i, piece] of read.entries()) expect(piece).toEqual(bytes.slice(places[i], places[i] + 100));
  read[0].fill(0);
  expect(await ahead.read(2_000_000, 2_000_100)).toEqual(bytes.slice(2_000_000, 2_000_100));
  const memory = new Uint8Array(100);
  expect((await ahead.read(5, 105, undefined, () => memory)).buffer).toBe(memory.buffer);
  expect(memory).toEqual(bytes.slice(5, 105));
});

test('a large read goes to the source as it is', async () => {
  const { source, ranges } = recordedSource(bytes);
  const piece = await readAhead(source).read(3, 3 + mebibyte);
  expect({ length: piece.length, isRight: isFrom(3, piece) }).toEqual({ length: mebibyte, isRight: true });
  expect(ranges).toEqual([[3, 3 + mebibyte]]);
});

test('closes the source', async () => {
  const { source } = recordedSource(bytes);
  const ahead = readAhead(source);
  await ahead.read(0, 1);
  await ahead.close();
  await expect(ahead.read(0, 1)).rejects.toMatchObject({ code: 'disposed' });
  await expect(source.read(0, 1)).rejects.toMatchObject({ code: 'disposed' });
});
