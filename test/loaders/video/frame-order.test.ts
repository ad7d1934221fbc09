import { describe, expect, test } from 'vitest';
import { decodedPlaces, type FrameTimestamps, isPlain } from '../../../loaders/video/frame-order.ts';
import { randomStream } from '../../random.ts';

/** A video whose frames were counted by their own timestamps. */
const framesAt = (...decoded: (number | null)[]): FrameTimestamps => ({
  decoded,
  counted: decoded.filter((time) => time !== null).sort((a, b) => a - b),
});

describe('plain videos', () => {
  test.each<[string, FrameTimestamps, boolean]>([
    ['rising timestamps', framesAt(0, 512, 1024), true],
    ['rising at any pace, from anywhere', framesAt(-7, 2, 3, 90), true],
    ['one that repeats', framesAt(0, 1, 1, 2), false],
    ['one that is missing', framesAt(0, null, 1), false],
    ['frames out of order', framesAt(0, 2, 1), false],
    ['packets that the decoder drops', { counted: [-2, -1, 0, 1], decoded: [0, 1] }, false],
    ['packets without timestamps', { counted: [0, 2], decoded: [0, 1, 2] }, false],
  ])('%s', (_, times, expected) => {
    expect(isPlain(times)).toBe(expected);
  });

  test('need no looking up', () => {
    expect(decodedPlaces([1, 2, 4], framesAt(0, 10, 20, 30, 40, 50))).toEqual([1, 2, 4]);
  });
});

describe('as torchvision looks frames up', () => {
  test('frames are sorted by timestamp', () => {
    expect(decodedPlaces([0, 1, 2, 3], framesAt(0, 2, 1, 3, 4))).toEqual([0, 2, 1, 3]);
  });

  test('the last frame of a repeated timestamp counts', () => {
    // counted by packets, of which one has no timestamp: as many as there are different ones
    expect(decodedPlaces([0, 1, 2], { counted: [0, 1, 2], decoded: [0, 1, 1, 2] })).toEqual([0, 2, 3]);
  });

  test('a timestamp that no frame has is served by the frame before it', () => {
    expect(decodedPlaces([1, 2], { counted: [0, 5, 10], decoded: [0, 4, 10] })).toEqual([1, 2]);
    expect(decodedPlaces([1, 2], { counted: [0, 5, 10], decoded: [0, 3, 4, 10] })).toEqual([2, 3]);
  });

  test('frames of packets that were not counted shift the others', () => {
    expect(decodedPlaces([0, 2], { counted: [0, 2, 3], decoded: [0, 1, 2, 3] })).toEqual([0, 2]);
  });

  test('where it fails, indices are places', () => {
    expect(decodedPlaces([0, 1, 2], framesAt(0, 2, 1))).toEqual([0, 1, 2]); // it stops before it has seen 1
    expect(decodedPlaces([0, 1], framesAt(0, null, 1))).toEqual([0, 1]);
    expect(decodedPlaces([0, 3], { counted: [-2, -1, 0, 1], decoded: [0, 1] })).toEqual([0, 3]);
  });

  test('a transcription of read_video agrees', () => {
    const random = randomStream(7);
    const below = (n: number) => Math.floor(random() * n);
    let differ = 0;
    for (let turn = 0; turn < 5000; turn++) {
      // mostly rising, with swaps, repetitions and holes
      const decoded = Array.from({ length: 12 }, (_, i) => i * 2 - 4 + below(3));
      if (turn % 2) [decoded[5], decoded[6]] = [decoded[6], decoded[5]];
      const counted = decoded.map((time) => (below(12) === 0 ? time + 1 : time)).sort((a, b) => a - b);
      const first = below(3);
      const indices = [first, first + 2 + below(3), first + 5 + below(4)];
      const expected = readVideo(decoded, counted, indices);
      expect(decodedPlaces(indices, { counted, decoded })).toEqual(expected ?? indices);
      if (expected && expected.join() !== indices.join()) differ += 1;
    }
    expect(differ).toBeGreaterThan(100); // else nothing was tested
  });
});

/** _read_from_stream and the indexing after it, statement by statement; undefined where they raise an IndexError. */
function readVideo(decoded: number[], counted: number[], indices: number[]): number[] | undefined {
  const startOffset = counted[indices[0]];
  const endOffset = counted[indices[indices.length - 1]];
  const frames: Record<string, number> = {};
  for (let idx = 0; idx < decoded.length; idx++) {
    frames[String(decoded[idx])] = idx;
    if (decoded[idx] >= endOffset) break;
  }
  const keys = Object.keys(frames)
    .map(Number)
    .sort((a, b) => a - b);
  const result: number[] = [];
  for (const key of keys) if (startOffset <= key && key <= endOffset) result.push(frames[String(key)]);
  if (keys.length > 0 && startOffset > 0 && !(String(startOffset) in frames)) {
    const preceding = keys.filter((key) => key < startOffset);
    if (preceding.length > 0) result.splice(0, 0, frames[String(Math.max(...preceding))]);
  }
  const picked: number[] = [];
  for (const index of indices) {
    if (index - indices[0] >= result.length) return undefined;
    picked.push(result[index - indices[0]]);
  }
  return picked;
}
