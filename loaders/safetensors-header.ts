// The header of a safetensors file, and every rule that it must keep.
//
// Layout: u64 length N (little-endian) | N bytes of UTF-8 JSON | data. The JSON is one object, name -> { dtype, shape,
// data_offsets: [begin, end) within the data }, and optionally `__metadata__` -> { string: string }.
import { quoteName, StamError } from '../engine/errors.ts';
import { formatBriefly } from '../engine/shape.ts';
import type { TensorInfo } from './checkpoint.ts';
import { clip, JsonReader } from './strict-json.ts';

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
  const type = [dtype, shape && formatBriefly(shape)].filter(Boolean).join(' ');
  return `${file}: ${quoteName(name)}${type && ` (${type})`}`;
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
  const { infos, metadata } = new HeaderReader(bytes, file).read();
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

interface PartialInfo {
  name?: string;
  dtype?: string;
  shape?: number[];
  offsets?: number[];
}

/** Reads exactly the JSON that a header may consist of. */
class HeaderReader {
  private readonly json: JsonReader;
  /** The tensor that is being read, for messages. */
  private current: PartialInfo = {};

  constructor(bytes: Uint8Array, file: string) {
    const where = () => {
      const { name, dtype, shape } = this.current;
      return name === undefined ? `${file}: header` : describeTensor(file, name, dtype, shape);
    };
    this.json = new JsonReader(bytes, { document: 'header', where, firstByte: prefixBytes });
  }

  read(): { infos: TensorSpan[]; metadata: Map<string, string> } {
    const infos: TensorSpan[] = [];
    const names = new Set<string>();
    let metadata: Map<string, string> | undefined;
    for (const name of this.json.members('the header object')) {
      if (name === '__metadata__') {
        if (metadata) throw this.json.error('__metadata__ is there twice');
        metadata = this.metadata();
        continue;
      }
      this.current = { name };
      if (names.has(name)) throw this.json.error('two tensors have this name');
      names.add(name);
      infos.push(this.info(name));
      this.current = {};
    }
    this.json.end();
    return { infos, metadata: metadata ?? new Map() };
  }

  /** `null` counts as empty, and the last of two equal keys wins: the reference implementation says so. */
  private metadata(): Map<string, string> {
    const metadata = new Map<string, string>();
    if (this.json.take('null')) return metadata;
    for (const key of this.json.members('__metadata__'))
      metadata.set(key, this.json.string('a string in __metadata__'));
    return metadata;
  }

  private info(name: string): TensorSpan {
    const { json, current: info } = this;
    for (const field of json.members("the tensor's object")) {
      if (field === 'dtype') {
        this.refuseTwice(field, info.dtype);
        const dtype = json.string('a dtype');
        if (!dtypeBits.has(dtype)) {
          throw json.error('unknown dtype', JSON.stringify(clip(dtype)), `one of ${[...dtypeBits.keys()].join(' ')}`);
        }
        info.dtype = dtype;
      } else if (field === 'shape') {
        this.refuseTwice(field, info.shape);
        info.shape = json.integers('shape');
      } else if (field === 'data_offsets') {
        this.refuseTwice(field, info.offsets);
        info.offsets = json.integers('data_offsets');
        if (info.offsets.length !== 2) {
          throw json.error('data_offsets has a wrong length', `${info.offsets.length} numbers`, '2');
        }
      } else json.anyValue(2);
    }
    const { dtype, shape, offsets } = info;
    if (dtype === undefined) throw json.error('dtype is missing');
    if (shape === undefined) throw json.error('shape is missing');
    if (offsets === undefined) throw json.error('data_offsets is missing');
    const [begin, end] = offsets;
    return { name, dtype, shape, bytes: end - begin, begin, end };
  }

  private refuseTwice(field: string, before: unknown): void {
    if (before !== undefined) throw this.json.error(`${field} is there twice`);
  }
}
