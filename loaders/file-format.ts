// Which format a checkpoint is in, by its first bytes.
import type { ByteSource } from './source.ts';

/** The two forms of torch.save, or something else: safetensors, which has no signature, or what foreign-format.ts knows. */
export type FileFormat = 'zip' | 'pickle' | 'other';

/** Enough for the signature of tar, the one that stands farthest from the front. */
const startBytes = 512;

/** As many of the first bytes as tell what a file is. */
export async function readStart(source: ByteSource, signal: AbortSignal | undefined): Promise<Uint8Array<ArrayBuffer>> {
  return await source.read(0, Math.min(startBytes, source.size), signal);
}

export function formatOf(start: Uint8Array): FileFormat {
  const begins = (...signature: number[]) => signature.every((byte, i) => start[i] === byte);
  if (begins(0x50, 0x4b, 3, 4)) return 'zip';
  // a safetensors file begins with the length of its header, and with the same two bytes where that is, say, 640
  const isLength = start.byteLength >= 8 && start.subarray(4, 8).every((byte) => byte === 0);
  return begins(0x80, 2) && !isLength ? 'pickle' : 'other';
}
