// What the soak runs: small models and inputs for them, with logits that were told beforehand, on a device to which nothing happens.
import { pathToFileURL } from 'node:url';
import type { StorageType } from '../../engine/dtype.ts';
import type { Checkpoint } from '../../loaders/checkpoint.ts';
import { openSynthetic, unit } from '../../loaders/synthetic.ts';
import type { StamConfig } from '../../model/config.ts';
import { loadStam } from '../../model/load.ts';
import type { DecodedFrames } from '../../model/preprocess.ts';
import { weightShapes } from '../../model/weights.ts';
import { largestDifference } from '../close.ts';
import type { Random } from '../fuzz/random.ts';
import { modelTolerance, openFixture, smallestConfig, smallestWeights } from '../model/fixtures.ts';
import { safetensorsBytes } from '../safetensors-bytes.ts';

/** A video and its logits. */
export interface Sample {
  readonly floats: Float32Array<ArrayBuffer>;
  readonly logits: Float32Array;
}

/** The pictures of a video and their logits. */
export interface PictureSample {
  readonly pictures: DecodedFrames;
  readonly logits: Float32Array;
}

/** A model in one storage. */
export interface Subject {
  readonly name: string;
  readonly config: StamConfig;
  readonly storage: StorageType;
  /** The same weights in several ways. */
  readonly sources: readonly (Checkpoint | Uint8Array<ArrayBuffer> | Blob)[];
  readonly videos: readonly Sample[];
  readonly pictures: readonly PictureSample[];
}

const kindsPerSubject = 3;

/** The fixture whose logits are official, the smallest model, and two by chance, in f32 and f16. `gpu` stays as it is. */
export async function openSubjects(gpu: GPUDevice, random: Random): Promise<Subject[]> {
  const { truth, config, weights } = await openFixture('tiny-a', pathToFileURL('test/fixtures/'));
  const official = { floats: await truth.read('frames'), logits: await truth.read('logits') };
  await truth.close();
  const models = [
    { name: 'tiny-a', config, weights, known: [official] },
    { name: 'smallest', config: smallestConfig, weights: smallestWeights(), known: [] },
    ...[1, 2].map((n) => ({ name: `chance ${n}`, ...modelByChance(random, n), known: [] })),
  ];
  const subjects: Subject[] = [];
  for (const model of models) {
    for (const storage of ['f32', 'f16'] as const) subjects.push(await openSubject(gpu, model, storage));
  }
  return subjects;
}

function modelByChance(random: Random, seed: number): { config: StamConfig; weights: Checkpoint } {
  const heads = random.pick([1, 2, 3]);
  const config: StamConfig = {
    imageSize: random.pick([16, 24]),
    patchSize: 8,
    channels: 16 * heads * random.pick([1, 2]),
    depth: random.pick([1, 2]),
    heads,
    mlp: random.pick([40, 64]),
    frames: random.pick([2, 3, 5]),
    temporalLayers: 1,
    temporalHeads: random.pick([1, 2]) * heads,
    temporalMlp: random.pick([48, 80]),
    classes: random.pick([3, 7, 12]),
    epsilon: 1e-5,
  };
  const metadata = new Map([
    ['heads', `${heads}`],
    ['temporal_heads', `${config.temporalHeads}`],
  ]);
  return { config, weights: openSynthetic(seed, weightShapes(config), metadata) };
}

async function openSubject(
  gpu: GPUDevice,
  { name, config, weights, known }: { name: string; config: StamConfig; weights: Checkpoint; known: readonly Sample[] },
  storage: StorageType,
): Promise<Subject> {
  const stam = await loadStam(weights, { device: gpu, dtype: storage, tune: 'off' });
  const videos: Sample[] = [...known];
  for (const { floats, logits } of known) expectRight(await stam.logits(floats), logits, storage);
  for (let seed = videos.length; seed < kindsPerSubject; seed++) {
    const floats = unit(seed, 'frames', config.frames * 3 * config.imageSize ** 2);
    videos.push({ floats, logits: await stam.logits(floats) });
  }
  const pictures: PictureSample[] = [];
  for (let seed = 0; seed < kindsPerSubject; seed++) {
    const [width, height] = [17 + 6 * seed, 30 - 5 * seed];
    const data = Uint8Array.from(unit(seed, 'pixels', 4 * config.frames * width * height), (value) => value * 256);
    const sample: DecodedFrames = { width, height, data, format: 'RGBA' };
    pictures.push({ pictures: sample, logits: await stam.logits([sample]) });
  }
  stam.dispose();
  const bytes = await safetensorsBytes(weights);
  const sources = [weights, bytes, new Blob([bytes])];
  return { name: `${name} ${storage}`, config, storage, sources, videos, pictures };
}

/** Throws unless the logits are those. */
export function expectRight(got: Float32Array, expected: Float32Array, storage: StorageType): void {
  const { error, index } = largestDifference(got, expected);
  if (got.length === expected.length && error <= modelTolerance[storage]) return;
  throw new Error(`wrong logits: ${got.length} of ${expected.length}, off by ${error} at ${index}`);
}
