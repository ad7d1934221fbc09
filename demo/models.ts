// What the page can load: the published models, a tiny one for slow adapters, and where their weights come from.
import type { Checkpoint, StamConfig } from '../index.ts';
import { configs, openSynthetic, weightShapes } from '../index.ts';

/** Small enough that a processor computes it in the time in which it decodes the video: 0.1 GFLOP instead of 562. */
export const tiny: StamConfig = {
  imageSize: 64,
  patchSize: 16,
  channels: 64,
  depth: 2,
  heads: 4,
  mlp: 256,
  frames: 16,
  temporalLayers: 2,
  temporalHeads: 8,
  temporalMlp: 128,
  classes: 400,
  epsilon: 1e-5,
};

/** All models by name. */
export const models: ReadonlyMap<string, StamConfig> = new Map([['tiny', tiny], ...configs]);

/** Where weights come from. Synthetic ones are numbers by rule: right in shape and size, and without any meaning. */
export type WeightsChoice =
  | { readonly kind: 'synthetic'; readonly model: string }
  | { readonly kind: 'file'; readonly file: File }
  | { readonly kind: 'url'; readonly url: URL };

/** A line that names them. */
export function describeWeights(choice: WeightsChoice): string {
  if (choice.kind === 'synthetic') return 'synthetic';
  return choice.kind === 'file' ? choice.file.name : choice.url.href;
}

/** What loadStam() is given for them. */
export function weightsOf(choice: WeightsChoice): File | URL | Checkpoint {
  if (choice.kind === 'file') return choice.file;
  return choice.kind === 'url' ? choice.url : syntheticWeights(models.get(choice.model) ?? tiny);
}

/** Weights by rule for any configuration; what the shapes do not tell stands in the metadata. */
export function syntheticWeights(config: StamConfig): Checkpoint {
  const { heads, temporalHeads } = config;
  const metadata = new Map([
    ['heads', `${heads}`],
    ['temporal_heads', `${temporalHeads}`],
  ]);
  return openSynthetic(1, weightShapes(config), metadata);
}
