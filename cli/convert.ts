// stam convert: any checkpoint to safetensors, one tensor in memory at a time.
import fs from 'node:fs/promises';
import { type FloatTarget, floatTypeBytes } from '../engine/dtype.ts';
import { StamError } from '../engine/errors.ts';
import { elementCount } from '../engine/shape.ts';
import { type Checkpoint, isFloatType, type TensorInfo } from '../loaders/checkpoint.ts';
import { createFileSink } from '../loaders/node-source.ts';
import { describeTensor, dtypeBits } from '../loaders/safetensors-header.ts';
import { type TensorToWrite, writeSafetensors } from '../loaders/safetensors-writer.ts';
import type { AllocateBytes } from '../loaders/source.ts';
import { checkpointFile, keyOption, openCheckpointFile } from './checkpoint-file.ts';
import { defineCommand, UsageError } from './command.ts';
import { formatBytes, formatNumber } from './table.ts';

const targets: Readonly<Record<'f32' | 'f16' | 'bf16', FloatTarget>> = { f32: 'F32', f16: 'F16', bf16: 'BF16' };

/** `stam convert IN OUT [--dtype f32|f16|bf16]`. */
export const convert = defineCommand({
  name: 'convert',
  summary: 'writes a checkpoint as safetensors',
  positionals: [
    { placeholder: 'IN', description: checkpointFile },
    { placeholder: 'OUT', description: 'the .safetensors file to write; appears when it is complete' },
  ],
  options: {
    dtype: {
      type: 'choice',
      choices: ['f32', 'f16', 'bf16'],
      description:
        'converts tensors of F64, F32, F16 and BF16; default: every tensor keeps its type, as others always do',
    },
    key: keyOption,
  },
  async run({ values, positionals: [input, output], signal, log, progress }) {
    await refuseSameFile(input, output);
    const checkpoint = await openCheckpointFile(input, { key: values.key, signal, log });
    try {
      const target = values.dtype && targets[values.dtype];
      const plan = planOf(checkpoint, target);
      const total = plan.reduce((sum, { bytes }) => sum + bytes, 0);
      const bar = progress('converting', total, 'bytes');
      let done = 0;
      const advance = (tensor: PlannedTensor) => {
        bar.update(done, tensor.name);
        done += tensor.bytes;
      };
      const allocate = reusedMemory();
      const tensors = plan.map((tensor) => toWrite(checkpoint, tensor, { advance, allocate, signal }));
      await writeSafetensors(await createFileSink(output), tensors, checkpoint.metadata, signal);
      bar.finish();
      log(`${output}: ${formatNumber(plan.length)} tensors (${countByDtype(plan)}), ${formatBytes(total)}`);
    } finally {
      await checkpoint.close();
    }
  },
});

/** A tensor, and what becomes of it. `target` is undefined where its bytes are taken over. */
interface PlannedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly target: FloatTarget | undefined;
  /** Bytes in the output. */
  readonly bytes: number;
}

/** In the order of the input. Throws unsupported, before anything is written, for a type that safetensors lacks. */
function planOf(checkpoint: Checkpoint, wanted: FloatTarget | undefined): PlannedTensor[] {
  const plan = (tensor: TensorInfo | undefined): PlannedTensor[] => {
    if (!tensor) return [];
    const { name, dtype, shape, bytes } = tensor;
    if (!dtypeBits.has(dtype)) {
      const where = describeTensor(checkpoint.name, name, dtype, shape);
      throw new StamError('unsupported', { where, problem: 'safetensors has no such element type' });
    }
    const target = wanted !== dtype && isFloatType(dtype) ? wanted : undefined;
    if (!target) return [{ name, shape, dtype, target, bytes }];
    return [{ name, shape, dtype: target, target, bytes: elementCount(shape) * floatTypeBytes[target] }];
  };
  return checkpoint.order().flatMap((name) => plan(checkpoint.tensors.get(name)));
}

function toWrite(
  checkpoint: Checkpoint,
  tensor: PlannedTensor,
  {
    advance,
    allocate,
    signal,
  }: { advance: (tensor: PlannedTensor) => void; allocate: AllocateBytes; signal: AbortSignal },
): TensorToWrite {
  const { name, shape, dtype, target } = tensor;
  const reading = <T>(read: () => T): T => {
    advance(tensor);
    return read();
  };
  return target
    ? { name, shape, dtype: target, data: () => reading(() => checkpoint.read(name, signal, allocate)) }
    : { name, shape, dtype, bytes: () => reading(() => checkpoint.readBytes(name, signal, allocate)) };
}

/** The same memory for each tensor: it has been written before the next one is read, and garbage of its size is collected late. */
function reusedMemory(): AllocateBytes {
  let memory = new Uint8Array(0);
  return (bytes) => {
    if (memory.byteLength < bytes) memory = new Uint8Array(bytes);
    return memory.subarray(0, bytes);
  };
}

function countByDtype(plan: readonly PlannedTensor[]): string {
  const counts = new Map<string, number>();
  for (const { dtype } of plan) counts.set(dtype, (counts.get(dtype) ?? 0) + 1);
  return [...counts].map(([dtype, count]) => `${formatNumber(count)} ${dtype}`).join(', ') || 'none';
}

/** Converting a file onto itself would work, and leave nobody the original. */
async function refuseSameFile(input: string, output: string): Promise<void> {
  const [from, to] = await Promise.all(
    [input, output].map((path) => fs.stat(path, { bigint: true }).catch(() => undefined)),
  );
  if (!from || !to || from.ino !== to.ino || from.dev !== to.dev) return;
  throw new UsageError(`OUT: would replace the input; got '${output}', expected another file`);
}
