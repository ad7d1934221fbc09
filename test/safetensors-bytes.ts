// A checkpoint as the bytes of a safetensors file.
import type { Checkpoint } from '../loaders/checkpoint.ts';
import { writeSafetensors } from '../loaders/safetensors-writer.ts';

/** All tensors in F32, with the checkpoint's metadata. */
export async function safetensorsBytes(checkpoint: Checkpoint): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  const sink = {
    name: 'memory',
    write: async (bytes: Uint8Array<ArrayBuffer>) => void pieces.push(bytes.slice()),
    finish: async () => {},
    abort: async () => {},
  };
  const tensors = [...checkpoint.tensors].map(([name, { shape }]) => {
    return { name, dtype: 'F32' as const, shape, data: () => checkpoint.read(name) };
  });
  await writeSafetensors(sink, tensors, checkpoint.metadata);
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}
