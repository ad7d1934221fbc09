// Writes safetensors one tensor at a time, so that a checkpoint of any size is converted in the memory of its largest tensor.
import { encodeBfloats, encodeHalves, type FloatType, floatTypeBytes } from '../engine/dtype.ts';
import { StamError, throwIfAborted } from '../engine/errors.ts';
import { describeTensor, maxFormatHeaderBytes, prefixBytes } from './safetensors-header.ts';
import type { ByteSink } from './source.ts';

/** A tensor to be written. */
export interface TensorToWrite {
  readonly name: string;
  /** The element type in the file; values are rounded to nearest, ties to even. */
  readonly dtype: FloatType;
  readonly shape: readonly number[];
  /** The elements, [shape] row-major. Asked for once, when their turn has come. */
  readonly data: () => Float32Array<ArrayBuffer> | Promise<Float32Array<ArrayBuffer>>;
}

/**
 * Writes the header and then each tensor: wide elements first, which aligns every tensor to its element size, otherwise in
 * the given order. Finishes the sink; when anything fails the sink is aborted and nothing of the file remains.
 * Throws bad-input for tensors or metadata the format cannot express and for values that overflow F16, shape-mismatch when
 * `data` does not give the elements of `shape`, and the signal's reason once that is aborted.
 */
export async function writeSafetensors(
  sink: ByteSink,
  tensors: readonly TensorToWrite[],
  metadata: ReadonlyMap<string, string> = new Map(),
  signal?: AbortSignal,
): Promise<void> {
  try {
    throwIfAborted(signal);
    const ordered = [...tensors].sort((a, b) => floatTypeBytes[b.dtype] - floatTypeBytes[a.dtype]);
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
async function writeTensor(sink: ByteSink, { name, dtype, shape, data }: TensorToWrite): Promise<void> {
  const values = await data();
  const where = describeTensor(sink.name, name, dtype, shape);
  if (values.length !== elementCount(shape)) {
    throw new StamError('shape-mismatch', {
      where,
      problem: 'wrong number of elements',
      got: `${values.length}`,
      expected: `${elementCount(shape)}`,
    });
  }
  if (dtype === 'F16') refuseOverflow(where, values);
  const elements = dtype === 'F32' ? values : dtype === 'F16' ? encodeHalves(values) : encodeBfloats(values);
  await sink.write(new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength));
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
      hint: 'write F32 or BF16',
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
  for (const { name, dtype, shape } of tensors) {
    const end = begin + elementCount(shape) * floatTypeBytes[dtype];
    const where = describeTensor(file, name, dtype, shape);
    if (names.has(name)) throw new StamError('bad-input', { where, problem: 'this name is already taken' });
    if (shape.some((size) => !Number.isSafeInteger(size) || size < 0) || !Number.isSafeInteger(end)) {
      throw new StamError('bad-input', { where, problem: 'bad shape', expected: 'non-negative integers' });
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

function quote(file: string, text: string): string {
  if (text.isWellFormed()) return JSON.stringify(text);
  throw new StamError('bad-input', {
    where: `${file}: header`,
    problem: 'a lone surrogate cannot be written as UTF-8',
    got: JSON.stringify(text),
  });
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
