// The header of a safetensors file, read strictly. JSON.parse would not do: it forgets duplicate names, takes 1.0 for 1,
// rounds large integers and lets lone surrogates pass, and each of these lets two readers see two different files.
//
// Layout: u64 length N (little-endian) | N bytes of UTF-8 JSON | data. The JSON is one object, name -> { dtype, shape,
// data_offsets: [begin, end) within the data }, and optionally `__metadata__` -> { string: string }.
import { StamError } from '../engine/errors.ts';
import type { TensorInfo } from './checkpoint.ts';

/** Bytes before the JSON. */
export const prefixBytes = 8;

/** The longest header the format allows; the default is lower, for parsed JSON takes far more memory than its text. */
export const maxFormatHeaderBytes = 100_000_000;
export const defaultMaxHeaderBytes = 16 * 1024 * 1024;

/** Every element type of the format, in the format's own order, with its size in bits. */
export const dtypeBits: ReadonlyMap<string, number> = new Map([
  ['BOOL', 8],
  ['F4', 4],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['U8', 8],
  ['I8', 8],
  ['F8_E5M2', 8],
  ['F8_E4M3', 8],
  ['F8_E8M0', 8],
  ['F8_E4M3FNUZ', 8],
  ['F8_E5M2FNUZ', 8],
  ['I16', 16],
  ['U16', 16],
  ['F16', 16],
  ['BF16', 16],
  ['I32', 32],
  ['U32', 32],
  ['F32', 32],
  ['C64', 64],
  ['F64', 64],
  ['I64', 64],
  ['U64', 64],
]);

/** A tensor and where its bytes lie: [begin, end) counted from the first byte after the header. */
export interface TensorSpan extends TensorInfo {
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** In the order in which their bytes lie in the file. */
  readonly tensors: ReadonlyMap<string, TensorSpan>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** A tensor in a message: `model.safetensors: head.weight (F32 [400, 768])`. A hostile name is quoted, escaped and cut. */
export function describeTensor(file: string, name: string, dtype?: string, shape?: readonly number[]): string {
  const quoted = /^[\w.:/-]{1,200}$/.test(name) ? name : JSON.stringify(name.slice(0, 200));
  const sizes = shape && (shape.length > 16 ? [...shape.slice(0, 16), '...'] : shape).join(', ');
  const type = [dtype, sizes !== undefined && `[${sizes}]`].filter(Boolean).join(' ');
  return `${file}: ${quoted}${type && ` (${type})`}`;
}

/**
 * Bytes of the JSON, from the file's first eight bytes.
 * Throws bad-checkpoint when the file is too short to have them, or the length exceeds `maxHeaderBytes` or the file.
 */
export function readHeaderLength(prefix: Uint8Array, file: string, fileBytes: number, maxHeaderBytes: number): number {
  const where = `${file}: header`;
  if (prefix.byteLength < prefixBytes) {
    throw new StamError('bad-checkpoint', {
      where,
      problem: 'the file is too short to be safetensors',
      got: `${fileBytes} bytes`,
      expected: `at least ${prefixBytes}`,
    });
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset, prefixBytes).getBigUint64(0, true);
  if (length > maxHeaderBytes) {
    const raise =
      length <= maxFormatHeaderBytes ? 'raise maxHeaderBytes to read it' : 'this may be no safetensors file';
    throw new StamError('bad-checkpoint', {
      where,
      problem: 'the header is too long',
      got: `${length} bytes`,
      expected: `at most ${maxHeaderBytes}`,
      hint: raise,
    });
  }
  if (Number(length) > fileBytes - prefixBytes) {
    throw new StamError('bad-checkpoint', {
      where,
      problem: 'the header does not fit into the file',
      got: `a header of ${length} bytes in a file of ${fileBytes}`,
      expected: `at most ${fileBytes - prefixBytes}`,
      hint: 'the file may have been truncated, or be no safetensors file',
    });
  }
  return Number(length);
}

/**
 * Reads and checks a whole header. `dataBytes` is what follows it in the file; the tensors must cover that exactly.
 * Throws bad-checkpoint, naming the place or the tensor, on any deviation.
 */
export function parseHeader(bytes: Uint8Array, file: string, dataBytes: number): SafetensorsHeader {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new StamError('bad-checkpoint', { where: `${file}: header`, problem: 'not valid UTF-8', cause });
  }
  const { infos, metadata } = new HeaderReader(text, file).read();
  return { tensors: checkSpans(infos, file, dataBytes), metadata };
}

/** The rules that concern the tensors together, in the reference implementation's order. */
function checkSpans(infos: TensorSpan[], file: string, dataBytes: number): Map<string, TensorSpan> {
  const tensors = new Map<string, TensorSpan>();
  let previousEnd = 0;
  for (const info of infos.sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    const { name, dtype, shape, begin, end } = info;
    const refuse = (problem: string, got: string, expected: string) => {
      const where = describeTensor(file, name, dtype, shape);
      return new StamError('bad-checkpoint', { where, problem, got, expected });
    };
    if (begin !== previousEnd) {
      const problem = begin < previousEnd ? 'data_offsets overlap another tensor' : 'data_offsets leave a hole';
      throw refuse(problem, `[${begin}, ${end}]`, `a tensor that begins at ${previousEnd}`);
    }
    if (end < begin) throw refuse('data_offsets end before they begin', `[${begin}, ${end}]`, 'begin <= end');
    const bits = shapeBits(shape, dtypeBits.get(dtype) ?? 0);
    if (bits === undefined) throw refuse('the shape is too large', 'more than 2^64 bits', 'less');
    if (bits % 8n !== 0n) throw refuse('the elements do not fill whole bytes', `${bits} bits`, 'a multiple of 8');
    if (bits / 8n !== BigInt(end - begin)) {
      throw refuse('data_offsets do not fit dtype and shape', `${end - begin} bytes`, `${bits / 8n} bytes`);
    }
    previousEnd = end;
    tensors.set(name, info);
  }
  if (previousEnd !== dataBytes) {
    const truncated = previousEnd > dataBytes;
    throw new StamError('bad-checkpoint', {
      where: `${file}: data`,
      problem: truncated ? 'the file is truncated' : 'bytes that belong to no tensor follow the data',
      got: `${dataBytes} bytes after the header`,
      expected: `${previousEnd}, where the last tensor ends`,
      hint: truncated ? 'get the file again' : undefined,
    });
  }
  return tensors;
}

/** Left to right in 64 bits, so that [0, 2^32, 2^32] is empty but [2^32, 2^32, 0] overflows, as in the reference. */
function shapeBits(shape: readonly number[], elementBits: number): bigint | undefined {
  let product = 1n;
  for (const factor of [...shape, elementBits]) {
    product *= BigInt(factor);
    if (product >= 2n ** 64n) return undefined;
  }
  return product;
}

/** How deep arrays and objects may nest in fields that are skipped. The format itself needs three levels. */
const maxDepth = 32;

// sticky: they match at `lastIndex` or not at all
const whitespace = /[ \t\n\r]*/y;
const numberLike = /[-+.\w]*/y;
const scalar = /(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)/y;

interface PartialInfo {
  name?: string;
  dtype?: string;
  shape?: number[];
  offsets?: number[];
}

/** A recursive-descent reader of exactly the JSON that a header may consist of. */
class HeaderReader {
  private readonly text: string;
  private readonly file: string;
  private position = 0;
  /** The tensor that is being read, for messages. */
  private current: PartialInfo = {};

  constructor(text: string, file: string) {
    this.text = text;
    this.file = file;
  }

  read(): { infos: TensorSpan[]; metadata: Map<string, string> } {
    if (this.text.startsWith('\ufeff')) throw this.error('begins with a byte order mark', 'U+FEFF', '{');
    const infos: TensorSpan[] = [];
    const names = new Set<string>();
    let metadata: Map<string, string> | undefined;
    for (const name of this.members('the header object')) {
      if (name === '__metadata__') {
        if (metadata) throw this.error('__metadata__ is there twice');
        metadata = this.metadata();
        continue;
      }
      this.current = { name };
      if (names.has(name)) throw this.error('two tensors have this name');
      names.add(name);
      infos.push(this.info(name));
      this.current = {};
    }
    if (this.position < this.text.length) throw this.error('characters after the header object', this.here());
    return { infos, metadata: metadata ?? new Map() };
  }

  /** `null` counts as empty, and the last of two equal keys wins: the reference implementation says so. */
  private metadata(): Map<string, string> {
    const metadata = new Map<string, string>();
    if (this.take('null')) return metadata;
    for (const key of this.members('__metadata__')) metadata.set(key, this.string('a string in __metadata__'));
    return metadata;
  }

  private info(name: string): TensorSpan {
    const info = this.current;
    for (const field of this.members("the tensor's object")) {
      if (field === 'dtype') {
        this.refuseTwice(field, info.dtype);
        const dtype = this.string('a dtype');
        if (!dtypeBits.has(dtype)) {
          throw this.error('unknown dtype', JSON.stringify(clip(dtype)), `one of ${[...dtypeBits.keys()].join(' ')}`);
        }
        info.dtype = dtype;
      } else if (field === 'shape') {
        this.refuseTwice(field, info.shape);
        info.shape = this.integers('shape');
      } else if (field === 'data_offsets') {
        this.refuseTwice(field, info.offsets);
        info.offsets = this.integers('data_offsets');
        if (info.offsets.length !== 2) {
          throw this.error('data_offsets has a wrong length', `${info.offsets.length} numbers`, '2');
        }
      } else this.skipValue(3);
    }
    const { dtype, shape, offsets } = info;
    if (dtype === undefined) throw this.error('dtype is missing');
    if (shape === undefined) throw this.error('shape is missing');
    if (offsets === undefined) throw this.error('data_offsets is missing');
    const [begin, end] = offsets;
    return { name, dtype, shape, bytes: end - begin, begin, end };
  }

  private refuseTwice(field: string, before: unknown): void {
    if (before !== undefined) throw this.error(`${field} is there twice`);
  }

  /** The keys of an object one by one; who iterates reads the value before asking for the next key. */
  private *members(what: string): Generator<string> {
    this.expect('{', `{ at the start of ${what}`);
    if (this.take('}')) return;
    do {
      const key = this.string('a key in quotes');
      this.expect(':', ':');
      yield key;
    } while (this.take(','));
    this.expect('}', ', or }');
  }

  /** Yields before each element of an array. */
  private *elements(what: string): Generator<void> {
    this.expect('[', `[ at the start of ${what}`);
    if (this.take(']')) return;
    do yield;
    while (this.take(','));
    this.expect(']', ', or ]');
  }

  private integers(what: string): number[] {
    const values: number[] = [];
    for (const _ of this.elements(what)) {
      const token = this.match(numberLike);
      const value = /^(?:0|[1-9][0-9]*)$/.test(token) ? Number(token) : Number.NaN;
      if (!Number.isSafeInteger(value)) {
        this.position -= token.length;
        throw this.error(`bad number in ${what}`, clip(token) || this.here(), 'a plain integer in 0..2^53-1');
      }
      values.push(value);
      this.skipSpace();
    }
    return values;
  }

  private string(expected: string): string {
    if (this.text[this.position] !== '"') throw this.error('not the JSON of a header', this.here(), expected);
    let end = this.position + 1;
    while (end < this.text.length && this.text[end] !== '"') end += this.text[end] === '\\' ? 2 : 1;
    if (end >= this.text.length) throw this.error('a string does not end');
    const value = parseString(this.text.slice(this.position, end + 1));
    if (value === undefined) throw this.error('a bad escape or a control character in a string');
    if (!value.isWellFormed()) throw this.error('a lone surrogate in a string');
    this.position = end + 1;
    this.skipSpace();
    return value;
  }

  /** A value that means nothing to the format: it need only be JSON. */
  private skipValue(depth: number): void {
    if (depth > maxDepth) throw this.error('nested too deeply', undefined, `at most ${maxDepth} levels`);
    const next = this.text[this.position];
    if (next === '{') for (const _ of this.members('an object')) this.skipValue(depth + 1);
    else if (next === '[') for (const _ of this.elements('an array')) this.skipValue(depth + 1);
    else if (next === '"') this.string('a string');
    else if (this.match(scalar) === '') throw this.error('not the JSON of a header', this.here(), 'a value');
    this.skipSpace();
  }

  private expect(token: string, expected: string): void {
    if (!this.take(token)) throw this.error('not the JSON of a header', this.here(), expected);
  }

  /** Steps over a token and the whitespace around it, if it comes next. */
  private take(token: string): boolean {
    this.skipSpace();
    if (!this.text.startsWith(token, this.position)) return false;
    this.position += token.length;
    this.skipSpace();
    return true;
  }

  private skipSpace(): void {
    this.match(whitespace);
  }

  private match(pattern: RegExp): string {
    pattern.lastIndex = this.position;
    const token = pattern.exec(this.text)?.[0] ?? '';
    this.position += token.length;
    return token;
  }

  /** What stands at the position, for messages. */
  private here(): string {
    const next = this.text.codePointAt(this.position);
    return next === undefined ? 'the end of the header' : JSON.stringify(String.fromCodePoint(next));
  }

  private error(problem: string, got?: string, expected?: string): StamError {
    const { name, dtype, shape } = this.current;
    const where = name === undefined ? `${this.file}: header` : describeTensor(this.file, name, dtype, shape);
    const offset = prefixBytes + new TextEncoder().encode(this.text.slice(0, this.position)).byteLength;
    return new StamError('bad-checkpoint', {
      where,
      problem: `${problem} (byte ${offset} of the file)`,
      got,
      expected,
    });
  }
}

/** The value of one JSON string literal, quotes included; undefined when an escape or a character in it is not allowed. */
function parseString(literal: string): string | undefined {
  try {
    return JSON.parse(literal);
  } catch {
    return undefined;
  }
}

function clip(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
