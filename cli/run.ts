// stam run: raw tensors in, raw tensors out. What validates a model against another implementation.

import type { Device } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { StamError } from '../engine/errors.ts';
import type { RunOptions } from '../engine/program.ts';
import type { Outputs } from '../engine/read-back.ts';
import { elementCount, formatShape, sameShape } from '../engine/shape.ts';
import type { Checkpoint } from '../loaders/checkpoint.ts';
import { createFileSink, fileSource } from '../loaders/node-source.ts';
import { openSafetensors } from '../loaders/safetensors.ts';
import { maxFormatHeaderBytes } from '../loaders/safetensors-header.ts';
import { writeSafetensors } from '../loaders/safetensors-writer.ts';
import { unit } from '../loaders/synthetic.ts';
import { configName, configs } from '../model/config.ts';
import type { StamModelOptions } from '../model/stam-model.ts';
import { StamModel } from '../model/stam-model.ts';
import { x3dConfigs, x3dName } from '../model/x3d-config.ts';
import { X3dModel } from '../model/x3d-model.ts';
import { adapterOption, dtypeOption, openDevice } from './adapter.ts';
import { checkpointFile, keyOption } from './checkpoint-file.ts';
import { defineCommand } from './command.ts';
import { computeProgress, loadProgress } from './load-progress.ts';
import type { ModelSourceOptions } from './model-source.ts';
import { headsOption, openModelSource, openX3dSource, syntheticSeed } from './model-source.ts';

interface Frames {
  readonly data: Float32Array<ArrayBuffer>;
  readonly videos: number;
}

/** `stam run --model NAME|auto --weights ... --input ... --output FILE`. */
export const run = defineCommand({
  name: 'run',
  summary: 'runs a model on raw frames and writes its logits, and with --dump every activation',
  positionals: [],
  options: {
    model: {
      type: 'string',
      placeholder: 'NAME|auto',
      default: 'auto',
      description: `a published model (${[...configs.keys(), ...x3dConfigs.keys()].join(', ')}), or auto: the weights' own configuration`,
    },
    weights: {
      type: 'string',
      placeholder: 'FILE|synthetic:SEED',
      required: true,
      description: `${checkpointFile}, or weights made by rule`,
    },
    key: keyOption,
    input: {
      type: 'string',
      placeholder: 'FILE|synthetic:SEED',
      required: true,
      description:
        'a .safetensors file with `frames` in 0..1, [V F, 3, H, W] or for X3D [V, 3, F, H, W], or one video made by rule',
    },
    output: { type: 'string', placeholder: 'FILE', required: true, description: 'the .safetensors file to write' },
    heads: headsOption,
    input_size: {
      type: 'integer',
      minimum: 1,
      placeholder: 'S',
      description:
        'height and width of the frames; a STAM takes its own only, an X3D by default those it was trained on',
    },
    dtype: dtypeOption,
    dump: { type: 'flag', description: 'writes every activation too, by PyTorch module name' },
    adapter: adapterOption,
  },
  async run({ values, signal, log, progress }) {
    const seed = syntheticSeed('--input', values.input);
    const input = seed === undefined ? await openFrames(values.input, signal) : undefined;
    const { model, weights, key, heads } = values;
    const size = values.input_size ?? sizeOfVideos(input);
    const options = { model, weights, key, heads, metadata: input?.metadata, signal, log };
    const network = (await openX3d(options, size)) ?? (await openStam(options, size));
    const { checkpoint, videoShape } = network;
    const frames = input ? await readFrames(input, videoShape, signal) : syntheticFrames(seed ?? 0, videoShape);
    await input?.close();

    const device = await openDevice(values.adapter, log);
    const bar = loadProgress(progress);
    const loaded = await network.load(device, {
      dtype: values.dtype,
      videos: frames.videos,
      signal,
      onProgress: bar.update,
      onNotice: log,
    });
    bar.finish();
    await checkpoint.close();

    const computing = computeProgress(progress, 'computing');
    const keep = values.dump ? () => true : network.summarises;
    const outputs = await loaded.run(frames.data, { keep, signal, onProgress: computing.update });
    computing.finish();
    const warning = notFinite(outputs);
    if (warning !== undefined) log(warning);

    const shapes = loaded.outputShapes(frames.videos, keep);
    const tensors = [...outputs].map(([name, data]) => ({
      name,
      dtype: 'F32' as const,
      shape: shapes.get(name) ?? [data.length],
      data: () => data,
    }));
    const { adapter } = device.capabilities;
    const metadata = new Map([
      ['model', network.name ?? 'custom'],
      ['dtype', loaded.storage],
      ['adapter', adapter.description || adapter.device],
      ['weights', checkpoint.name],
    ]);
    await writeSafetensors(await createFileSink(values.output), tensors, metadata, signal);
    log(`${values.output}: ${tensors.map(({ name, shape }) => `${name} ${formatShape(shape)}`).join(', ')}`);
    loaded.dispose();
    device.dispose();
  },
});

async function openFrames(path: string, signal: AbortSignal): Promise<Checkpoint> {
  return await openSafetensors(await fileSource(path), { maxHeaderBytes: maxFormatHeaderBytes, signal });
}

/** What to tell of outputs that are not finite numbers, which are written all the same: they may tell where it began. */
function notFinite(outputs: Outputs): string | undefined {
  const names = [...outputs].flatMap(([name, data]) => (data.every(Number.isFinite) ? [] : [name]));
  if (names.length === 0) return undefined;
  const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
  return (
    `warning: there is NaN or infinity in ${names.slice(0, 3).join(', ')}${more}; the weights or the frames may hold what is no number, ` +
    'or be too large for f16, which --dtype f32 tells'
  );
}

/** S of frames [V, 3, F, S, S]; of frames of another rank the weights tell. */
function sizeOfVideos(input: Checkpoint | undefined): number | undefined {
  return input?.tensors.get('frames')?.shape[4];
}

/** A network and its weights, not yet on a device. */
interface Network {
  readonly name: string | undefined;
  readonly checkpoint: Checkpoint;
  /** Of the frames of one video; a file holds whole numbers of it, one after another along the first dimension. */
  readonly videoShape: readonly number[];
  /** Which activations are written without --dump. */
  readonly summarises: (activation: string) => boolean;
  readonly load: (device: Device, options: StamModelOptions) => Promise<Loaded>;
}

/** What a model on a device is to this command. */
interface Loaded {
  readonly storage: StorageType;
  run(
    frames: Float32Array<ArrayBuffer>,
    options: RunOptions & { readonly keep: (name: string) => boolean },
  ): Promise<Outputs>;
  outputShapes(videos: number, keep: (name: string) => boolean): ReadonlyMap<string, readonly number[]>;
  dispose(): void;
}

async function openX3d(options: ModelSourceOptions, size: number | undefined): Promise<Network | undefined> {
  const source = await openX3dSource(options, size);
  if (!source) return undefined;
  const { config, checkpoint } = source;
  const { frames, imageSize } = config;
  return {
    name: x3dName(config),
    checkpoint,
    videoShape: [1, 3, frames, imageSize, imageSize],
    summarises: (name) => name.endsWith('.mean'),
    load: (device, { dtype, videos, signal, onProgress, onNotice }) =>
      X3dModel.load(device, config, checkpoint, { dtype, videos, signal, onProgress, onNotice }),
  };
}

async function openStam(options: ModelSourceOptions, size: number | undefined): Promise<Network> {
  const { config, checkpoint } = await openModelSource(options);
  const { frames, imageSize } = config;
  if (size !== undefined && size !== imageSize) {
    throw new StamError('bad-input', {
      where: '--input_size',
      problem: 'the model takes another size',
      got: `${size}`,
      expected: `${imageSize}`,
    });
  }
  return {
    name: configName(config),
    checkpoint,
    videoShape: [frames, 3, imageSize, imageSize],
    summarises: (name) => name === 'frame_features' || name === 'video_features',
    load: (device, loading) => StamModel.load(device, config, checkpoint, loading),
  };
}

function syntheticFrames(seed: number, shape: readonly number[]): Frames {
  return { data: unit(seed, 'frames', elementCount(shape)), videos: 1 };
}

async function readFrames(
  input: Checkpoint,
  [first, ...rest]: readonly number[],
  signal: AbortSignal,
): Promise<Frames> {
  const shape = input.tensors.get('frames')?.shape ?? [];
  const videos = shape[0] / first;
  if (sameShape(shape.slice(1), rest) && Number.isInteger(videos) && videos > 0) {
    return { data: await input.read('frames', signal), videos };
  }
  throw new StamError('shape-mismatch', {
    where: `${input.name}: frames`,
    problem: input.tensors.has('frames') ? 'the frames do not fit the model' : 'there is no such tensor',
    got: formatShape(shape),
    expected: `[${first === 1 ? 'V' : `V x ${first}`}, ${rest.join(', ')}]`,
  });
}
