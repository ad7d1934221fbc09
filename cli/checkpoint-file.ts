// A checkpoint on disk, in any of the formats.
import { dirname, join } from 'node:path';
import type { Checkpoint } from '../loaders/checkpoint.ts';
import { fileSource } from '../loaders/node-source.ts';
import { openCheckpoint } from '../loaders/open-checkpoint.ts';
import { largestMaxPickleBytes } from '../loaders/pytorch/torch-file.ts';
import { readAhead } from '../loaders/read-ahead.ts';
import { maxFormatHeaderBytes } from '../loaders/safetensors-header.ts';
import { openShardedSafetensors } from '../loaders/sharded-safetensors.ts';
import { tensorsUnder } from '../loaders/tensors-under.ts';
import { prefixesOf, prefixNotice, stamLandmarks, x3dLandmarks } from '../model/names.ts';
import type { Context } from './command.ts';
import { printable } from './table.ts';

/** For --help. */
export const checkpointFile = 'a .safetensors or .pth file, or the .index.json of several';

export const keyOption = {
  type: 'string',
  placeholder: 'A.B',
  description:
    'where in the checkpoint the weights are: keys of a .pth, or what their names begin with; default: where they usually are',
} as const;

/** Shards are all open at a time. */
const maxOpenFiles = 10_000;

/** Names in one line of the log; a hostile file has many and long ones. */
const maxNames = 20;
const maxNameLength = 100;

/**
 * Opens a checkpoint, of a network that is known without the prefix that its tensors' names share, and tells what it leaves out. The
 * caller closes it.
 */
export async function openCheckpointFile(
  path: string,
  { key, signal, log }: Pick<Context, 'signal' | 'log'> & { readonly key: string | undefined },
): Promise<Checkpoint> {
  const opened = await open(path, key, signal);
  const { leftOut } = opened;
  if (leftOut.length > 0) {
    const names = leftOut.slice(0, maxNames).map((name) => printable(name.slice(0, maxNameLength)));
    const more = leftOut.length > maxNames ? ` and ${leftOut.length - maxNames} more` : '';
    log(`${path}: left out, for it is no tensor of the model: ${names.join(', ')}${more}`);
  }
  const prefixes = [stamLandmarks, x3dLandmarks].flatMap((landmarks) => prefixesOf(opened, landmarks));
  // of several, whoever needs one asks which
  if (prefixes.length !== 1 || prefixes[0] === '') return opened;
  log(prefixNotice(opened, prefixes[0]));
  return tensorsUnder(opened, prefixes[0].slice(0, -1));
}

async function open(path: string, key: string | undefined, signal: AbortSignal): Promise<Checkpoint> {
  const openFile = async (file: string) => readAhead(await fileSource(file));
  const source = await openFile(path);
  // no command has options for the limits that the library sets for apps, so that they are the largest here
  const options = { key, maxHeaderBytes: maxFormatHeaderBytes, maxPickleBytes: largestMaxPickleBytes, signal };
  if (!path.endsWith('.index.json')) return await openCheckpoint(source, options);
  const limits = { maxIndexBytes: maxFormatHeaderBytes, maxShards: maxOpenFiles };
  const openShard = (name: string) => openFile(join(dirname(path), name));
  return await openShardedSafetensors(source, openShard, { ...options, ...limits });
}
