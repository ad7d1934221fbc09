// The small models that the official PyTorch code was run on: test/fixtures/README.md says how.
import { fileURLToPath } from 'node:url';
import type { Checkpoint } from '../../loaders/checkpoint.ts';
import { fileSource } from '../../loaders/node-source.ts';
import { openSafetensors } from '../../loaders/safetensors.ts';
import { openSynthetic } from '../../loaders/synthetic.ts';
import type { StamConfig } from '../../model/config.ts';
import { configFromMetadata } from '../../model/config.ts';
import { weightShapes } from '../../model/weights.ts';

export interface Fixture {
  readonly config: StamConfig;
  readonly videos: number;
  /** The frames, every activation by module path, and the logits. */
  readonly truth: Checkpoint;
  /** The weights that they came of. */
  readonly weights: Checkpoint;
}

const fixtures = new URL('../fixtures/', import.meta.url);

/** `tiny-a`, `tiny-b` or `tiny-c`. Close its `truth`. A bundle says in which folder they are. */
export async function openFixture(name: string, folder = fixtures): Promise<Fixture> {
  const path = fileURLToPath(new URL(`${name}.io.safetensors`, folder));
  const truth = await openSafetensors(await fileSource(path));
  const config = configFromMetadata(truth.metadata);
  if (!config) throw new Error(`${name}: its metadata does not tell the model`);
  const weights = openSynthetic(Number(truth.metadata.get('seed')), weightShapes(config), truth.metadata);
  return { config, videos: Number(truth.metadata.get('videos')), truth, weights };
}

/** What a whole model may be off by (DESIGN.md, section 7); the small ones have to keep it at every layer. */
export const modelTolerance = { f32: 1e-4, f16: 2e-2 } as const;

/** As small as a STAM can be that still runs every kernel. */
export const smallestConfig: StamConfig = {
  imageSize: 16,
  patchSize: 8,
  channels: 32,
  depth: 1,
  heads: 2,
  mlp: 64,
  frames: 2,
  temporalLayers: 1,
  temporalHeads: 8,
  temporalMlp: 64,
  classes: 5,
  epsilon: 1e-5,
};

export const smallestWeights = (): Checkpoint =>
  openSynthetic(1, weightShapes(smallestConfig), new Map([['heads', `${smallestConfig.heads}`]]));

/** A configuration of which no two sizes are the same, for what never runs. */
export const unevenConfig: StamConfig = {
  imageSize: 48,
  patchSize: 8,
  channels: 96,
  depth: 3,
  heads: 6,
  mlp: 200,
  frames: 5,
  temporalLayers: 2,
  temporalHeads: 4,
  temporalMlp: 50,
  classes: 7,
  epsilon: 1e-5,
};
