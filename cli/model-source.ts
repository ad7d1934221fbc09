// From the options --model, --weights, --heads and --input_size to a configuration and a checkpoint.
import type { Checkpoint } from '../loaders/checkpoint.ts';
import { openSynthetic } from '../loaders/synthetic.ts';
import type { StamConfig } from '../model/config.ts';
import { configFromCheckpoint, configFromMetadata, namedConfig } from '../model/config.ts';
import { onlyPrefix, stamLandmarks, x3dLandmarks } from '../model/names.ts';
import { weightShapes } from '../model/weights.ts';
import type { X3dConfig } from '../model/x3d-config.ts';
import { atSize, identifyX3d, x3dConfigs, x3dFromCheckpoint } from '../model/x3d-config.ts';
import { x3dShapes } from '../model/x3d-weights.ts';
import { openCheckpointFile } from './checkpoint-file.ts';
import { type Context, UsageError } from './command.ts';

export const headsOption = {
  type: 'integer',
  minimum: 1,
  placeholder: 'N',
  description: 'heads of the spatial transformer, where the weights do not tell',
} as const;

export interface ModelSource {
  readonly config: StamConfig;
  readonly checkpoint: Checkpoint;
}

/** The seed of `synthetic:SEED`, or undefined for anything else. Throws UsageError for a seed that is none. */
export function syntheticSeed(option: string, text: string): number | undefined {
  if (!text.startsWith('synthetic')) return undefined;
  const seed = /^synthetic:(\d{1,10})$/.exec(text)?.[1];
  if (seed !== undefined && Number(seed) < 2 ** 32) return Number(seed);
  throw new UsageError(
    `${option}: not a seed; got '${text}', expected synthetic:SEED with SEED from 0 to ${2 ** 32 - 1}`,
  );
}

export interface X3dSource {
  readonly config: X3dConfig;
  readonly checkpoint: Checkpoint;
}

export interface ModelSourceOptions {
  /** A published name or `auto`. */
  readonly model: string;
  /** A file or `synthetic:SEED`. */
  readonly weights: string;
  /** Where in the file they are. */
  readonly key: string | undefined;
  readonly heads: number | undefined;
  /** Where `auto` finds the configuration for synthetic weights: the input file's metadata. */
  readonly metadata?: ReadonlyMap<string, string> | undefined;
  readonly signal: AbortSignal;
  /** Is told what the weights leave out. */
  readonly log: Context['log'];
}

/** Opens the weights and settles the configuration. The caller closes the checkpoint. */
export async function openModelSource({
  model,
  weights,
  key,
  heads,
  metadata,
  signal,
  log,
}: ModelSourceOptions): Promise<ModelSource> {
  const seed = syntheticSeed('--weights', weights);
  refuseKey(key, seed);
  if (seed === undefined) {
    const checkpoint = await openCheckpointFile(weights, { key, signal, log });
    try {
      onlyPrefix(checkpoint, stamLandmarks);
      const config =
        model === 'auto' ? configFromCheckpoint(checkpoint, { heads }) : withHeads(namedConfig(model), heads);
      return { config, checkpoint };
    } catch (error) {
      await checkpoint.close();
      throw error;
    }
  }
  const config =
    model === 'auto' ? metadata && configFromMetadata(metadata, { heads }) : withHeads(namedConfig(model), heads);
  if (!config) {
    throw new UsageError(
      '--model: auto finds no configuration; synthetic weights have no shapes of their own and the input has no metadata that tells; name the model',
    );
  }
  return { config, checkpoint: openSynthetic(seed, weightShapes(config)) };
}

/**
 * The same for an X3D on frames of this size, by default those it was trained on; undefined where name or weights are those of no X3D.
 * The caller closes the checkpoint.
 */
export async function openX3dSource(
  { model, weights, key, signal, log }: Omit<ModelSourceOptions, 'heads' | 'metadata'>,
  imageSize?: number,
): Promise<X3dSource | undefined> {
  const named = x3dConfigs.get(model);
  if (!named && model !== 'auto') return undefined;
  const sized = (config: X3dConfig) => atSize(config, imageSize ?? config.imageSize);
  const seed = syntheticSeed('--weights', weights);
  refuseKey(key, seed);
  if (seed !== undefined) {
    return named && { config: sized(named), checkpoint: openSynthetic(seed, x3dShapes(named)) };
  }
  const told: string[] = [];
  const checkpoint = await openCheckpointFile(weights, { key, signal, log: (line) => told.push(line) });
  try {
    if (named) onlyPrefix(checkpoint, x3dLandmarks);
    if (named || identifyX3d(checkpoint) !== undefined) {
      for (const line of told) log(line); // of another network, whoever opens it tells them
      return { config: named ? sized(named) : x3dFromCheckpoint(checkpoint, imageSize), checkpoint };
    }
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
  await checkpoint.close();
  return undefined;
}

function refuseKey(key: string | undefined, seed: number | undefined): void {
  if (key !== undefined && seed !== undefined) throw new UsageError('--key: not with synthetic weights');
}

function withHeads(config: StamConfig, heads: number | undefined): StamConfig {
  if (heads === undefined || heads === config.heads) return config;
  throw new UsageError(`--heads: this model has ${config.heads}; got ${heads}`);
}
