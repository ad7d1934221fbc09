// What the containers of torch.save have in common: one object, and bytes under keys that the object names.

import type { AllocateBytes } from '../source.ts';
import type { PickleValue } from './pickle.ts';

/** The bytes of one storage. */
export interface StoredBytes {
  /** Bytes in all: those of the elements that the pickle says it has. */
  readonly size: number;
  /** Where in the file they lie, to read several in order. */
  readonly position: number;
  /** Bytes [start, end) of it. */
  read(start: number, end: number, signal?: AbortSignal, allocate?: AllocateBytes): Promise<Uint8Array<ArrayBuffer>>;
}

/** A container, opened: everything but the storages has been read. It does not own its source. */
export interface TorchFile {
  /** What torch.save was given. */
  readonly root: PickleValue;
  /** A storage for each key that the root names. */
  readonly storages: ReadonlyMap<string, StoredBytes>;
}

export interface TorchFileOptions {
  /** The most bytes of pickle to take; 16 MiB unless told. Values take far more memory than the pickle they come from. */
  readonly maxPickleBytes?: number | undefined;
  /** Whether the bytes of a zip are compared with their checksums; reads each storage twice. PyTorch itself never does. */
  readonly verifyChecksums?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export const defaultMaxPickleBytes = 16 * 1024 * 1024;
/** The most that maxPickleBytes may be. */
export const largestMaxPickleBytes = 2 ** 30;

/** What to do about pickles of so many bytes or more that were refused; nothing where no limit would let them pass. */
export function pickleHint(bytes: number): string | undefined {
  return bytes < largestMaxPickleBytes ? 'raise maxPickleBytes to read it' : undefined;
}
