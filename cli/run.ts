// stam run: raw tensors in, raw tensors out. What validates a model against another implementation.
import { StamError } from '../engine/errors.ts';
import { formatShape, sameShape } from '../engine/shape.ts';
import { createFileSink, fileSource } from '../loaders/node-source.ts';
import { openSafetensors } from '../loaders/safetensors.ts';
import { writeSafetensors } from '../loaders/safetensors-writer.ts';
import { unit } from '../loaders/synthetic.ts';
import type { StamConfig } from '../model/config.ts';
import { configName } from '../model/config.ts';
import { StamModel } from '../model/stam-model.ts';
import { adapterOption, dtypeOption, openDevice } from './adapter.ts';
import { checkpointFile } from './checkpoint-file.ts';
import { defineCommand } from './command.ts';
import { computeProgress, loadProgress } from './load-progress.ts';
import { openModelSource, syntheticSeed } from './model-source.ts';

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
      description: "a published model, or auto: the weights' own configuration",
    },
    weights: {
      type: 'string',
      placeholder: 'FILE|synthetic:SEED',
      required: true,
      description: `${checkpointFile}, or weights made by rule`,
    },
    input: {
      type: 'string',
      placeholder: 'FILE|synthetic:SEED',
      required: true,
      description: 'a .safetensors file with `frames` [V F, 3, H, W] in 0..1, or one video made by rule',
    },
    output: { type: 'string', placeholder: 'FILE', required: true, description: 'the .safetensors file to write' },
    heads: {
      type: 'integer',
      minimum: 1,
      placeholder: 'N',
      description: 'heads of the spatial transformer, where the weights do not tell',
    },
    input_size: {
      type: 'integer',
      minimum: 1,
      placeholder: 'S',
      description: 'height and width of the frames; a STAM takes its own only',
    },
    dtype: dtypeOption,
    dump: { type: 'flag', description: 'writes every activation too, by PyTorch module name' },
    adapter: adapterOption,
  },
  async run({ values, signal, log, progress }) {
    const seed = syntheticSeed('--input', values.input);
    const input = seed === undefined ? await openSafetensors(await fileSource(values.input), { signal }) : undefined;
    const { model, weights, heads } = values;
    const { config, checkpoint } = await openModelSource({
      model,
      weights,
      heads,
      metadata: input?.metadata,
      signal,
      log,
    });
    const size = values.input_size ?? config.imageSize;
    if (size !== config.imageSize) {
      throw new StamError('bad-input', {
        where: '--input_size',
        problem: 'the model takes another size',
        got: `${size}`,
        expected: `${config.imageSize}`,
      });
    }
    const frames = input ? await readFrames(input, config, signal) : syntheticFrames(seed ?? 0, config);
    await input?.close();

    const device = await openDevice(values.adapter, log);
    const bar = loadProgress(progress);
    const stam = await StamModel.load(device, config, checkpoint, {
      dtype: values.dtype,
      videos: frames.videos,
      signal,
      onProgress: bar.update,
      onNotice: log,
    });
    bar.finish();
    await checkpoint.close();

    const computing = computeProgress(progress, 'computing');
    const keep = values.dump ? () => true : (name: string) => name === 'frame_features' || name === 'video_features';
    const outputs = await stam.run(frames.data, { keep, signal, onProgress: computing.update });
    computing.finish();

    const shapes = stam.outputShapes(frames.videos, keep);
    const tensors = [...outputs].map(([name, data]) => ({
      name,
      dtype: 'F32' as const,
      shape: shapes.get(name) ?? [data.length],
      data: () => data,
    }));
    const { adapter } = device.capabilities;
    const metadata = new Map([
      ['model', configName(config) ?? 'custom'],
      ['dtype', stam.storage],
      ['adapter', adapter.description || adapter.device],
      ['weights', checkpoint.name],
    ]);
    await writeSafetensors(await createFileSink(values.output), tensors, metadata, signal);
    log(`${values.output}: ${tensors.map(({ name, shape }) => `${name} ${formatShape(shape)}`).join(', ')}`);
    stam.dispose();
    device.dispose();
  },
});

function syntheticFrames(seed: number, { frames, imageSize }: StamConfig): Frames {
  return { data: unit(seed, 'frames', frames * 3 * imageSize * imageSize), videos: 1 };
}

async function readFrames(
  input: Awaited<ReturnType<typeof openSafetensors>>,
  config: StamConfig,
  signal: AbortSignal,
): Promise<Frames> {
  const shape = input.tensors.get('frames')?.shape ?? [];
  const videos = shape[0] / config.frames;
  const { imageSize } = config;
  if (sameShape(shape.slice(1), [3, imageSize, imageSize]) && Number.isInteger(videos) && videos > 0) {
    return { data: await input.read('frames', signal), videos };
  }
  throw new StamError('shape-mismatch', {
    where: `${input.name}: frames`,
    problem: input.tensors.has('frames') ? 'the frames do not fit the model' : 'there is no such tensor',
    got: formatShape(shape),
    expected: `[V x ${config.frames}, 3, ${imageSize}, ${imageSize}]`,
  });
}
