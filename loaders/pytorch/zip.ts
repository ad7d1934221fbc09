// The zip container of PyTorch checkpoints, by ranges. Only the central directory says what the file holds; a local header
// is read when its entry is, and must agree. Whatever two readers could understand differently is refused: an archive is
// its entries from the first byte on, then the directory, then the end records, and nothing else.
//
//   entry:  local header (30) | name | extra | data | data descriptor (0..24)
//   end:    central directory | [zip64 end record (56+) | its locator (20)] | end record (22)
import { StamError } from '../../engine/errors.ts';
import { describeTensor } from '../safetensors-header.ts';
import type { AllocateBytes, ByteSource } from '../source.ts';
import { type DirectoryEntry, parseDirectory } from './zip-directory.ts';

export interface ZipOptions {
  /** Whether each entry is compared with its CRC-32 before anything of it is handed out: it is read twice then. */
  readonly verifyChecksums?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One stored file of an archive. */
export interface ZipEntry {
  readonly name: string;
  readonly size: number;
  /** Where its local header begins; entries lie in this order. */
  readonly headerOffset: number;
}

/** An archive of stored files. It does not own its source. */
export interface ZipArchive {
  /** By name, in the order of the directory. */
  readonly entries: ReadonlyMap<string, ZipEntry>;
  /**
   * Bytes [start, end) of an entry.
   * Throws bad-checkpoint when its local header disagrees with the directory, or its bytes with the checksum.
   */
  read(
    name: string,
    start: number,
    end: number,
    signal?: AbortSignal,
    allocate?: AllocateBytes,
  ): Promise<Uint8Array<ArrayBuffer>>;
}

const localHeaderBytes = 30;
const endBytes = 22;
const locatorBytes = 20;
const endBytes64 = 56;
/** The end record may be followed by a comment of so many bytes. */
const maxCommentBytes = 0xffff;
/** What may lie between the name of an entry and the next entry beside the data: extra fields and a descriptor. */
const maxSlackBytes = 0xffff + 24;

/** How much is held at a time while a checksum is computed. */
const checkedBytes = 4 * 1024 * 1024;

const maxEntries = 100_000;
const maxDirectoryBytes = 32 * 1024 * 1024;

/**
 * Reads and checks the directory. Throws bad-checkpoint for an archive that is damaged, compressed, encrypted, split,
 * ambiguous, or larger than any checkpoint: 100,000 entries, a directory of 32 MiB; unsupported for a TorchScript archive, and for one
 * without checksums that are to be verified.
 */
export async function openZip(source: ByteSource, options: ZipOptions = {}): Promise<ZipArchive> {
  const { verifyChecksums = false, signal } = options;
  const { offset, bytes, count } = await findDirectory(source, signal);
  const directory = await source.read(offset, offset + bytes, signal);
  const listed = parseDirectory(directory, source.name, count);
  if (verifyChecksums) expectChecksums(listed, source.name);
  const bounds = layOut(listed, source.name, offset);
  const entries = new Map(listed.map((entry) => [entry.name, entry]));
  const dataOffsets = new Map<string, number>();

  /** Where the data of an entry begins, once its local header and, if wanted, its checksum have been found right. */
  async function dataOffset(entry: DirectoryEntry, readSignal: AbortSignal | undefined): Promise<number> {
    const known = dataOffsets.get(entry.name);
    if (known !== undefined) return known;
    const { headerOffset, nameBytes } = entry;
    const headerEnd = headerOffset + localHeaderBytes + nameBytes.byteLength;
    const header = await source.read(headerOffset, headerEnd, readSignal);
    const begin = headerEnd + checkLocalHeader(header, entry, source.name);
    const bound = bounds.get(entry.name) ?? offset;
    if (begin + entry.size > bound) {
      throw refusal(source.name, entry.name, 'the data reaches into what follows it', {
        got: `an end at ${begin + entry.size}`,
        expected: `at most ${bound}`,
      });
    }
    if (verifyChecksums) await checkSum(source, entry, begin, readSignal);
    dataOffsets.set(entry.name, begin);
    return begin;
  }

  return {
    entries,
    async read(name, start, end, readSignal, allocate) {
      const entry = entries.get(name);
      if (!entry) throw refusal(source.name, name, 'there is no such entry in the archive');
      const begin = await dataOffset(entry, readSignal);
      return source.read(begin + start, begin + end, readSignal, allocate);
    },
  };
}

/** torch.save writes zeros where it was told to compute no checksums. Nothing could be verified, which whoever asks for it must hear. */
function expectChecksums(entries: readonly DirectoryEntry[], file: string): void {
  const filled = entries.filter(({ size }) => size > 0);
  if (filled.length === 0 || filled.some(({ crc }) => crc !== 0)) return;
  throw new StamError('unsupported', {
    where: file,
    problem: 'the file was saved without checksums, so that none can be verified',
    got: '0 as the checksum of every entry',
    hint: 'open it without the option `verifyChecksums`, or save it again after torch.serialization.set_crc32_options(True)',
  });
}

async function checkSum(
  source: ByteSource,
  { name, size, crc }: DirectoryEntry,
  begin: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  let sum = 0;
  for (let at = 0; at < size; at += checkedBytes) {
    const end = Math.min(at + checkedBytes, size);
    sum = crc32(await source.read(begin + at, begin + end, signal), sum);
  }
  if (sum === crc) return;
  throw refusal(source.name, name, 'the bytes do not fit their checksum', {
    got: hex(sum),
    expected: hex(crc),
    hint: 'the file is damaged: get it again',
  });
}

interface Directory {
  readonly offset: number;
  readonly bytes: number;
  readonly count: number;
}

/** Follows the records at the end of the file. They must touch each other, and the directory them. */
async function findDirectory(source: ByteSource, signal: AbortSignal | undefined): Promise<Directory> {
  const where = `${source.name}: end of the archive`;
  const damaged = (problem: string, got?: string, expected?: string, hint?: string) =>
    new StamError('bad-checkpoint', { where, problem, got, expected, hint });
  const tail = await source.read(Math.max(0, source.size - endBytes), source.size, signal);
  if (tail.byteLength < endBytes || view(tail).getUint32(0, true) !== 0x06054b50) {
    const search = await source.read(Math.max(0, source.size - endBytes - maxCommentBytes), source.size, signal);
    for (let at = search.byteLength - endBytes; at >= 0; at--) {
      if (view(search).getUint32(at, true) !== 0x06054b50) continue;
      throw damaged('bytes follow the archive', `${search.byteLength - at - endBytes} bytes`, 'none');
    }
    throw damaged('there is no end record', undefined, undefined, 'the file is truncated: get it again');
  }
  const end = view(tail);
  const classic = {
    count: end.getUint16(10, true),
    bytes: end.getUint32(12, true),
    offset: end.getUint32(16, true),
  };
  if (end.getUint16(4, true) !== 0 || end.getUint16(6, true) !== 0) throw damaged('the archive is split over disks');
  if (end.getUint16(8, true) !== classic.count) throw damaged('the numbers of entries disagree');
  if (end.getUint16(20, true) !== 0) throw damaged('the end record promises a comment that is not there');

  let directory: Directory = classic;
  let endOfDirectory = source.size - endBytes;
  const locatorAt = endOfDirectory - locatorBytes;
  const locator = locatorAt >= 0 ? view(await source.read(locatorAt, endOfDirectory, signal)) : undefined;
  if (locator?.getUint32(0, true) === 0x07064b50) {
    const recordAt = locator.getBigUint64(8, true);
    if (locator.getUint32(4, true) !== 0 || locator.getUint32(16, true) > 1) {
      throw damaged('the archive is split over disks');
    }
    // without the optional data that nobody writes the record is of one size
    if (recordAt !== BigInt(locatorAt - endBytes64)) {
      throw damaged('the zip64 end record is not where it must be', `${recordAt}`, `${locatorAt - endBytes64}`);
    }
    endOfDirectory = Number(recordAt);
    const record = view(await source.read(endOfDirectory, locatorAt, signal));
    if (record.getUint32(0, true) !== 0x06064b50 || record.getBigUint64(4, true) !== BigInt(endBytes64 - 12)) {
      throw damaged('there is no zip64 end record where the locator points');
    }
    if (record.getUint32(16, true) !== 0 || record.getUint32(20, true) !== 0) {
      throw damaged('the archive is split over disks');
    }
    if (record.getBigUint64(24, true) !== record.getBigUint64(32, true)) {
      throw damaged('the numbers of entries disagree');
    }
    // what exceeds any file stays too large after rounding, so plain numbers do
    directory = {
      count: Number(record.getBigUint64(32, true)),
      bytes: Number(record.getBigUint64(40, true)),
      offset: Number(record.getBigUint64(48, true)),
    };
    const agree = (small: number, large: number, none: number) => small === none || small === large;
    if (
      !agree(classic.count, directory.count, 0xffff) ||
      !agree(classic.bytes, directory.bytes, 0xffffffff) ||
      !agree(classic.offset, directory.offset, 0xffffffff)
    ) {
      throw damaged('the two end records disagree');
    }
  }
  if (directory.count > maxEntries) throw damaged('too many entries', `${directory.count}`, `at most ${maxEntries}`);
  if (directory.bytes > maxDirectoryBytes) {
    throw damaged('the directory is too long', `${directory.bytes} bytes`, `at most ${maxDirectoryBytes}`);
  }
  if (directory.offset + directory.bytes !== endOfDirectory) {
    throw damaged(
      'the directory does not end where the end records begin',
      `an end at ${directory.offset + directory.bytes}`,
      `${endOfDirectory}`,
      'bytes were put before the archive, or lost',
    );
  }
  return directory;
}

/** Checks that the entries fill the file from its first byte to the directory. Gives each one's bound: the next one's begin. */
function layOut(entries: readonly DirectoryEntry[], file: string, directoryOffset: number): Map<string, number> {
  const bounds = new Map<string, number>();
  const sorted = [...entries].sort((a, b) => a.headerOffset - b.headerOffset);
  let [least, most] = [0, 0];
  for (const [i, { name, headerOffset, nameBytes, size }] of sorted.entries()) {
    if (headerOffset < least) throw refusal(file, name, 'the entry overlaps another one');
    if (headerOffset > most) {
      throw refusal(file, name, 'bytes that belong to no entry stand before it', {
        got: `a begin at ${headerOffset}`,
        expected: `at most ${most}`,
      });
    }
    least = headerOffset + localHeaderBytes + nameBytes.byteLength + size;
    most = least + maxSlackBytes;
    const next = i + 1 < sorted.length ? sorted[i + 1].headerOffset : directoryOffset;
    bounds.set(name, next);
  }
  if (directoryOffset < least) throw refusal(file, sorted[sorted.length - 1].name, 'the entry overlaps the directory');
  if (directoryOffset > most) {
    throw new StamError('bad-checkpoint', {
      where: `${file}: directory`,
      problem: 'bytes that belong to no entry stand before it',
    });
  }
  return bounds;
}

/** Compares a local header with the directory; gives the length of the extra fields between the name and the data. */
function checkLocalHeader(header: Uint8Array<ArrayBuffer>, entry: DirectoryEntry, file: string): number {
  const fields = view(header);
  const disagree = (what: string) =>
    refusal(file, entry.name, `the local header and the directory disagree on ${what}`);
  if (fields.getUint32(0, true) !== 0x04034b50) throw refusal(file, entry.name, 'there is no local header');
  if (fields.getUint16(6, true) !== entry.flags) throw disagree('the flags');
  if (fields.getUint16(8, true) !== entry.method) throw disagree('the method');
  const name = header.subarray(localHeaderBytes);
  if (fields.getUint16(26, true) !== name.byteLength || name.some((byte, i) => byte !== entry.nameBytes[i])) {
    throw disagree('the name');
  }
  // with a data descriptor behind the data the fields here may be empty, with zip64 all ones
  const streamed = (entry.flags & 8) !== 0;
  const agrees = (field: number, value: number) =>
    field === value || (field === 0 && streamed) || (field === 0xffffffff && value >= 0xffffffff);
  if (!agrees(fields.getUint32(14, true), entry.crc)) throw disagree('the checksum');
  if (!agrees(fields.getUint32(18, true), entry.size) || !agrees(fields.getUint32(22, true), entry.size)) {
    throw disagree('the size');
  }
  return fields.getUint16(28, true);
}

function refusal(
  file: string,
  entry: string,
  problem: string,
  more: { got?: string; expected?: string; hint?: string } = {},
): StamError {
  return new StamError('bad-checkpoint', { where: describeTensor(file, entry), problem, ...more });
}

function view(bytes: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

/** The checksum of zip, CRC-32 with the reflected polynomial 0xEDB88320, of bytes that follow those of `sum`. */
function crc32(bytes: Uint8Array, sum: number): number {
  let crc = ~sum;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ crcTable[(crc ^ bytes[i]) & 0xff];
  return ~crc >>> 0;
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
