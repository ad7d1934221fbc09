// What every loader hands on: named tensors that can be asked for one at a time.
import { type FloatType, floatTypeBytes } from '../engine/dtype.ts';
import type { AllocateBytes } from './source.ts';

/** One tensor of a checkpoint. Elements are little-endian and row-major. */
export interface TensorInfo {
  readonly name: string;
  /** As safetensors spells it: F32, F16, BF16, I64, ...; what safetensors lacks is spelled alike: C128, QINT8, ... */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Size of the elements, one after another. */
  readonly bytes: number;
}

/** Named tensors, read on demand so that no more than one of them need be in memory. */
export interface Checkpoint {
  /** What the tensors came from, for messages: a path, a URL, `synthetic:1`. */
  readonly name: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Free-form strings kept beside the tensors (safetensors' `__metadata__`). */
  readonly metadata: ReadonlyMap<string, string>;
  /** What the file holds beside the tensors and is not handed on, by name: `optimizer`, `epoch`. */
  readonly leftOut: readonly string[];
  /** Where else in the file tensors lie, those with the most first: each may be the option `key` of whoever opened it. */
  readonly otherKeys?: readonly string[] | undefined;
  /**
   * The elements of one tensor as float32, [shape] row-major; F64 is rounded to nearest.
   * Throws missing-tensor when there is no such tensor, unsupported when its dtype is no float.
   * With `allocate` the result may lie in what that gave for so many bytes.
   */
  read(tensor: string, signal?: AbortSignal, allocate?: AllocateBytes): Promise<Float32Array<ArrayBuffer>>;
  /**
   * The elements of one tensor in its own dtype, little-endian, [shape] row-major.
   * Throws missing-tensor when there is no such tensor, unsupported when its elements cannot be handed on as they are.
   */
  readBytes(tensor: string, signal?: AbortSignal, allocate?: AllocateBytes): Promise<Uint8Array<ArrayBuffer>>;
  /** Names in the order that reads the source from front to back. */
  order(): readonly string[];
  /** Closes the source. Safe to call twice. */
  close(): Promise<void>;
}

/** Whether the elements can be read as floats. */
export function isFloatType(dtype: string): dtype is FloatType {
  return Object.hasOwn(floatTypeBytes, dtype);
}
