// Decodes chosen frames of a video with WebCodecs: no more of it than leads to them, and no frame of the decoder's stays open longer than its
// copy takes.
import { StamError } from '../../engine/errors.ts';
import type { ClipSource, VideoPacket } from './clip.ts';
import { type FrameIndex, isSink } from './frame-index.ts';

/** A frame in memory of the page's own, for which no decoder waits. */
export type OwnFrame = VideoFrame | ImageBitmap;

/** Packets that wait in front of the decoder at most. */
const maxQueue = 8;

/**
 * Decodes the frames `numbers` [F] of `index.shown`: [F], and how many frames the decoder put out on the way. A frame that is asked for more
 * than once is the same one. `onFrame` is called for each as it comes, with its places in `numbers`.
 * Throws unsupported where this browser does not decode the codec, and bad-video where a frame does not come; closes everything when it fails.
 */
export async function decodeFrames(
  source: ClipSource,
  index: FrameIndex,
  numbers: readonly number[],
  signal: AbortSignal | undefined,
  onFrame: (frame: OwnFrame, places: readonly number[]) => void,
): Promise<{ frames: OwnFrame[]; decoded: number }> {
  const { name, config, packets, shown } = index;
  await expectDecoder(name, config);
  signal?.throwIfAborted();

  // the decoder gives a frame the timestamp of its packet
  const stamp = (packet: number) => Math.round(packets[packet].timestamp * 1e6);
  const places = new Map<number, number[]>();
  for (const [place, number] of numbers.entries()) {
    const time = stamp(shown[number].packet);
    places.set(time, [...(places.get(time) ?? []), place]);
  }
  const copies = new Map<number, Promise<void>>();
  const frames: OwnFrame[] = [];
  let decoded = 0;
  let isOver = false;
  let fail: (error: unknown) => void = () => {};
  const stopped = new Promise<never>((_, reject) => {
    fail = reject;
  });
  stopped.catch(() => {}); // what fails when all is over interests nobody
  const unlessStopped = <T>(work: T | Promise<T>) => Promise.race([work, stopped]);
  const decoder = new VideoDecoder({
    output(frame) {
      decoded += 1;
      const wanted = places.get(frame.timestamp);
      if (isOver || !wanted || copies.has(frame.timestamp)) {
        frame.close();
        return;
      }
      const copy = ownCopy(frame, Math.round(shown[numbers[wanted[0]]].time * 1e6)).then((own) => {
        if (isOver) return own.close();
        for (const place of wanted) frames[place] = own;
        onFrame(own, wanted);
      });
      copy.catch(fail); // at once: it is awaited only when everything is decoded
      copies.set(frame.timestamp, copy);
    },
    error: fail,
  });
  const abort = () => fail(signal?.reason);
  signal?.addEventListener('abort', abort);
  let packet: AsyncIterator<VideoPacket> | Iterator<VideoPacket> | undefined;
  let at = -1; // the packet that the decoder was given last
  try {
    decoder.configure(config);
    for (const target of numbers.map((number) => shown[number].packet).sort((a, b) => a - b)) {
      const key = keyBefore(packets, target);
      const start = key > at ? await unlessStopped(packetsFrom(source, index, key)) : undefined;
      const isJump = start !== undefined && start.place > at;
      if (isJump) {
        if (packet) await unlessStopped(decoder.flush());
        await packet?.return?.();
        packet = start.iterator;
        at = start.place - 1;
      }
      for (let isFirst = isJump; at < target; isFirst = false) {
        const { value, done } = (await unlessStopped(packet?.next())) ?? { done: true };
        if (done) throw notDecoded(`${name}, packet ${at + 1}`);
        while (decoder.decodeQueueSize > maxQueue) {
          const dequeued = new Promise<unknown>((resolve) => {
            decoder.ondequeue = resolve;
          });
          await unlessStopped(dequeued);
        }
        at += 1;
        const { type, data }: VideoPacket = value;
        decoder.decode(new EncodedVideoChunk({ type: isFirst ? 'key' : type, timestamp: stamp(at), data }));
      }
    }
    await unlessStopped(decoder.flush()); // else it keeps back what might have to be put in order
    await unlessStopped(Promise.all(copies.values()));
    const missing = [...places.keys()].find((time) => !copies.has(time));
    if (missing !== undefined) throw notDecoded(`${name}, frame at ${missing / 1e6} s`);
    return { frames, decoded };
  } catch (error) {
    isOver = true;
    for (const frame of frames) frame?.close();
    signal?.throwIfAborted();
    throw error instanceof DOMException && error.name !== 'AbortError' ? notDecoded(name, error) : error;
  } finally {
    signal?.removeEventListener('abort', abort);
    if (decoder.state !== 'closed') decoder.close();
    unlessStopped(packet?.return?.()).catch(() => {});
  }
}

async function expectDecoder(name: string, config: VideoDecoderConfig): Promise<void> {
  const isThere = typeof VideoDecoder !== 'undefined';
  const { supported } = isThere ? await VideoDecoder.isConfigSupported(config).catch(() => ({ supported: false })) : {};
  if (supported) return;
  const problem = isThere ? 'this browser does not decode the codec' : 'this browser has no WebCodecs';
  throw new StamError('unsupported', { where: name, problem, got: config.codec });
}

function notDecoded(where: string, cause?: DOMException): StamError {
  const problem = cause ? `the decoder fails: ${cause.message}` : 'the decoder does not give it';
  const hint = 'the file may be damaged, or a packet that is called a key frame be none';
  return new StamError('bad-video', { where, problem, hint, cause });
}

/** The key frame from which a packet is decoded. */
function keyBefore(packets: FrameIndex['packets'], target: number): number {
  const { timestamp } = packets[target];
  // a frame that is shown before a key frame, and decoded after it, may need the key frame before that one
  const isKey = (packet: FrameIndex['packets'][number]) => packet.type === 'key' && packet.timestamp <= timestamp;
  return Math.max(0, packets.slice(0, target + 1).findLastIndex(isKey));
}

/** Packets from the one at `key` on, or from the one before it where the demuxer finds that it is no key frame. */
async function packetsFrom({ packets }: ClipSource, index: FrameIndex, key: number) {
  if (!isSink(packets)) return { place: key, iterator: packets.slice(key)[Symbol.iterator]() };
  const start = await packets.getKeyPacket(index.packets[key].timestamp, { verifyKeyPackets: true });
  const place = index.packets.slice(0, key + 1).findLastIndex(({ timestamp }) => timestamp === start?.timestamp);
  if (!start || place < 0) throw notDecoded(`${index.name}, frame at ${index.packets[key].timestamp} s`);
  return { place, iterator: packets.packets(start)[Symbol.asyncIterator]() };
}

/** The formats whose bytes the model reads exactly as the official pipeline does. */
const exactFormats: readonly (string | null)[] = ['I420', 'NV12', 'RGBA', 'RGBX', 'BGRA', 'BGRX'];

/**
 * A copy of a frame, which is closed: decoders own few (some eight) and wait until those are closed, while a model needs up to 64. `timestamp` is
 * in microseconds. Formats that have no exact way (10 bits, 4:4:4, those of some hardware) become bitmaps, whose colours are the browser's.
 */
async function ownCopy(frame: VideoFrame, timestamp: number): Promise<OwnFrame> {
  try {
    const { format, visibleRect, colorSpace } = frame;
    if (format === null || !visibleRect || !exactFormats.includes(format)) return await createImageBitmap(frame);
    const bytes = new Uint8Array(frame.allocationSize());
    const layout = await frame.copyTo(bytes);
    const { width: codedWidth, height: codedHeight } = visibleRect;
    const init = { format, codedWidth, codedHeight, timestamp, layout, colorSpace: colorSpace.toJSON() };
    return new VideoFrame(bytes, init);
  } finally {
    frame.close();
  }
}
