// What tells two runs of infer apart, by content and not by names: a file that was replaced under its old name is another model.
import { createHash } from 'node:crypto';
import { StamError, throwIfAborted } from '../engine/errors.ts';
import type { Checkpoint, TensorInfo } from '../loaders/checkpoint.ts';
import type { ListedVideo } from '../loaders/video/node-video-folder.ts';

export interface HashOptions {
  readonly signal: AbortSignal;
  /** Is told the bytes hashed so far, of all there are. */
  readonly onProgress: (bytes: number, total: number) => void;
}

/**
 * A hash of the names, types, shapes and elements of all tensors, whatever the file's format and order: `sha256:` and 64 hexadecimal
 * digits. Synthetic weights are known by their rule, `synthetic:SEED`. Reads the checkpoint from front to back.
 */
export async function hashCheckpoint(checkpoint: Checkpoint, { signal, onProgress }: HashOptions): Promise<string> {
  if (checkpoint.name.startsWith('synthetic:')) return checkpoint.name;
  const tensors = checkpoint.order().flatMap((name) => checkpoint.tensors.get(name) ?? []);
  const total = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  const lines: string[] = [];
  let done = 0;
  for (const tensor of tensors) {
    throwIfAborted(signal);
    lines.push(
      JSON.stringify([tensor.name, tensor.dtype, tensor.shape, await hashElements(checkpoint, tensor, signal)]),
    );
    done += tensor.bytes;
    onProgress(done, total);
  }
  return `sha256:${createHash('sha256').update(lines.sort().join('\n')).digest('hex')}`;
}

/** Elements that no model can read tell nothing apart: their type and shape stand for them. */
async function hashElements(checkpoint: Checkpoint, { name }: TensorInfo, signal: AbortSignal): Promise<string | null> {
  try {
    return createHash('sha256')
      .update(await checkpoint.readBytes(name, signal))
      .digest('hex');
  } catch (error) {
    if (error instanceof StamError && error.code === 'unsupported') return null;
    throw error;
  }
}

/** A configuration as JSON, the same text whatever the order of its keys. */
export function sortedJson(config: object): string {
  const isRecord = (value: unknown): value is object =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const sortKeys = (value: object) => Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  return JSON.stringify(config, (_, value: unknown) => (isRecord(value) ? sortKeys(value) : value));
}

/** A hash of the names of all videos of a data set, so that a number means the same video in every run. */
export function hashNames(videos: readonly ListedVideo[]): string {
  const hash = createHash('sha256');
  for (const { name } of videos) hash.update(`${name}\0`);
  return hash.digest('hex').slice(0, 16);
}
