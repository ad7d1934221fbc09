// Bytes that are read in ranges, and which ranges were.
import type { ByteSource } from '../../loaders/source.ts';
import { rangedSource } from '../../loaders/source.ts';

export interface RecordedSource {
  readonly source: ByteSource;
  /** Of each read so far, in bytes. */
  readonly ranges: [start: number, end: number][];
}

export function recordedSource(
  bytes: Uint8Array<ArrayBuffer>,
  { name = 'remote', version }: { name?: string; version?: string } = {},
): RecordedSource {
  const ranges: [number, number][] = [];
  const source = rangedSource({
    name,
    size: bytes.length,
    version,
    async readRange(start, end) {
      ranges.push([start, end]);
      return bytes.slice(start, end);
    },
  });
  return { source, ranges };
}
