// safetensors by ranges: eight bytes, the header, then each tensor when it is asked for.
import { StamError } from '../engine/errors.ts';
import type { Checkpoint } from './checkpoint.ts';
import { onDemandCheckpoint } from './on-demand.ts';
import {
  defaultMaxHeaderBytes,
  maxFormatHeaderBytes,
  parseHeader,
  prefixBytes,
  readHeaderLength,
} from './safetensors-header.ts';
import type { ByteSource } from './source.ts';

export interface SafetensorsOptions {
  /** Longest header to accept, in bytes: 16 MiB unless told, at most the format's own 100,000,000. */
  maxHeaderBytes?: number | undefined;
  /** Ends the reading of the header; each `read` of the checkpoint takes a signal of its own. */
  signal?: AbortSignal | undefined;
}

/**
 * Reads and checks the header; the tensors stay in the source until they are read. The checkpoint owns the source from
 * here on: it is closed with the checkpoint, or at once when opening fails.
 * Throws bad-checkpoint for a file that breaks any rule of the format, bad-input for a bad option.
 */
export async function openSafetensors(source: ByteSource, options: SafetensorsOptions = {}): Promise<Checkpoint> {
  try {
    return await openHeader(source, options);
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function openHeader(source: ByteSource, { maxHeaderBytes, signal }: SafetensorsOptions): Promise<Checkpoint> {
  const maxBytes = checkMaxHeaderBytes(maxHeaderBytes ?? defaultMaxHeaderBytes);
  const prefix = await source.read(0, Math.min(prefixBytes, source.size), signal);
  const dataStart = prefixBytes + readHeaderLength(prefix, source.name, source.size, maxBytes);
  const header = await source.read(prefixBytes, dataStart, signal);
  const { tensors, metadata } = parseHeader(header, source.name, source.size - dataStart);
  return onDemandCheckpoint({
    name: source.name,
    tensors,
    metadata,
    readElements: ({ begin, end }, readSignal, allocate) =>
      source.read(dataStart + begin, dataStart + end, readSignal, allocate),
    close: () => source.close(),
  });
}

function checkMaxHeaderBytes(value: number): number {
  if (Number.isInteger(value) && value > 0 && value <= maxFormatHeaderBytes) return value;
  throw new StamError('bad-input', {
    where: 'openSafetensors: maxHeaderBytes',
    problem: 'bad limit',
    got: `${value}`,
    expected: `an integer in 1..${maxFormatHeaderBytes}`,
  });
}
