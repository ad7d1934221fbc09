import { describe, expect, test } from 'vitest';
import { bufferSource } from '../../../loaders/source.ts';
import { type ContainerHeader, readContainerHeader, reducedQuotient } from '../../../loaders/video/container-header.ts';
import { randomStream } from '../../random.ts';

const read = (bytes: Uint8Array) => readContainerHeader(bufferSource(bytes, 'video'));
const bytesOf = (...parts: readonly (Uint8Array | string | number)[]): Uint8Array =>
  Buffer.concat(parts.map((part) => (typeof part === 'number' ? uint32(part) : Buffer.from(part))));
const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};

/** A box of MP4. */
const box = (type: string, ...body: readonly (Uint8Array | string | number)[]): Uint8Array => {
  const content = bytesOf(...body);
  return bytesOf(content.length + 8, type, content);
};
const times = (...entries: readonly number[]) => box('stts', 0, entries.length / 2, ...entries);
const zeros = (count: number) => new Uint8Array(count);

interface Parts {
  readonly before?: Uint8Array;
  readonly mdhd?: Uint8Array;
  readonly edits?: Uint8Array;
  readonly table?: readonly Uint8Array[];
  readonly after?: Uint8Array;
}

/** 600 ticks a second of the movie, 15360 of the track. */
function movie({ before = zeros(0), mdhd, edits = zeros(0), table = [times(300, 512)], after = zeros(0) }: Parts) {
  const clock = mdhd ?? box('mdhd', zeros(12), 15360, zeros(8));
  const media = box('mdia', clock, box('hdlr', 0, 0, 'vide', zeros(12)), box('minf', box('stbl', ...table)));
  return box('moov', box('mvhd', zeros(12), 600, zeros(80)), before, box('trak', edits, media), after);
}

const file = (moov: Uint8Array) => bytesOf(box('ftyp', 'isom'), box('mdat', zeros(100)), moov);

describe('MP4', () => {
  test.each<[string, Parts, ContainerHeader]>([
    ['the rate of all frames', {}, { timescale: 15360, firstTime: 0, rate: 30, isFragmented: false }],
    [
      'stretches of different rates',
      { table: [times(4, 1536, 2, 512)] },
      { timescale: 15360, firstTime: 0, rate: (6 * 15360) / 7168, isFragmented: false },
    ],
    [
      'times of 64 bits',
      { mdhd: box('mdhd', new Uint8Array([1, 0, 0, 0]), zeros(16), 30000, zeros(12)), table: [times(300, 1001)] },
      { timescale: 30000, firstTime: 0, rate: 30000 / 1001, isFragmented: false },
    ],
    [
      'an edit list, in ticks of the track, and where the first packet is',
      {
        edits: box('edts', box('elst', 0, 2, 300, -1, 65536, 6000, 2048, 65536)),
        table: [times(300, 512), box('ctts', 0, 1, 300, 1024)],
      },
      {
        timescale: 15360,
        firstTime: 1024,
        edits: [
          { duration: 7680, media: -1 },
          { duration: 153600, media: 2048 },
        ],
        rate: 30,
        isFragmented: false,
      },
    ],
    [
      'an edit list of 64 bits',
      { edits: box('edts', box('elst', new Uint8Array([1, 0, 0, 0]), 1, 0, 600, 0, 512, 65536)) },
      { timescale: 15360, firstTime: 0, edits: [{ duration: 15360, media: 512 }], rate: 30, isFragmented: false },
    ],
    [
      'fragments, whose frames stand elsewhere',
      { table: [times()], after: box('mvex') },
      { timescale: 15360, firstTime: 0, isFragmented: true },
    ],
    [
      'sound before the video',
      { before: box('trak', box('mdia', box('hdlr', 0, 0, 'soun', zeros(12)))) },
      { timescale: 15360, firstTime: 0, rate: 30, isFragmented: false },
    ],
  ])('%s', async (_, parts, header) => {
    expect(await read(file(movie(parts)))).toEqual(header);
  });

  test('boxes of 64 bits, and frames before and after', async () => {
    const large = bytesOf(1, 'mdat', 0, 116, zeros(100));
    expect(await read(bytesOf(large, movie({}), box('mdat', zeros(9))))).toMatchObject({ rate: 30 });
    expect(await read(bytesOf(box('free'), large, bytesOf(0, 'moov', movie({}).subarray(8))))).toMatchObject({
      rate: 30,
    });
  });
});

/** An element of Matroska with a size of two bytes. */
const element = (id: string, ...body: readonly (Uint8Array | string)[]): Uint8Array => {
  const content = bytesOf(...body);
  return bytesOf(
    Buffer.from(id, 'hex'),
    new Uint8Array([0x40 | (content.length >> 8), content.length & 0xff]),
    content,
  );
};
const duration = (ns: number) => element('23e383', uint32(ns));
const videoTrack = (...more: readonly Uint8Array[]) => element('ae', element('83', '\u0001'), ...more);
const soundTrack = (codec: string) => element('ae', element('83', '\u0002'), element('63a2', codec));
const matroska = (...tracks: readonly Uint8Array[]) =>
  bytesOf(
    element('1a45dfa3', element('4282', 'webm')),
    Buffer.from('1853806701ffffffffffffff', 'hex'), // a segment of unknown size
    element('ec', zeros(50)),
    element('1654ae6b', ...tracks),
    element('1f43b675', zeros(20)),
  );

describe('Matroska', () => {
  // what PyAV 10 on ffmpeg 5.1 says of files with these durations
  test.each([
    [33_333_333, 30],
    [41_708_333, 24000 / 1001],
    [33_366_667, 30000 / 1001],
    [16_683_333, 19001 / 317],
    [40_000_000, 25],
  ])('%d ns a frame are the rate that ffmpeg tells', async (ns, rate) => {
    expect(await read(matroska(videoTrack(duration(ns))))).toEqual({ rate, isFromLavc: false });
  });

  test('a rate that is not stated, and the encoder of the first track', async () => {
    expect(await read(matroska(videoTrack()))).toEqual({ isFromLavc: false });
    expect(await read(matroska(soundTrack('Lavc58.35'), videoTrack(duration(4e7))))).toEqual({
      rate: 25,
      isFromLavc: true,
    });
    expect(await read(matroska(videoTrack(), soundTrack('Lavc58.35')))).toEqual({ isFromLavc: false });
  });

  test('a size in eight bytes, to the last bit', async () => {
    const tracks = videoTrack(duration(4e7));
    const long = bytesOf(Buffer.from('1654ae6b01000000000000', 'hex'), new Uint8Array([tracks.length]), tracks);
    const file = matroska().subarray(0, -32); // without its tracks and cluster
    expect(await read(bytesOf(file, element('ec', zeros(3)), long, element('1f43b675', zeros(20))))).toMatchObject({
      rate: 25,
    });
  });
});

test('what has no header that can be read has none', async () => {
  for (const bytes of [
    zeros(0),
    zeros(64),
    bytesOf('no video at all, but text'),
    matroska(),
    box('moov'),
    file(zeros(0)),
  ]) {
    expect(await read(bytes)).toBeUndefined();
  }
});

test('parts without end in front of the header are not gone through', async () => {
  const empty = (count: number) => bytesOf(...Array.from({ length: count }, () => box('free')));
  expect(await read(bytesOf(empty(900), movie({})))).toMatchObject({ rate: 30 });
  expect(await read(bytesOf(empty(1000), movie({})))).toBeUndefined();
});

test('cut or damaged anywhere, it is read or is none', async () => {
  const random = randomStream(11);
  const edits = box('edts', box('elst', 0, 1, 300, 512, 65536));
  for (const whole of [file(movie({ edits })), matroska(soundTrack('Lavc'), videoTrack(duration(4e7)))]) {
    for (let turn = 0; turn < 2000; turn++) {
      const bytes = whole.slice(0, turn < whole.length ? turn : undefined);
      for (let i = 0; i < 4 && turn >= whole.length; i++) bytes[Math.floor(random() * bytes.length)] = random() * 256;
      const header = await read(bytes);
      if (header) expect(header.edits?.length ?? 0).toBeLessThan(1000);
    }
  }
});

test('a quotient is exact where its terms fit, else the nearest whose terms do', () => {
  expect(reducedQuotient(600_000, 20_020, 30_000)).toBe(30_000 / 1001);
  const random = randomStream(5);
  for (let turn = 0; turn < 200; turn++) {
    const [num, den] = [1 + Math.floor(random() * 1e6), 1 + Math.floor(random() * 1e4)];
    const all = Array.from({ length: 50 }, (_, i) => i + 1).flatMap((d) => {
      const n = Math.min(50, Math.max(0, Math.round((num * d) / den)));
      return n / d;
    });
    const best = Math.min(...all.map((value) => Math.abs(value - num / den)));
    if (num / den <= 50 && num / den >= 1 / 50)
      expect(Math.abs(reducedQuotient(num, den, 50) - num / den)).toBeCloseTo(best, 12);
  }
});
