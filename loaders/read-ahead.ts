// Many small reads from front to back as few large ones: a read of a file costs far more than the bytes of a small tensor.
import { type ByteSource, rangedSource } from './source.ts';

/** How much is read at a time, and held. */
const windowBytes = 1024 * 1024;
/** Reads of as much and more go to the source as they are. */
const largeBytes = windowBytes / 4;

/** `source`, read in larger pieces than are asked for. It owns the source: that is closed with it. */
export function readAhead(source: ByteSource): ByteSource {
  const { name, size, version } = source;
  let window: { readonly start: number; readonly bytes: Uint8Array } | undefined;
  return rangedSource({
    name,
    size,
    version,
    async readRange(start, end, signal, allocate) {
      if (end - start >= largeBytes) return await source.read(start, end, signal, allocate);
      const known = window;
      const isInside = known && start >= known.start && end <= known.start + known.bytes.byteLength;
      const piece = isInside
        ? known
        : { start, bytes: await source.read(start, Math.min(start + windowBytes, size), signal) };
      window = piece;
      const bytes = allocate(end - start);
      bytes.set(piece.bytes.subarray(start - piece.start, end - piece.start));
      return bytes;
    },
    async release() {
      window = undefined;
      await source.close();
    },
  });
}
