// The stored outputs of the official code.
import { fileURLToPath } from 'node:url';
import { fileSource } from '../loaders/node-source.ts';
import { openSafetensors } from '../loaders/safetensors.ts';

/** The official code's logits [classes] of a published model, for synthetic weights and frames of seed 1. */
export async function referenceLogits(model: string, signal: AbortSignal): Promise<Float32Array> {
  // bench/reference lies beside dist/ in the package as it lies beside cli/ in the sources
  const file = new URL(`../bench/reference/${model}.io.safetensors`, import.meta.url);
  const checkpoint = await openSafetensors(await fileSource(fileURLToPath(file)), { signal });
  try {
    return await checkpoint.read('logits', signal);
  } finally {
    await checkpoint.close();
  }
}
