// A checkpoint on disk, in any of the formats.
import { dirname, join } from 'node:path';
import type { Checkpoint } from '../loaders/checkpoint.ts';
import { fileSource } from '../loaders/node-source.ts';
import { openCheckpoint } from '../loaders/open-checkpoint.ts';
import { openShardedSafetensors } from '../loaders/sharded-safetensors.ts';
import type { Context } from './command.ts';
import { printable } from './table.ts';

/** For --help. */
export const checkpointFile = 'a .safetensors or .pth file, or the .index.json of several';

/** Names in one line of the log; a hostile file has many and long ones. */
const maxNames = 20;
const maxNameLength = 100;

/** Opens a checkpoint and tells what it leaves out. The caller closes it. */
export async function openCheckpointFile(
  path: string,
  { signal, log }: Pick<Context, 'signal' | 'log'>,
): Promise<Checkpoint> {
  const checkpoint = await open(path, signal);
  const { leftOut } = checkpoint;
  if (leftOut.length > 0) {
    const names = leftOut.slice(0, maxNames).map((name) => printable(name.slice(0, maxNameLength)));
    const more = leftOut.length > maxNames ? ` and ${leftOut.length - maxNames} more` : '';
    log(`${path}: left out, for it is no tensor of the model: ${names.join(', ')}${more}`);
  }
  return checkpoint;
}

async function open(path: string, signal: AbortSignal): Promise<Checkpoint> {
  const source = await fileSource(path);
  if (!path.endsWith('.index.json')) return await openCheckpoint(source, { signal });
  return await openShardedSafetensors(source, (name) => fileSource(join(dirname(path), name)), { signal });
}
