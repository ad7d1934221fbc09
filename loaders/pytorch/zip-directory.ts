// The central directory of a zip archive: one record for each entry, and every rule that concerns a record by itself.
import { StamError } from '../../engine/errors.ts';
import { describeTensor } from '../safetensors-header.ts';
import { torchScriptError } from './torchscript.ts';

/** What the directory says of an entry. */
export interface DirectoryEntry {
  readonly name: string;
  /** The name as it stands in the file; the local header must repeat it. */
  readonly nameBytes: Uint8Array;
  /** Bytes of the data; stored, so compressed and uncompressed alike. */
  readonly size: number;
  readonly headerOffset: number;
  readonly crc: number;
  readonly flags: number;
  readonly method: number;
}

const recordBytes = 46;
const zip64ExtraField = 0x0001;
const allOnes = 0xffffffff;

/** Flags of what is not stored plainly: encrypted, patched, strongly encrypted, names masked. */
const refusedFlags = 0x0001 | 0x0020 | 0x0040 | 0x2000;

/**
 * Reads `count` records that fill `bytes` exactly. Throws bad-checkpoint, naming the entry, for what a checkpoint never has, and
 * unsupported for TorchScript, which compresses its code.
 */
export function parseDirectory(bytes: Uint8Array<ArrayBuffer>, file: string, count: number): DirectoryEntry[] {
  const reader = new DirectoryReader(bytes, file);
  const entries: DirectoryEntry[] = [];
  const names = new Set<string>();
  for (let i = 0; i < count; i++) {
    const entry = reader.entry();
    if (names.has(entry.name)) {
      throw new StamError('bad-checkpoint', {
        where: describeTensor(file, entry.name),
        problem: 'two entries have this name',
      });
    }
    names.add(entry.name);
    entries.push(entry);
  }
  reader.end();
  if (reader.compressed) throw torchScriptError([...names], file) ?? reader.compressed;
  return entries;
}

class DirectoryReader {
  private readonly bytes: Uint8Array<ArrayBuffer>;
  private readonly view: DataView;
  private readonly file: string;
  private position = 0;
  /** The error for the first compressed entry, to be thrown when all names are known. */
  compressed: StamError | undefined;

  constructor(bytes: Uint8Array<ArrayBuffer>, file: string) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.file = file;
  }

  entry(): DirectoryEntry {
    const { view } = this;
    const record = this.take(recordBytes).byteOffset - this.bytes.byteOffset;
    if (view.getUint32(record, true) !== 0x02014b50) throw this.damaged('a record does not begin with its signature');
    const flags = view.getUint16(record + 8, true);
    const method = view.getUint16(record + 10, true);
    const nameBytes = this.take(view.getUint16(record + 28, true));
    const extra = this.take(view.getUint16(record + 30, true));
    this.take(view.getUint16(record + 32, true)); // a comment
    const name = this.name(nameBytes);

    const refuse = (problem: string, got?: string, expected?: string, hint?: string) =>
      new StamError('bad-checkpoint', { where: describeTensor(this.file, name), problem, got, expected, hint });
    if (flags & refusedFlags) throw refuse('the entry is encrypted or patched', `flags 0x${flags.toString(16)}`);
    if (method !== 0) {
      const got = method === 8 ? 'deflate' : `method ${method}`;
      const hint = 'torch.save compresses nothing: write the archive again with it';
      this.compressed ??= refuse('the entry is compressed', got, 'stored bytes', hint);
    }
    if (view.getUint16(record + 34, true) !== 0) throw refuse('the entry lies on another disk');
    const small = [24, 20, 42].map((field) => view.getUint32(record + field, true));
    const large = zip64Fields(extra, small);
    if (!large) throw refuse('the extra fields are damaged');
    const [size, compressedSize, headerOffset] = large;
    if (method === 0 && size !== compressedSize) {
      throw refuse('the sizes of a stored entry differ', `${compressedSize} and ${size} bytes`, 'the same');
    }
    if (!large.every(Number.isSafeInteger)) {
      throw refuse('the entry is too large', `${size} bytes at ${headerOffset}`, 'below 2^53');
    }
    return { name, nameBytes, size, headerOffset, crc: view.getUint32(record + 16, true), flags, method };
  }

  end(): void {
    const rest = this.bytes.byteLength - this.position;
    if (rest > 0) throw this.damaged('bytes follow the last record', `${rest} bytes`);
  }

  private name(bytes: Uint8Array): string {
    let name: string;
    try {
      name = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw this.damaged('a name is not valid UTF-8');
    }
    // what would leave the folder that somebody unpacks into, or mean different files to different systems
    const parts = name.split('/');
    const isPlain = !/[\\\p{Cc}]|^[A-Za-z]:/u.test(name) && !parts.some((part) => ['', '.', '..'].includes(part));
    if (isPlain) return name;
    throw new StamError('bad-checkpoint', {
      where: describeTensor(this.file, name),
      problem: 'bad name of an entry',
      expected: "names of files below the archive's folder",
    });
  }

  private take(count: number): Uint8Array {
    if (count > this.bytes.byteLength - this.position) throw this.damaged('the directory is cut off within a record');
    this.position += count;
    return this.bytes.subarray(this.position - count, this.position);
  }

  private damaged(problem: string, got?: string): StamError {
    return new StamError('bad-checkpoint', { where: `${this.file}: directory`, problem, got });
  }
}

/**
 * Uncompressed size, compressed size and offset, each from the zip64 field where the record itself says all ones.
 * Undefined when the extra fields are damaged, have that field twice, or lack what is needed.
 */
function zip64Fields(extra: Uint8Array, small: readonly number[]): number[] | undefined {
  const view = new DataView(extra.buffer, extra.byteOffset, extra.byteLength);
  let field: { begin: number; end: number } | undefined;
  for (let at = 0; at < extra.byteLength; ) {
    if (at + 4 > extra.byteLength) return undefined;
    const begin = at + 4;
    const end = begin + view.getUint16(at + 2, true);
    if (end > extra.byteLength) return undefined;
    if (view.getUint16(at, true) === zip64ExtraField) {
      if (field) return undefined;
      field = { begin, end };
    }
    at = end;
  }
  const large: number[] = [];
  for (const value of small) {
    if (value !== allOnes) large.push(value);
    else {
      if (!field || field.begin + 8 > field.end) return undefined;
      // beyond 2^53 it is rounded, which the caller refuses in any case
      large.push(Number(view.getBigUint64(field.begin, true)));
      field.begin += 8;
    }
  }
  return large;
}
