import { describe, expect, test } from 'vitest';
import { bufferSource } from '../../../loaders/source.ts';
import type { ClipSource, VideoPacket } from '../../../loaders/video/clip.ts';
import { readFrameIndex } from '../../../loaders/video/frame-index.ts';

const packet = (timestamp: number, duration = 0, data = 0x10): VideoPacket => ({
  type: 'key',
  timestamp,
  duration,
  data: new Uint8Array([data]),
});

const source = (packets: readonly VideoPacket[], codec = 'avc1.64000a', file?: ClipSource['file']): ClipSource => ({
  track: { getDecoderConfig: async () => ({ codec }) },
  packets,
  file,
});

/** As many at a rate, in a clock of so many ticks a second. */
const steady = (count: number, rate: number, clock: number) =>
  Array.from({ length: count }, (_, i) => packet(Math.round((i / rate) * clock) / clock));

describe('a rate that no container states', () => {
  // ffmpeg rounds what it has to guess to the nearest of its list that is within a hundredth
  test.each([
    [30, 30],
    [29.97, 30000 / 1001],
    [23.976, 24000 / 1001],
    [24, 24],
    [59.94, 60000 / 1001],
    [12.52, 12.5],
    [7.5, 7.5],
    [45.2, 45],
    [239, 240],
    [150, 150],
    [0.055, 0.055],
  ])('%f is taken for %f', async (given, rate) => {
    const index = await readFrameIndex(source(steady(400, given, 1e6)));
    expect(index.rate).toBeCloseTo(rate, given === rate ? 3 : 12);
  });

  test('from timestamps in milliseconds', async () => {
    expect((await readFrameIndex(source(steady(300, 29.97, 1000)))).rate).toBe(30000 / 1001);
  });
});

test('frames in the order in which they are shown, without those before 0', async () => {
  const { shown, packets } = await readFrameIndex(source([0, 0.3, 0.1, 0.2, -0.1].map((time) => packet(time))));
  expect(shown).toEqual([
    { time: 0, packet: 0 },
    { time: 0.1, packet: 2 },
    { time: 0.2, packet: 3 },
    { time: 0.3, packet: 1 },
  ]);
  expect(packets).toHaveLength(5);
});

test.each(['vp8', 'vp08.00.10.08'])(
  '%s: packets that are not shown do not count, in other codecs all do',
  async (codec) => {
    const packets = [packet(0), packet(0.05, 0, 0x01), packet(0.1)];
    expect((await readFrameIndex(source(packets, codec))).shown.map((frame) => frame.packet)).toEqual([0, 2]);
    expect((await readFrameIndex(source(packets, 'vp09.00.10.08'))).shown).toHaveLength(3);
  },
);

test('equal timestamps, of which the official code loses one, are told of', async () => {
  const { reasons } = await readFrameIndex(source([0, 0.1, 0.1, 0.2].map((time) => packet(time))));
  expect(reasons).toContain('Some frames have the same timestamp.');
  const other = await readFrameIndex(source([0, 0.1, 0.2].map((time) => packet(time))));
  expect(other.reasons).not.toContain('Some frames have the same timestamp.');
});

test('a file that is no container that is known is told of', async () => {
  const file = bufferSource(new Uint8Array(100), 'x.ts');
  const { reasons, name } = await readFrameIndex(source(steady(20, 10, 1000), undefined, file));
  expect({ reasons, name }).toEqual({ name: 'x.ts', reasons: [expect.stringContaining('neither MP4 nor Matroska')] });
});

test.each([
  ['no frame at all', []],
  ['a single frame', [packet(0)]],
  ['frames at one time', [packet(1), packet(1)]],
  ['frames without a time', [packet(0), packet(Number.NaN)]],
])('%s: there is no rate', async (_, packets) => {
  const message = `video: it has no frame rate; got ${packets.length} frames`;
  await expect(readFrameIndex(source(packets))).rejects.toMatchObject({ code: 'bad-video', message });
});

test('an abort ends the reading of packets', async () => {
  const controller = new AbortController();
  let read = 0;
  const packets = {
    async *packets() {
      for (;;) {
        read += 1;
        if (read === 5) controller.abort('enough');
        yield packet(read);
      }
    },
    getKeyPacket: async () => null,
  };
  const index = readFrameIndex({ ...source([]), packets }, controller.signal);
  await expect(index).rejects.toBe('enough');
  expect(read).toBe(5);
});
