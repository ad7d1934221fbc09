// A stream of bytes, read to its end: it can be read only once and only forwards, and the weights want to be read by ranges.
import { StamError, throwIfAborted } from '../engine/errors.ts';

/**
 * All bytes of a stream, in memory. A stream that is given up is cancelled.
 * Throws bad-input for a stream that is locked or breaks off, and for chunks that are no Uint8Array; out-of-memory when there is no
 * memory for all of it.
 */
export async function readStream(
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  if (stream.locked) {
    throw new StamError('bad-input', {
      where: 'stream',
      problem: 'the stream is locked: something else reads it, or has read it',
      hint: 'a stream can be read only once; what recover() is to read again has to be a Blob or bytes',
    });
  }
  const reader = stream.getReader();
  const cancel = (reason: unknown) => void reader.cancel(reason).catch(() => undefined);
  const stop = () => cancel(signal?.reason);
  signal?.addEventListener('abort', stop);
  try {
    return await readToEnd(reader, signal);
  } catch (error) {
    cancel(error);
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

async function readToEnd(reader: ReadableStreamDefaultReader<Uint8Array>, signal: AbortSignal | undefined) {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    throwIfAborted(signal);
    const { done, value } = await reader.read().catch((cause) => {
      throwIfAborted(signal);
      const problem = `the stream broke off after ${size} bytes: ${cause instanceof Error ? cause.message : String(cause)}`;
      throw new StamError('bad-input', { where: 'stream', problem, cause });
    });
    throwIfAborted(signal);
    if (done) break;
    refuseOtherChunk(value);
    pieces.push(value);
    size += value.byteLength;
  }
  const bytes = memoryFor(size);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}

function memoryFor(size: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(size);
  } catch (cause) {
    throw new StamError('out-of-memory', { where: 'stream', problem: `no memory for ${size} bytes`, cause });
  }
}

/** By its tag: what another frame or context has made is no instance of this one's Uint8Array. */
function refuseOtherChunk(chunk: unknown): void {
  const tag = Object.prototype.toString.call(chunk).slice(8, -1);
  if (ArrayBuffer.isView(chunk) && tag === 'Uint8Array') return;
  throw new StamError('bad-input', {
    where: 'stream',
    problem: 'a chunk of the stream is no bytes',
    got: tag,
    expected: 'Uint8Array',
  });
}
