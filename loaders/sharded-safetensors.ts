// A checkpoint in several files, of safetensors or of torch.save, and the index that says which tensor lies in which:
//   model.safetensors.index.json: { "metadata": { "total_size": N }, "weight_map": { tensor: file name } }
//   pytorch_model.bin.index.json: the same
import { StamError } from '../engine/errors.ts';
import type { Checkpoint, TensorInfo } from './checkpoint.ts';
import { type OpenCheckpointOptions, openCheckpoint } from './open-checkpoint.ts';
import { defaultMaxHeaderBytes, describeTensor, maxFormatHeaderBytes } from './safetensors-header.ts';
import type { ByteSource } from './source.ts';
import { JsonReader } from './strict-json.ts';
import { tensorsUnder } from './tensors-under.ts';

export interface ShardedSafetensorsOptions extends OpenCheckpointOptions {
  /** Longest index to accept, in bytes: 16 MiB unless told. */
  maxIndexBytes?: number | undefined;
  /** The most shards to accept: 512 unless told. All are open at a time. */
  maxShards?: number | undefined;
}

const defaultMaxShards = 512;

/**
 * Reads the index, then opens every shard that it names, through `openShard`, and checks them against it: a tensor must lie in the
 * shard that the index names, and a shard may hold none that the index does not place there. `openShard` gets plain file names, which
 * it looks up beside the index. `total_size` is not checked: writers count differently.
 *
 * With the option `key`, the tensors whose names begin with that and a dot, without it. The metadata are the index's own, numbers as they are written, and what the shards agree on.
 * The index is closed when it has been read; the shards with the checkpoint, or at once when opening fails.
 * Throws bad-checkpoint, naming index or shard and tensor, for what breaks a rule; bad-input for a bad option; and what `openShard` throws.
 */
export async function openShardedSafetensors(
  index: ByteSource,
  openShard: (fileName: string) => Promise<ByteSource>,
  options: ShardedSafetensorsOptions = {},
): Promise<Checkpoint> {
  const { fileOf, metadata } = await readIndex(index, options);
  const { key, ...shardOptions } = options;
  const shards = new Map<string, Checkpoint>();
  async function close(): Promise<void> {
    await Promise.all([...shards.values()].map((shard) => shard.close()));
  }
  try {
    for (const file of new Set(fileOf.values())) {
      const shard = await openCheckpoint(await openShard(file), shardOptions);
      shards.set(file, shard);
      refuseStrangers(shard, file, fileOf, index.name);
    }
    const tensors = collectTensors(shards, fileOf, index.name);
    const shardOf = (name: string): Checkpoint => {
      const shard = shards.get(fileOf.get(name) ?? '');
      if (shard) return shard;
      const where = describeTensor(index.name, name);
      throw new StamError('missing-tensor', { where, problem: 'there is no such tensor in the index' });
    };
    const whole: Checkpoint = {
      name: index.name,
      tensors,
      metadata: new Map([...commonMetadata(shards), ...metadata]),
      leftOut: [...shards.values()].flatMap(({ leftOut }) => leftOut),
      read: async (name, ...rest) => await shardOf(name).read(name, ...rest),
      readBytes: async (name, ...rest) => await shardOf(name).readBytes(name, ...rest),
      order: () => [...tensors.keys()],
      close,
    };
    return key ? tensorsUnder(whole, key) : whole;
  } catch (error) {
    await close();
    throw error;
  }
}

interface Index {
  /** Which shard each tensor lies in. */
  readonly fileOf: ReadonlyMap<string, string>;
  readonly metadata: ReadonlyMap<string, string>;
}

async function readIndex(
  source: ByteSource,
  { maxIndexBytes = defaultMaxHeaderBytes, maxShards = defaultMaxShards, signal }: ShardedSafetensorsOptions,
): Promise<Index> {
  try {
    checkLimit('maxIndexBytes', maxIndexBytes);
    checkLimit('maxShards', maxShards);
    if (source.size > maxIndexBytes) {
      throw new StamError('bad-checkpoint', {
        where: source.name,
        problem: 'the index is too long',
        got: `${source.size} bytes`,
        expected: `at most ${maxIndexBytes}`,
        hint: source.size <= maxFormatHeaderBytes ? 'raise maxIndexBytes to read it' : 'this may be no index',
      });
    }
    return parseIndex(await source.read(0, source.size, signal), source.name, maxShards);
  } finally {
    await source.close();
  }
}

function parseIndex(bytes: Uint8Array, name: string, maxShards: number): Index {
  const json = new JsonReader(bytes, { document: 'index', where: () => name, firstByte: 0 });
  let fileOf: Map<string, string> | undefined;
  let metadata: Map<string, string> | undefined;
  for (const field of json.members('the index object')) {
    if (field === 'weight_map') {
      if (fileOf) throw json.error('weight_map is there twice');
      fileOf = readWeightMap(json, name, maxShards);
    } else if (field === 'metadata') {
      if (metadata) throw json.error('metadata is there twice');
      metadata = readMetadata(json);
    } else json.anyValue(1);
  }
  json.end();
  if (!fileOf) throw json.error('weight_map is missing');
  return { fileOf, metadata: metadata ?? new Map() };
}

function readWeightMap(json: JsonReader, index: string, maxShards: number): Map<string, string> {
  const fileOf = new Map<string, string>();
  const files = new Set<string>();
  for (const tensor of json.members('weight_map')) {
    if (fileOf.has(tensor)) throw json.error(`${describeTensor('weight_map', tensor)} is there twice`);
    const file = json.string('a file name');
    if (!isPlainFileName(file)) {
      throw new StamError('bad-checkpoint', {
        where: describeTensor(index, tensor),
        problem: 'the shard has no plain file name',
        got: JSON.stringify(file.slice(0, 200)),
        expected: 'letters, digits, dots, dashes and underscores',
      });
    }
    fileOf.set(tensor, file);
    files.add(file);
    if (files.size > maxShards) {
      const more = maxShards <= defaultMaxShards ? ', or as many as maxShards allows' : '';
      throw json.error('too many shards', undefined, `at most ${maxShards}${more}`);
    }
  }
  return fileOf;
}

/** Arrays and objects are left out, and of two equal keys the last counts, as in a safetensors header. */
function readMetadata(json: JsonReader): Map<string, string> {
  const metadata = new Map<string, string>();
  if (json.take('null')) return metadata;
  for (const key of json.members('metadata')) {
    const value = json.anyValue(2);
    if (value !== undefined) metadata.set(key, value);
  }
  return metadata;
}

/** The shard of this name, which is plain letters, beside an index at an address or a path. Throws bad-input for one that has no place. */
export function shardPlace(index: unknown, name: string): Request | URL | string {
  if (index instanceof Request) return new Request(new URL(name, index.url), index);
  if (index instanceof URL) return new URL(name, index);
  if (typeof index === 'string') return index.replace(/[^/\\]*$/, name);
  throw new StamError('bad-input', {
    where: 'weights',
    problem: 'an index without a place does not tell where its files are',
    hint: 'pass an address or a path, or the one file that holds all tensors',
  });
}

/** Nothing that a path, a drive or an address could be made of: the name must stay beside the index wherever it is looked up. */
function isPlainFileName(name: string): boolean {
  return /^\w[\w.-]{0,254}$/.test(name) && !name.includes('..');
}

/** A tensor that two shards hold would be read from either, and one that the index does not know from neither. */
function refuseStrangers(shard: Checkpoint, file: string, fileOf: ReadonlyMap<string, string>, index: string): void {
  for (const { name, dtype, shape } of shard.tensors.values()) {
    const placed = fileOf.get(name);
    if (placed === file) continue;
    throw new StamError('bad-checkpoint', {
      where: describeTensor(shard.name, name, dtype, shape),
      problem:
        placed === undefined ? 'the index does not know this tensor' : 'the index has this tensor in another shard',
      got: file,
      expected: placed,
      hint: `${index} and its shards may be of different versions`,
    });
  }
}

/** All tensors, shard after shard, each in the order of its data. */
function collectTensors(
  shards: ReadonlyMap<string, Checkpoint>,
  fileOf: ReadonlyMap<string, string>,
  index: string,
): Map<string, TensorInfo> {
  for (const [tensor, file] of fileOf) {
    const shard = shards.get(file);
    if (shard?.tensors.has(tensor)) continue;
    throw new StamError('bad-checkpoint', {
      where: describeTensor(shard?.name ?? file, tensor),
      problem: 'the shard lacks a tensor that the index has there',
      hint: `${index} and its shards may be of different versions`,
    });
  }
  return new Map([...shards.values()].flatMap(({ tensors }) => [...tensors]));
}

/** What every shard that has the key says alike. */
function commonMetadata(shards: ReadonlyMap<string, Checkpoint>): Map<string, string> {
  const common = new Map<string, string>();
  const disputed = new Set<string>();
  for (const [key, value] of [...shards.values()].flatMap(({ metadata }) => [...metadata])) {
    if (common.has(key) && common.get(key) !== value) disputed.add(key);
    common.set(key, value);
  }
  for (const key of disputed) common.delete(key);
  return common;
}

function checkLimit(option: string, value: number): void {
  if (Number.isSafeInteger(value) && value > 0) return;
  throw new StamError('bad-input', {
    where: `openShardedSafetensors: ${option}`,
    problem: 'bad limit',
    got: `${value}`,
    expected: 'a positive integer',
  });
}
