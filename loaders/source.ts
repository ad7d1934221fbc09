// Where bytes come from and where they go: the only two ways a file format of this room touches the world.
import { StamError, throwIfAborted } from '../engine/errors.ts';

/** Bytes that can be asked for by range. */
export interface ByteSource {
  /** For messages: a path, a URL, a file name. */
  readonly name: string;
  /** Bytes in all. */
  readonly size: number;
  /** Tells one state of the bytes from another, where the source knows: an HTTP server's ETag, for instance. */
  readonly version?: string | undefined;
  /**
   * Bytes [start, end), in memory that belongs to the caller from then on: what `allocate` gives for that many bytes, where the
   * source can read into memory of the caller's.
   * Throws bad-input for a range outside [0, size], bad-checkpoint when the bytes are no longer there,
   * disposed after `close`, and the signal's reason once that is aborted.
   */
  read(start: number, end: number, signal?: AbortSignal, allocate?: AllocateBytes): Promise<Uint8Array<ArrayBuffer>>;
  /** Lets go of what lies behind. Safe to call twice. */
  close(): Promise<void>;
}

/** Gives memory of this many bytes. Hands out the same memory again and again to callers that are done with it by then. */
export type AllocateBytes = (bytes: number) => Uint8Array<ArrayBuffer>;

/** Where a writer puts bytes, front to back. Nothing is visible under `name` before `finish`. */
export interface ByteSink {
  /** For messages: a path. */
  readonly name: string;
  /** Appends; the bytes may be reused once the promise has resolved. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Makes what was written visible as a whole. */
  finish(): Promise<void>;
  /** Removes what was written. Safe to call at any time; does nothing after `finish`. */
  abort(): Promise<void>;
}

/** What differs between sources; `rangedSource` adds the checks that all share. */
export interface RangeReader {
  readonly name: string;
  readonly size: number;
  readonly version?: string | undefined;
  /** Bytes [start, end), a non-empty range inside [0, size]; fewer when the source has become shorter. May use `allocate`. */
  readRange(
    start: number,
    end: number,
    signal: AbortSignal | undefined,
    allocate: AllocateBytes,
  ): Promise<Uint8Array<ArrayBuffer>>;
  release?: () => Promise<void>;
}

/** A source that refuses bad ranges, short reads, reads after `close` and reads that were aborted. */
export function rangedSource(reader: RangeReader): ByteSource {
  const { name, size, version } = reader;
  let closing: Promise<void> | undefined;
  return {
    name,
    size,
    version,
    async read(start, end, signal, allocate = (bytes) => new Uint8Array(bytes)) {
      throwIfAborted(signal);
      if (closing) throw new StamError('disposed', { where: name, problem: 'the source has been closed' });
      if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || start > end || end > size) {
        throw new StamError('bad-input', {
          where: name,
          problem: 'no such range of bytes',
          got: `[${start}, ${end})`,
          expected: `a range inside [0, ${size})`,
        });
      }
      if (start === end) return new Uint8Array(0);
      const bytes = await reader.readRange(start, end, signal, allocate);
      throwIfAborted(signal);
      if (bytes.byteLength !== end - start) {
        throw new StamError('bad-checkpoint', {
          where: name,
          problem: 'the file became shorter while it was read',
          got: `${bytes.byteLength} bytes at offset ${start}`,
          expected: `${end - start}`,
        });
      }
      return bytes;
    },
    close() {
      closing ??= reader.release?.() ?? Promise.resolve();
      return closing;
    },
  };
}

/** Bytes that are in memory already. Reads are copies, so nothing a caller does to them reaches `bytes`. */
export function bufferSource(bytes: ArrayBuffer | Uint8Array, name = 'buffer'): ByteSource {
  const view = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
  return rangedSource({
    name,
    size: view.byteLength,
    async readRange(start, end) {
      // a buffer that was transferred away or resized since is a short read, not a TypeError
      const copy = new Uint8Array(Math.max(0, Math.min(end, view.byteLength) - start));
      if (copy.byteLength > 0) copy.set(view.subarray(start, start + copy.byteLength));
      return copy;
    },
  });
}

/** A Blob, or a File as an `<input type=file>` gives it. Nothing is read before it is asked for. */
export function blobSource(blob: Blob, name?: string): ByteSource {
  const ownName = 'name' in blob && typeof blob.name === 'string' ? blob.name : 'blob';
  const label = name ?? ownName;
  return rangedSource({
    name: label,
    size: blob.size,
    async readRange(start, end) {
      try {
        return new Uint8Array(await blob.slice(start, end).arrayBuffer());
      } catch (cause) {
        // browsers answer NotReadableError when the file on disk has changed since it was picked
        throw new StamError('bad-checkpoint', {
          where: label,
          problem: `bytes [${start}, ${end}) cannot be read`,
          hint: 'the file may have changed since it was chosen: choose it again',
          cause,
        });
      }
    },
  });
}
