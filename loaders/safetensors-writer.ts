// Writes safetensors one tensor at a time, so that a checkpoint of any size is converted in the memory of its largest tensor.
import { encodeBfloats, encodeHalves, type FloatTarget } from '../engine/dtype.ts';
import { StamError, throwIfAborted } from '../engine/errors.ts';
import { elementCount } from '../engine/shape.ts';
import { describeTensor, dtypeBits, maxFormatHeaderBytes, prefixBytes } from './safetensors-header.ts';
import type { ByteSink } from './source.ts';

/** A tensor to be written. */
export type TensorToWrite = FloatsToWrite | BytesToWrite;

interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** A tensor whose elements are converted on the way. */
export interface FloatsToWrite extends NamedTensor {
  /** The element type in the file; values are rounded to nearest, ties to even. */
  readonly dtype: FloatTarget;
  /** The elements, [shape] row-major. Asked for once, when their turn has come. */
  readonly data: () => Float32Array<ArrayBuffer> | Promise<Float32Array<ArrayBuffer>>;
}

/** A tensor whose elements are written as they are. */
export interface BytesToWrite extends NamedTensor {
  /** Any element type of the format. */
  readonly dtype: string;
  /** The elements, little-endian, [shape] row-major. Asked for once, when their turn has come. */
  readonly bytes: () => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>;
}

/**
 * Writes the header and then each tensor: wide elements first, which aligns every tensor to its element size, otherwise in
 * the given order. Finishes the sink; when anything fails the sink is aborted and nothing of the file remains.
 * Throws bad-input for tensors or metadata the format cannot express and for values that overflow F16, shape-mismatch when
 * what comes is not the elements of `shape`, and the signal's reason once that is aborted.
 */
export async function writeSafetensors(
  sink: ByteSink,
  tensors: readonly TensorToWrite[],
  metadata: ReadonlyMap<string, string> = new Map(),
  signal?: AbortSignal,
): Promise<void> {
  try {
    throwIfAborted(signal);
    const ordered = [...tensors].sort((a, b) => elementBits(b) - elementBits(a));
    await sink.write(encodeHeader(sink.name, ordered, metadata));
    for (const tensor of ordered) {
      await writeTensor(sink, tensor);
      throwIfAborted(signal);
    }
    await sink.finish();
  } catch (error) {
    await sink.abort();
    throw error;
  }
}

/** A function of its own, so that the elements are out of scope before the next tensor's are asked for. */
async function writeTensor(sink: ByteSink, tensor: TensorToWrite): Promise<void> {
  const bytes = 'bytes' in tensor ? await tensor.bytes() : await encode(sink.name, tensor);
  const expected = byteLength(tensor);
  if (bytes.byteLength !== expected) {
    const inElements = (count: number) => `${(8 * count) / elementBits(tensor)}`;
    throw new StamError('shape-mismatch', {
      where: placeOf(sink.name, tensor),
      problem: 'wrong number of elements',
      got: inElements(bytes.byteLength),
      expected: inElements(expected),
    });
  }
  await sink.write(bytes);
}

async function encode(file: string, tensor: FloatsToWrite): Promise<Uint8Array<ArrayBuffer>> {
  const { dtype } = tensor;
  const values = await tensor.data();
  if (dtype === 'F16') refuseOverflow(placeOf(file, tensor), values);
  const elements = dtype === 'F32' ? values : dtype === 'F16' ? encodeHalves(values) : encodeBfloats(values);
  return new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
}

/** An infinity where the checkpoint had a number would only be noticed as NaN logits. */
function refuseOverflow(where: string, values: Float32Array): void {
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]);
    if (size < 65520 || size === Number.POSITIVE_INFINITY || Number.isNaN(size)) continue;
    throw new StamError('bad-input', {
      where,
      problem: `element ${i} is too large for F16`,
      got: `${values[i]}`,
      expected: 'less than 65520 in magnitude',
      hint: 'choose F32 or BF16 by the option `dtype`',
    });
  }
}

/** Length and JSON, padded with spaces so that the data begins at a multiple of eight. */
function encodeHeader(
  file: string,
  tensors: readonly TensorToWrite[],
  metadata: ReadonlyMap<string, string>,
): Uint8Array<ArrayBuffer> {
  // put together by hand: an object would reorder names like "0" and swallow "__proto__"
  const members: string[] = [];
  if (metadata.size > 0) {
    const pairs = [...metadata].map(([key, value]) => `${quote(file, key)}:${quote(file, value)}`);
    members.push(`"__metadata__":{${pairs.join(',')}}`);
  }
  const names = new Set(['__metadata__']);
  let begin = 0;
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    const end = begin + byteLength(tensor);
    const refuse = (problem: string, expected?: string) =>
      new StamError('bad-input', { where: placeOf(file, tensor), problem, expected });
    if (!dtypeBits.has(dtype)) throw refuse('the format has no such dtype');
    if (names.has(name)) throw refuse('this name is already taken');
    if (shape.some((size) => !Number.isSafeInteger(size) || size < 0) || !Number.isSafeInteger(end)) {
      throw refuse('bad shape', 'non-negative integers');
    }
    names.add(name);
    members.push(
      `${quote(file, name)}:{"dtype":"${dtype}","shape":[${shape.join(',')}],"data_offsets":[${begin},${end}]}`,
    );
    begin = end;
  }
  const json = new TextEncoder().encode(`{${members.join(',')}}`);
  const length = Math.ceil(json.byteLength / 8) * 8;
  if (length > maxFormatHeaderBytes) {
    throw new StamError('bad-input', {
      where: `${file}: header`,
      problem: 'too many tensors or too much metadata',
      got: `${length} bytes`,
      expected: `at most ${maxFormatHeaderBytes}`,
    });
  }
  const bytes = new Uint8Array(prefixBytes + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, prefixBytes);
  return bytes;
}

/** A tensor in a message. Made where there is one: for many small tensors it takes longer than writing them. */
function placeOf(file: string, { name, dtype, shape }: TensorToWrite): string {
  return describeTensor(file, name, dtype, shape);
}

function quote(file: string, text: string): string {
  if (text.isWellFormed()) return JSON.stringify(text);
  throw new StamError('bad-input', {
    where: `${file}: header`,
    problem: 'a lone surrogate cannot be written as UTF-8',
    got: JSON.stringify(text),
  });
}

function elementBits({ dtype }: TensorToWrite): number {
  return dtypeBits.get(dtype) ?? 0;
}

/** A fraction where elements of less than a byte do not fill the last one. */
function byteLength(tensor: TensorToWrite): number {
  return (elementCount(tensor.shape) * elementBits(tensor)) / 8;
}
