// stam classify: the most probable classes of one video.
import fs from 'node:fs/promises';
import type { Device } from '../engine/device.ts';
import { StamError } from '../engine/errors.ts';
import type { Checkpoint } from '../loaders/checkpoint.ts';
import { findVideoTools, type VideoTools } from '../loaders/video/node-video-tools.ts';
import type { StamConfig } from '../model/config.ts';
import { configName } from '../model/config.ts';
import { labelsFor, parseLabels } from '../model/labels.ts';
import { type Prediction, topPredictions } from '../model/predictions.ts';
import { samplingOf } from '../model/sampling.ts';
import { StamModel } from '../model/stam-model.ts';
import { adapterOption, dtypeOption, openDevice, tuneOption } from './adapter.ts';
import type { Context, Options, Values } from './command.ts';
import { defineCommand } from './command.ts';
import { computeProgress, loadProgress } from './load-progress.ts';
import { openModelSource } from './model-source.ts';
import { formatTable } from './table.ts';
import { ffmpegOption, maxPictureBytes, modelPathOption, openVideo } from './video.ts';

const options = {
  model_path: modelPathOption,
  model_name: {
    type: 'string',
    placeholder: 'NAME|auto',
    default: 'auto',
    description: 'stam_8, stam_16, stam_32 or stam_64; auto: what the checkpoint is',
  },
  topk: { type: 'integer', minimum: 1, default: 5, placeholder: 'K', description: 'how many classes to print' },
  labels: {
    type: 'string',
    placeholder: 'FILE',
    description: 'names of the classes, one per line; default: those of Kinetics-400',
  },
  json: { type: 'flag', description: 'prints one JSON object, all logits in it' },
  dtype: dtypeOption,
  tune: tuneOption,
  adapter: adapterOption,
  ffmpeg: ffmpegOption,
} as const satisfies Options;

/** `stam classify VIDEO --model_path FILE`. */
export const classify = defineCommand({
  name: 'classify',
  summary: 'names the most probable classes of a video',
  positionals: [{ placeholder: 'VIDEO', description: 'a video that ffmpeg can decode' }],
  options,
  async run(context) {
    const { values, signal, log } = context;
    const tools = await findVideoTools({ ffmpeg: values.ffmpeg, signal });
    const labelText = values.labels === undefined ? undefined : await readText(values.labels);
    const { config, checkpoint } = await openModelSource({
      model: values.model_name,
      weights: values.model_path,
      heads: undefined,
      signal,
      log,
    });
    try {
      const labels = labelsFor(config.classes, labelText === undefined ? undefined : parseLabels(labelText));
      const device = await openDevice(values.adapter, log);
      try {
        await classifyOn(device, { ...context, tools, config, checkpoint, labels });
      } finally {
        device.dispose();
      }
    } finally {
      await checkpoint.close();
    }
  },
});

interface Classification extends Context<Values<typeof options>> {
  readonly tools: VideoTools;
  readonly config: StamConfig;
  readonly checkpoint: Checkpoint;
  readonly labels: readonly string[] | undefined;
}

async function classifyOn(device: Device, classification: Classification): Promise<void> {
  const { values, positionals, signal, stdout, log, progress, tools, config, checkpoint, labels } = classification;
  const [path] = positionals;
  const sampling = samplingOf(config);
  const opened = await openVideo(path, { tools, sampling, signal, maxPictureBytes: maxPictureBytes(device) });
  if ('tooShort' in opened) throw new StamError('bad-video', { where: path, problem: opened.tooShort });
  const { info, clips, first } = opened;
  if (clips.length > 1) log(`${path}: the first of ${clips.length} clips`);
  const bar = loadProgress(progress);
  const { dtype, tune } = values;
  const loadOptions = { dtype, tune, signal, onProgress: bar.update, onNotice: log };
  const stam = await StamModel.load(device, config, checkpoint, loadOptions);
  bar.finish();
  try {
    const computing = computeProgress(progress, 'computing');
    const outputs = await stam.run([first], { signal, onProgress: computing.update });
    computing.finish();
    const logits = outputs.get('logits') ?? new Float32Array();
    const topk = topPredictions(logits, values.topk, labels);
    const { width, height, fps, frames } = info;
    const report = {
      video: path,
      model: configName(config) ?? 'custom',
      dtype: stam.storage,
      adapter: device.capabilities.adapter,
      source: { width, height, fps, frames },
      frames: clips[0],
      topk,
      logits: [...logits],
    };
    stdout(values.json ? JSON.stringify(report) : predictionTable(topk));
  } finally {
    stam.dispose();
  }
}

function predictionTable(predictions: readonly Prediction[]): string {
  return formatTable(
    [{ title: 'class' }, { title: 'number', align: 'right' }, { title: 'score', align: 'right' }],
    predictions.map(({ label, index, score }) => [label ?? undefined, index, `${(100 * score).toFixed(2)} %`]),
  );
}

async function readText(path: string): Promise<string> {
  return await fs.readFile(path, 'utf8').catch((cause) => {
    throw new StamError('bad-input', { where: path, problem: `the file cannot be read: ${cause}`, cause });
  });
}
