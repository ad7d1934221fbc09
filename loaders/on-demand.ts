// What the checkpoints that lie in a file have in common: tensors are looked up by name, read by range, and decoded.
import { decodeFloats } from '../engine/dtype.ts';
import { StamError } from '../engine/errors.ts';
import { type Checkpoint, isFloatType, type TensorInfo } from './checkpoint.ts';
import { describeTensor } from './safetensors-header.ts';
import type { AllocateBytes } from './source.ts';

/** A file format's own part of a checkpoint. `T` says where the elements of a tensor lie. */
export interface OnDemandTensors<T extends TensorInfo> {
  readonly name: string;
  /** In the order that reads the source from front to back. */
  readonly tensors: ReadonlyMap<string, T>;
  readonly metadata?: ReadonlyMap<string, string>;
  readonly leftOut?: readonly string[];
  readonly otherKeys?: readonly string[];
  /** The elements of one tensor, little-endian, row-major; where it can, in what `allocate` gives, which it calls once. */
  readElements(
    tensor: T,
    signal: AbortSignal | undefined,
    allocate: AllocateBytes | undefined,
  ): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** Makes a checkpoint of them. */
export function onDemandCheckpoint<T extends TensorInfo>(parts: OnDemandTensors<T>): Checkpoint {
  const { name: file, tensors, metadata = new Map(), leftOut = [], otherKeys } = parts;
  function find(name: string): T {
    const tensor = tensors.get(name);
    if (tensor) return tensor;
    throw new StamError('missing-tensor', {
      where: describeTensor(file, name),
      problem: 'there is no such tensor in the file',
    });
  }
  return {
    name: file,
    tensors,
    metadata,
    leftOut,
    otherKeys,
    async read(name, signal, allocate) {
      const tensor = find(name);
      const { dtype, shape } = tensor;
      if (!isFloatType(dtype)) {
        throw new StamError('unsupported', {
          where: describeTensor(file, name, dtype, shape),
          problem: 'the elements cannot be read as float32',
          got: dtype,
          expected: 'F64, F32, F16 or BF16',
        });
      }
      return decodeFloats(await parts.readElements(tensor, signal, allocate), dtype);
    },
    readBytes: async (name, signal, allocate) => parts.readElements(find(name), signal, allocate),
    order: () => [...tensors.keys()],
    close: () => parts.close(),
  };
}
