// The sizes of the X3D family: the published ones by name, any other read off a checkpoint's shapes.
import { StamError } from '../engine/errors.ts';
import type { Shape } from '../engine/shape.ts';
import { formatShape } from '../engine/shape.ts';

/** A stage: residual blocks, of which the first halves lines and columns, and every other, from the first on, squeezes and excites. */
export interface X3dStage {
  readonly blocks: number;
  /** C: channels between blocks, inside of them, and of the squeeze. */
  readonly channels: number;
  readonly inner: number;
  readonly squeeze: number;
}

/** Everything that tells one X3D from another. */
export interface X3dConfig {
  /** S: height and width of a frame; any that gives the head a whole window. */
  readonly imageSize: number;
  /** F: frames of a video. */
  readonly frames: number;
  /** Channels of the stem. */
  readonly stem: number;
  readonly stages: readonly X3dStage[];
  /** Channels of the head, before its pooling and after it. */
  readonly pooled: number;
  readonly projected: number;
  /** Lines and columns of the head's window: what is left of the frames that the model was trained on. */
  readonly window: number;
  readonly classes: number;
  /** Of every BatchNorm. */
  readonly epsilon: number;
}

/** Channels by the rule of the official code: multiples of eight, at least eight, at most a tenth below what was asked for. */
export function roundWidth(width: number, factor: number): number {
  const wanted = width * factor;
  const rounded = Math.max(8, Math.floor(Math.trunc(wanted + 4) / 8) * 8);
  return rounded < 0.9 * wanted ? rounded + 8 : rounded;
}

/** Lines and columns that are left of so many after the stem and four stages, each of which halves them. */
export function finalSize(imageSize: number): number {
  return Math.ceil(imageSize / 32);
}

function published(widthFactor: number, depthFactor: number, trainedSize: number): X3dConfig {
  const stages = [1, 2, 5, 3].map((depth, i): X3dStage => {
    const channels = roundWidth(12 * 2 ** i, widthFactor);
    const inner = Math.trunc(2.25 * channels);
    return { blocks: Math.ceil(depth * depthFactor), channels, inner, squeeze: roundWidth(inner, 1 / 16) };
  });
  return {
    imageSize: trainedSize,
    frames: 16,
    stem: roundWidth(12, widthFactor),
    stages,
    pooled: stages[3].inner,
    projected: 2048,
    window: finalSize(trainedSize),
    classes: 400,
    epsilon: 1e-5,
  };
}

/**
 * The published models, at the size they were trained on; they are tested at 256 (M) and 356 (L, XL). X3D-XL was published without
 * weights: its factors are the paper's.
 */
export const x3dConfigs: ReadonlyMap<string, X3dConfig> = new Map([
  ['x3d_m', published(2, 2.2, 224)],
  ['x3d_l', published(2, 5, 312)],
  ['x3d_xl', published(2.9, 5, 312)],
]);

/** The same network on frames of another size. Throws bad-input where less is left of them than the head's window. */
export function atSize(config: X3dConfig, imageSize: number): X3dConfig {
  if (finalSize(imageSize) >= config.window) return { ...config, imageSize };
  throw new StamError('bad-input', {
    where: 'frames',
    problem: `too small for the window of ${config.window} x ${config.window} in the head`,
    got: `${imageSize}`,
    expected: `at least ${32 * (config.window - 1) + 1}`,
  });
}

interface TensorShapes {
  readonly name: string;
  readonly tensors: ReadonlyMap<string, { readonly shape: Shape }>;
}

/**
 * Reads the configuration off a checkpoint's shapes, for frames of `imageSize`. What shapes do not tell are the published model's that
 * has such shapes (X3D-XS, S and M are one network, which is taken for M): how many frames there are, and of which size the window is;
 * else there are 16 and it is all that is left of them. Throws missing-tensor or shape-mismatch, naming the tensor, when it is no X3D,
 * and bad-input for frames that are too small.
 */
export function x3dFromCheckpoint(checkpoint: TensorShapes, imageSize?: number): X3dConfig {
  const of = (name: string, rank: number) => shapeOf(checkpoint, name, rank);
  const [stem] = of('blocks.0.conv.conv_xy.weight', 5);
  const stages = [1, 2, 3, 4].map((stage): X3dStage => {
    const first = `blocks.${stage}.res_blocks.0.branch2`;
    const [channels, inner] = of(`${first}.conv_c.weight`, 5);
    const [squeeze] = of(`${first}.norm_b.1.block.0.weight`, 5);
    return { blocks: countBlocks(checkpoint, stage), channels, inner, squeeze };
  });
  const [pooled] = of('blocks.5.pool.pre_conv.weight', 5);
  const [classes, projected] = of('blocks.5.proj.weight', 2);
  const sizes = { stem, stages, pooled, projected };
  const known = [...x3dConfigs.values()].find((config) => sameSizes(config, sizes));
  if (known) return atSize({ ...known, classes }, imageSize ?? known.imageSize);
  return { ...published(2, 2.2, imageSize ?? 224), ...sizes, classes };
}

/** The published name of a configuration, whatever its frames' size, else its measures. */
export function describeX3d(config: X3dConfig): string {
  const found = x3dName(config);
  if (found) return found;
  const { stages, classes } = config;
  const list = (numbers: readonly number[]) => numbers.join(' ');
  return `X3D of ${list(stages.map(({ blocks }) => blocks))} blocks, ${list(stages.map(({ channels }) => channels))} channels, ${classes} classes`;
}

/** The published name of a configuration, whatever its frames' size, if it has one. */
export function x3dName(config: X3dConfig): string | undefined {
  return [...x3dConfigs].find(
    ([, known]) => sameSizes(known, config) && known.classes === config.classes && known.window === config.window,
  )?.[0];
}

/** Which X3D a checkpoint is; undefined for anything else. */
export function identifyX3d(checkpoint: TensorShapes): string | undefined {
  try {
    return describeX3d(x3dFromCheckpoint(checkpoint));
  } catch (error) {
    if (error instanceof StamError) return undefined;
    throw error;
  }
}

type Sizes = Pick<X3dConfig, 'stem' | 'stages' | 'pooled' | 'projected'>;

function sameSizes(a: Sizes, b: Sizes): boolean {
  const text = ({ stem, stages, pooled, projected }: Sizes) =>
    [
      stem,
      ...stages.flatMap(({ blocks, channels, inner, squeeze }) => [blocks, channels, inner, squeeze]),
      pooled,
      projected,
    ].join();
  return text(a) === text(b);
}

function countBlocks({ tensors }: TensorShapes, stage: number): number {
  const pattern = new RegExp(`^blocks\\.${stage}\\.res_blocks\\.(\\d{1,4})\\.`);
  return [...tensors.keys()].reduce((most, name) => Math.max(most, Number(pattern.exec(name)?.[1] ?? -1)), -1) + 1;
}

function shapeOf({ name: file, tensors }: TensorShapes, name: string, rank: number): Shape {
  const where = `${file}: ${name}`;
  const tensor = tensors.get(name);
  if (!tensor) throw new StamError('missing-tensor', { where, problem: 'the checkpoint lacks it, so it is no X3D' });
  if (tensor.shape.length === rank && tensor.shape.every((size) => size > 0)) return tensor.shape;
  throw new StamError('shape-mismatch', {
    where,
    problem: 'the tensor is not as X3D has it',
    got: formatShape(tensor.shape),
    expected: `${rank} dimensions`,
  });
}
