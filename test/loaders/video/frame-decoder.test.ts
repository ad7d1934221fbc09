// What depends on when a decoder answers, with a decoder that answers when it is told to. clip.system.test.ts has a browser's.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { VideoPacket } from '../../../loaders/video/clip.ts';
import { decodeFrames } from '../../../loaders/video/frame-decoder.ts';

/** Stands in for a VideoDecoder, and puts out each packet at once unless `isStuck`. */
class Decoder {
  static last: Decoder;
  static isStuck = false;
  static isConfigSupported = async () => ({ supported: true });
  state = 'unconfigured';
  decodeQueueSize = 0;
  ondequeue = () => {};
  /** Packets of each stretch: flush() ends one. */
  readonly fed: number[][] = [[]];
  readonly init: VideoDecoderInit;
  constructor(init: VideoDecoderInit) {
    this.init = init;
    Decoder.last = this;
  }
  configure() {
    this.state = 'configured';
  }
  decode({ timestamp }: EncodedVideoChunkInit) {
    if (this.state === 'closed') throw new DOMException('closed', 'InvalidStateError');
    this.fed.at(-1)?.push(timestamp / 1e6);
    if (Decoder.isStuck) this.decodeQueueSize += 1;
    else this.init.output({ timestamp, format: 'I420P10', visibleRect: null, close() {} } as unknown as VideoFrame);
  }
  async flush() {
    this.fed.push([]);
  }
  close() {
    this.state = 'closed';
  }
}

/** A copy of a frame, once `finish` is called. */
interface Copy {
  readonly finish: () => void;
  isClosed: boolean;
}

const ignore = () => undefined;

let copies: Copy[] = [];
let finishAtOnce = true;

beforeEach(() => {
  copies = [];
  finishAtOnce = true;
  Decoder.isStuck = false;
  Decoder.last = new Decoder({ output: ignore, error: ignore }); // of this test, which has nothing yet
  vi.stubGlobal('VideoDecoder', Decoder);
  vi.stubGlobal('EncodedVideoChunk', function chunk(init: EncodedVideoChunkInit) {
    return init;
  });
  vi.stubGlobal('createImageBitmap', () => {
    return new Promise((resolve) => {
      const close = () => {
        copy.isClosed = true;
      };
      const copy = { isClosed: false, finish: () => resolve({ close }) };
      copies.push(copy);
      if (finishAtOnce) copy.finish();
    });
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

/** Packets by their times in seconds, in the order in which they are decoded; key frames are those in `keys`. */
function video(times: readonly number[], keys: readonly number[]) {
  const packets = times.map((timestamp): VideoPacket => {
    const type = keys.includes(timestamp) ? 'key' : 'delta';
    return { type, timestamp, duration: 1, data: new Uint8Array(1) };
  });
  const shown = times.map((time, packet) => ({ time, packet })).sort((a, b) => a.time - b.time);
  const config = { codec: 'x' };
  const source = { track: { getDecoderConfig: async () => config }, packets };
  return { source, index: { name: 'x.mp4', shown, packets, rate: 1, reasons: [], config } };
}

/** Seconds of all packets that were decoded, by stretches. */
const fed = () => Decoder.last.fed.filter(({ length }) => length > 0);
test('each stretch begins at a key frame, and whole ones without a wanted frame are left out', async () => {
  const { source, index } = video([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [0, 3, 6, 9]);
  const { frames, decoded } = await decodeFrames(source, index, [1, 7, 8, 10], undefined, ignore);
  expect(fed()).toEqual([
    [0, 1],
    [6, 7, 8],
    [9, 10],
  ]);
  expect([frames.length, decoded]).toEqual([4, 7]);
});

test('a frame that is shown before a key frame and decoded after it is decoded from the key frame before', async () => {
  const { source, index } = video([0, 2, 1, 5, 3, 4, 6], [0, 5]);
  await decodeFrames(source, index, [4], undefined, ignore);
  expect(fed()).toEqual([[0, 2, 1, 5, 3, 4]]);
  await decodeFrames(source, index, [4, 6], undefined, ignore);
  expect(fed()).toEqual([[0, 2, 1, 5, 3, 4, 6]]); // no new begin for what is decoded already
});

test('copies that are made after an abort are closed', async () => {
  finishAtOnce = false;
  const controller = new AbortController();
  const told: unknown[] = [];
  const { source, index } = video([0, 1, 2], [0]);
  const decoding = decodeFrames(source, index, [0, 2], controller.signal, (frame) => told.push(frame));
  await vi.waitFor(() => expect(copies).toHaveLength(2));
  copies[0].finish();
  await vi.waitFor(() => expect(told).toHaveLength(1));
  controller.abort('gone');
  await expect(decoding).rejects.toBe('gone');
  copies[1].finish();
  await vi.waitFor(() => expect(copies.map(({ isClosed }) => isClosed)).toEqual([true, true]));
  expect(told).toHaveLength(1);
});

test('a decoder that is behind is waited for, until it goes on', async () => {
  Decoder.isStuck = true;
  const { source, index } = video(
    Array.from({ length: 30 }, (_, i) => i),
    [0],
  );
  const decoding = decodeFrames(source, index, [29], undefined, ignore);
  await vi.waitFor(() => expect(Decoder.last.decodeQueueSize).toBe(9));
  await new Promise((resolve) => setTimeout(resolve));
  expect(fed().flat()).toHaveLength(9);
  Decoder.isStuck = false;
  Decoder.last.decodeQueueSize = 0;
  Decoder.last.ondequeue();
  await decoding;
  expect(fed().flat()).toHaveLength(30);
});

test.each([
  ['an abort', (controller: AbortController) => controller.abort('gone'), 'gone'],
  [
    'an error of the decoder',
    () => Decoder.last.init.error(new DOMException('broken', 'EncodingError')),
    expect.objectContaining({
      code: 'bad-video',
      message: expect.stringContaining('x.mp4: the decoder fails: broken'),
    }),
  ],
])('%s while the decoder is behind', async (_, stop, reason) => {
  Decoder.isStuck = true;
  const controller = new AbortController();
  const { source, index } = video(
    Array.from({ length: 30 }, (_, i) => i),
    [0],
  );
  const decoding = decodeFrames(source, index, [29], controller.signal, ignore);
  await vi.waitFor(() => expect(Decoder.last.decodeQueueSize).toBe(9));
  stop(controller);
  await expect(decoding).rejects.toEqual(reason);
  expect(Decoder.last.state).toBe('closed');
});

test('a frame that does not come, and packets that end too early', async () => {
  const { source, index } = video([0, 1, 2], [0]);
  const output = Decoder.prototype.decode;
  vi.spyOn(Decoder.prototype, 'decode').mockImplementation(function decode(this: Decoder, chunk) {
    if (chunk.timestamp !== 2e6) output.call(this, chunk);
  });
  const missing = {
    code: 'bad-video',
    message: expect.stringContaining('x.mp4, frame at 2 s: the decoder does not give it'),
  };
  await expect(decodeFrames(source, index, [1, 2], undefined, ignore)).rejects.toMatchObject(missing);
  expect(copies.map(({ isClosed }) => isClosed)).toEqual([true]);
  vi.restoreAllMocks();
  const short = { ...source, packets: source.packets.slice(0, 2) };
  const ended = {
    code: 'bad-video',
    message: expect.stringContaining('x.mp4, packet 2: the decoder does not give it'),
  };
  await expect(decodeFrames(short, index, [2], undefined, ignore)).rejects.toMatchObject(ended);
});
