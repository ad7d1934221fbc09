import { describe, expect, test } from 'vitest';
import type { PacketTimes, StreamTimes } from '../../../loaders/video/read-video.ts';
import { buffersFrames, findFrames } from '../../../loaders/video/read-video.ts';

const key = (time: number): PacketTimes => ({ pts: time, dts: time, isKey: true });
const delta = (time: number): PacketTimes => ({ ...key(time), isKey: false });

/** A video whose frames were counted by their own timestamps, and which begins with its only key frame. */
const framesAt = (...decoded: (number | null)[]): StreamTimes => ({
  decoded,
  counted: decoded.filter((time) => time !== null).sort((a, b) => a - b),
  packets: [key(0)],
  seek: 'key-pts',
  buffers: true,
});

// official-videos.system.test.ts compares whole videos with torchvision; here is one case for each thing that read_video does
describe('frames are looked up as read_video does', () => {
  test('in a plain video they are where their numbers say', () => {
    expect(findFrames([1, 2, 4], framesAt(0, 10, 20, 30, 40, 50))).toEqual({ places: [1, 2, 4] });
  });

  test('they are sorted by timestamp', () => {
    expect(findFrames([0, 1, 2, 3], framesAt(0, 2, 1, 3, 4))).toEqual({ places: [0, 2, 1, 3] });
  });

  test('five frames beyond the end may bring earlier timestamps, a sixth comes too late', () => {
    expect(findFrames([0, 1, 2], framesAt(0, 10, 11, 12, 13, 14, 5))).toEqual({ places: [0, 6, 1] });
    expect(findFrames([0, 1, 2], framesAt(0, 10, 11, 12, 13, 14, 15, 5))).toEqual({
      failure: "its read_video finds 2 of the clip's 3 frames",
    });
  });

  test('without buffering the first frame at the end is the last', () => {
    expect(findFrames([0, 1], { ...framesAt(0, 10, 5), buffers: false })).toEqual({
      failure: "its read_video finds 1 of the clip's 2 frames",
    });
  });

  test('the last frame of a repeated timestamp counts', () => {
    // counted by packets, of which one has no timestamp: as many as there are different ones
    const times = { ...framesAt(0, 1, 1, 2), counted: [0, 1, 2] };
    expect(findFrames([0, 1, 2], times)).toEqual({ places: [0, 2, 3] });
  });

  test('a timestamp that no frame has is served by the frame before it', () => {
    expect(findFrames([1, 2], { ...framesAt(0, 3, 4, 10), counted: [0, 5, 10] })).toEqual({ places: [2, 3] });
  });

  test('a frame without a timestamp ends it, if it comes before the end', () => {
    expect(findFrames([0, 1], framesAt(0, null, 1))).toEqual({ failure: 'a frame has no timestamp' });
    expect(findFrames([0, 1], { ...framesAt(0, 1, null), buffers: false })).toEqual({ places: [0, 1] });
  });

  test('packets that the decoder drops are counted, and missed', () => {
    const times = { ...framesAt(0, 1), counted: [-2, -1, 0, 1] };
    expect(findFrames([0, 3], times)).toEqual({ failure: "its read_video finds 2 of the clip's 4 frames" });
  });
});

describe('a seek', () => {
  const decoded = Array.from({ length: 60 }, (_, i) => 10 * i);
  // the second key frame is shown as the thirtieth, and decoded while the twenty-eighth is shown
  const packets = decoded.map((time, i) =>
    i === 30 ? { pts: 300, dts: 280, isKey: true } : i === 0 ? key(0) : delta(time),
  );
  const times: StreamTimes = { decoded, counted: decoded, packets, seek: 'key-pts', buffers: true };

  test.each<[StreamTimes['seek'], number, boolean]>([
    ['key-pts', 29, true],
    ['key-dts', 28, true],
    ['key-dts', 29, false], // 290 - 6 ticks lie behind the key frame's dts
    ['packet-dts', 0, true],
    ['packet-dts', 20, false], // arrives at a packet from which nothing can be decoded before the next key frame
  ])('by %s to frame %i', (seek, first, arrives) => {
    const found = findFrames([first, first + 1, first + 2], { ...times, seek });
    expect('places' in found).toBe(arrives);
    if ('places' in found) expect(found.places).toEqual([first, first + 1, first + 2]);
  });
});

test.each([
  ['nothing at all', '', true],
  ['DivX with packed B-frames', '\u0000\u0001\u00b2DivX503b1393p', true],
  ['DivX without, whose last digit is read as the letter', 'DivX503b1393', false],
  ['DivX that says that it does not pack', 'DivX503b1393o', false],
  ['the older spelling', 'DivX412Build70x', false],
])('%s is buffered: %j', (_, extradata, buffers) => {
  expect(buffersFrames(extradata)).toBe(buffers);
});
