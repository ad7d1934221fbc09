// What a file is that is no checkpoint. People give all kinds of files to a loader of weights; those that are met often are called by
// their names, for `the header is too long` helps nobody who has downloaded an error page.
import { StamError } from '../engine/errors.ts';
import { otherProtocolError } from './pytorch/pickle-protocol.ts';
import type { ByteSource } from './source.ts';

/** Of safetensors, in bytes. Not imported: whatever two of the library's files share is one more file for browsers to load. */
const maxHeaderBytes = 100_000_000;

interface Foreign {
  readonly name: string;
  readonly test: (start: Start) => boolean;
  readonly code?: 'unsupported';
  readonly hint?: string;
}

const foreign: readonly Foreign[] = [
  {
    name: 'an HTML page',
    test: (start) => /^\s*<(?:!doctype|html|head|\?xml)/i.test(start.text),
    hint: 'a download has brought an error page or a login instead of the file',
  },
  {
    name: 'a pointer of git-lfs',
    test: (start) => start.text.startsWith('version https://git-lfs'),
    hint: 'run `git lfs pull` where the file lies',
  },
  { name: 'a gzip file', test: (start) => start.has(0x1f, 0x8b), hint: 'unpack it first' },
  { name: 'an xz file', test: (start) => start.has(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0), hint: 'unpack it first' },
  { name: 'a zstd file', test: (start) => start.has(0x28, 0xb5, 0x2f, 0xfd), hint: 'unpack it first' },
  {
    name: 'a tar archive',
    test: (start) => start.text.slice(257, 262) === 'ustar',
    code: 'unsupported',
    hint: 'checkpoints from before PyTorch 0.1.12 are tar archives: load and save it once with PyTorch',
  },
  { name: 'an HDF5 file', test: (start) => start.has(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a) },
  { name: 'a GGUF file', test: (start) => start.text.startsWith('GGUF') },
  { name: 'a NumPy array', test: (start) => start.has(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59) },
  { name: 'an empty zip archive', test: (start) => start.has(0x50, 0x4b, 5, 6) },
  // ir_version, then a producer's name or a graph; the eight bytes must not be the length of a safetensors header
  {
    name: 'an ONNX model',
    test: (start) => start.has(8) && [0x12, 0x1a, 0x3a].includes(start.bytes[2]) && !start.isHeaderLength,
  },
];

/**
 * What to throw for a file that begins with these bytes, where it is known to be none that can be read: bad-checkpoint, and unsupported
 * for what PyTorch wrote, tar archives and pickles of other protocols.
 */
export function foreignFormatError(source: ByteSource, bytes: Uint8Array<ArrayBuffer>): StamError | undefined {
  const start = new Start(bytes);
  const pickle = start.isHeaderLength ? undefined : otherProtocolError(source.name, bytes);
  if (pickle) return pickle;
  const kind = source.size === 0 ? { name: 'an empty file' } : foreign.find(({ test }) => test(start));
  if (!kind) return undefined;
  const { code, hint }: Partial<Foreign> = kind;
  return new StamError(code ?? 'bad-checkpoint', {
    where: source.name,
    problem: 'not a checkpoint that can be read',
    got: kind.name,
    expected: 'a safetensors file or one of torch.save',
    hint,
  });
}

/** The first bytes of a file, and the same as text. */
class Start {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly text: string;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes;
    this.text = new TextDecoder('latin1').decode(bytes);
  }

  has(...signature: number[]): boolean {
    return signature.every((byte, i) => this.bytes[i] === byte);
  }

  get isHeaderLength(): boolean {
    if (this.bytes.byteLength < 8) return false;
    const { buffer, byteOffset } = this.bytes;
    return new DataView(buffer, byteOffset).getBigUint64(0, true) <= maxHeaderBytes;
  }
}
