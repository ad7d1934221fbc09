// The configurations of the STAM family: the published ones by name, any other read off a checkpoint's shapes.
import { StamError } from '../engine/errors.ts';
import type { Shape } from '../engine/shape.ts';
import { formatShape } from '../engine/shape.ts';

/** Everything that tells one STAM from another. Lengths are in pixels, tokens or channels. */
export interface StamConfig {
  /** S: height and width of a frame. */
  readonly imageSize: number;
  /** P: height and width of a patch. */
  readonly patchSize: number;
  /** C: channels of a token. */
  readonly channels: number;
  /** Blocks of the spatial transformer, and its heads. */
  readonly depth: number;
  readonly heads: number;
  /** Channels inside the spatial MLP. */
  readonly mlp: number;
  /** F: frames of a video. */
  readonly frames: number;
  /** Layers of the temporal transformer, its heads, and the channels inside its feed-forward part. */
  readonly temporalLayers: number;
  readonly temporalHeads: number;
  readonly temporalMlp: number;
  readonly classes: number;
  /** Of every LayerNorm. */
  readonly epsilon: number;
}

const base: Omit<StamConfig, 'frames'> = {
  imageSize: 224,
  patchSize: 16,
  channels: 768,
  depth: 12,
  heads: 12,
  mlp: 3072,
  temporalLayers: 6,
  temporalHeads: 8,
  temporalMlp: 2048,
  classes: 400,
  epsilon: 1e-5,
};

/** The published models: ViT-B/16 on 8, 16, 32 or 64 frames, 400 classes. */
export const configs: ReadonlyMap<string, StamConfig> = new Map(
  [8, 16, 32, 64].map((frames) => [`stam_${frames}`, { ...base, frames }]),
);

/** A published model by name. Throws bad-input for any other name. */
export function namedConfig(name: string): StamConfig {
  const config = configs.get(name);
  if (config) return config;
  throw new StamError('bad-input', {
    where: 'model',
    problem: 'unknown name',
    got: `'${name}'`,
    expected: [...configs.keys()].join(', '),
  });
}

/** Values a shape cannot tell. */
export interface ConfigHints {
  readonly heads?: number | undefined;
  readonly temporalHeads?: number | undefined;
}

interface TensorShapes {
  readonly name: string;
  readonly tensors: ReadonlyMap<string, { readonly shape: Shape }>;
  readonly metadata?: ReadonlyMap<string, string> | undefined;
}

/**
 * Reads the configuration off a checkpoint: from its shapes, and for the numbers of heads from `hints`, else its metadata (`heads`,
 * `temporal_heads`), else STAM's own rule (heads of 64 channels where the model has 768; 8 temporal heads).
 * Throws missing-tensor or shape-mismatch, naming the tensor, when it is no STAM, and bad-input when the heads cannot be known.
 */
export function configFromCheckpoint(checkpoint: TensorShapes, hints: ConfigHints = {}): StamConfig {
  const shapes = new ShapeReader(checkpoint);
  const [, , channels] = shapes.of('cls_token', 3);
  const [, tokens] = shapes.of('pos_embed', 3);
  const [, , patchSize] = shapes.of('patch_embed.proj.weight', 4);
  const [classes] = shapes.of('head.weight', 2);
  const [, temporalTokens] = shapes.of('aggregate.pos_embed', 3);
  const depth = shapes.layers(/^blocks\.(\d+)\./);
  const temporalLayers = shapes.layers(/^aggregate\.transformer_enc\.layers\.(\d+)\./);
  const [mlp] = shapes.of('blocks.0.mlp.fc1.weight', 2);
  const [temporalMlp] = shapes.of('aggregate.transformer_enc.layers.0.linear1.weight', 2);
  const grid = Math.sqrt(tokens - 1);
  if (!Number.isInteger(grid)) {
    throw new StamError('shape-mismatch', {
      where: `${checkpoint.name}: pos_embed`,
      problem: 'the patches form no square',
      got: `${tokens - 1} patches`,
    });
  }
  return checkConfig(checkpoint.name, {
    imageSize: grid * patchSize,
    patchSize,
    channels,
    depth,
    heads: hints.heads ?? fromMetadata(checkpoint, 'heads') ?? defaultHeads(checkpoint.name, channels),
    mlp,
    frames: temporalTokens - 1,
    temporalLayers,
    temporalHeads: hints.temporalHeads ?? fromMetadata(checkpoint, 'temporal_heads') ?? base.temporalHeads,
    temporalMlp,
    classes,
    epsilon: base.epsilon,
  });
}

/** Reads a configuration from metadata alone: img, patch, dim, depth, heads, frames, classes. Undefined when one of them is missing. */
export function configFromMetadata(
  metadata: ReadonlyMap<string, string>,
  hints: ConfigHints = {},
): StamConfig | undefined {
  const source = { name: 'metadata', metadata };
  const read = (key: string) => fromMetadata(source, key);
  const [imageSize, patchSize, channels, depth] = ['img', 'patch', 'dim', 'depth'].map(read);
  const [heads, frames, classes] = [hints.heads ?? read('heads'), read('frames'), read('classes')];
  if (!imageSize || !patchSize || !channels || !depth || !heads || !frames || !classes) return undefined;
  return checkConfig('metadata', {
    imageSize,
    patchSize,
    channels,
    depth,
    heads,
    mlp: 4 * channels,
    frames,
    temporalLayers: read('temporal_layers') ?? base.temporalLayers,
    temporalHeads: hints.temporalHeads ?? read('temporal_heads') ?? base.temporalHeads,
    temporalMlp: read('temporal_ffn') ?? base.temporalMlp,
    classes,
    epsilon: base.epsilon,
  });
}

/** The published name of a configuration, if it has one. */
export function configName(config: StamConfig): string | undefined {
  const text = JSON.stringify(sorted(config));
  return [...configs].find(([, known]) => JSON.stringify(sorted(known)) === text)?.[0];
}

/** The published name of a configuration, else its measures. */
export function describeConfig(config: StamConfig): string {
  const { frames, imageSize, patchSize, channels, depth, classes } = config;
  return (
    configName(config) ??
    `STAM of ${frames} frames, image ${imageSize}, patch ${patchSize}, ${channels} channels, depth ${depth}, ${classes} classes`
  );
}

/** Which known model a checkpoint is: `stam_16`, or a description of one of the family; undefined for anything else. */
export function identify(checkpoint: TensorShapes): string | undefined {
  try {
    const config = configFromCheckpoint(checkpoint, checkpoint.metadata?.has('heads') ? {} : { heads: 1 });
    return describeConfig({ ...config, heads: base.heads });
  } catch (error) {
    if (error instanceof StamError) return undefined;
    throw error;
  }
}

const sorted = (config: StamConfig) => Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1));

function fromMetadata({ name, metadata }: Pick<TensorShapes, 'name' | 'metadata'>, key: string): number | undefined {
  const text = metadata?.get(key);
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new StamError('bad-checkpoint', {
    where: `${name}: metadata ${key}`,
    problem: 'not a positive integer',
    got: JSON.stringify(text),
  });
}

function defaultHeads(where: string, channels: number): number {
  if (channels === base.channels) return base.heads;
  throw new StamError('bad-input', {
    where,
    problem: 'the shapes do not tell the number of heads',
    got: `${channels} channels`,
    hint: 'name it by the option `heads`, or in the metadata as `heads`',
  });
}

function checkConfig(where: string, config: StamConfig): StamConfig {
  const { channels, heads, temporalHeads, imageSize, patchSize } = config;
  const requirements: [boolean, string][] = [
    [Number.isSafeInteger(heads) && heads > 0, `${heads} is no number of heads`],
    [channels % heads === 0, `${channels} channels do not divide into ${heads} heads`],
    [channels % temporalHeads === 0, `${channels} channels do not divide into ${temporalHeads} temporal heads`],
    [imageSize % patchSize === 0, `an image of ${imageSize} does not divide into patches of ${patchSize}`],
  ];
  const broken = requirements.find(([holds]) => !holds);
  if (broken) throw new StamError('bad-input', { where, problem: broken[1] });
  return config;
}

class ShapeReader {
  readonly #checkpoint: TensorShapes;

  constructor(checkpoint: TensorShapes) {
    this.#checkpoint = checkpoint;
  }

  of(name: string, rank: number): Shape {
    const where = `${this.#checkpoint.name}: ${name}`;
    const tensor = this.#checkpoint.tensors.get(name);
    if (!tensor) throw new StamError('missing-tensor', { where, problem: 'the checkpoint lacks it, so it is no STAM' });
    if (tensor.shape.length === rank && tensor.shape.every((size) => size > 0)) return tensor.shape;
    throw new StamError('shape-mismatch', {
      where,
      problem: 'the tensor is not as STAM has it',
      got: formatShape(tensor.shape),
      expected: `${rank} dimensions`,
    });
  }

  /** One more than the largest layer number that the pattern finds. */
  layers(pattern: RegExp): number {
    const numbers = [...this.#checkpoint.tensors.keys()].map((name) => Number(pattern.exec(name)?.[1] ?? -1));
    return numbers.reduce((a, b) => Math.max(a, b), -1) + 1;
  }
}
