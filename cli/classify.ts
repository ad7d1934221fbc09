// stam classify: the most probable classes of one video.
import fs from 'node:fs/promises';
import type { Device } from '../engine/device.ts';
import { StamError } from '../engine/errors.ts';
import { findVideoTools, type VideoTools } from '../loaders/video/node-video-tools.ts';
import { labelsFor, parseLabels } from '../model/labels.ts';
import { type Prediction, topPredictions } from '../model/predictions.ts';
import { adapterOption, dtypeOption, openDevice, tuneOption } from './adapter.ts';
import { keyOption } from './checkpoint-file.ts';
import type { Context, Options, Values } from './command.ts';
import { defineCommand } from './command.ts';
import type { ComputedClip } from './evaluate.ts';
import { computeProgress, loadProgress } from './load-progress.ts';
import { headsOption } from './model-source.ts';
import { formatTable, printable } from './table.ts';
import { describeComplaint, ffmpegOption, maxPictureBytes, modelPathOption, openVideo } from './video.ts';
import type { VideoNetwork } from './video-network.ts';
import { networkNames, openVideoNetwork } from './video-network.ts';

const options = {
  model_path: modelPathOption,
  key: keyOption,
  model_name: {
    type: 'string',
    placeholder: 'NAME|auto',
    default: 'auto',
    description: `${networkNames}; auto: what the checkpoint is`,
  },
  heads: headsOption,
  input_size: {
    type: 'integer',
    minimum: 1,
    placeholder: 'S',
    description: 'height and width of a view of X3D; default: 256 (M) or 356 (L, XL)',
  },
  topk: { type: 'integer', minimum: 1, default: 5, placeholder: 'K', description: 'how many classes to print' },
  labels: {
    type: 'string',
    placeholder: 'FILE',
    description: 'names of the classes, one per line; default: those of Kinetics-400',
  },
  json: {
    type: 'flag',
    description: 'prints one JSON object, all logits in it; those of X3D are of the averaged scores',
  },
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
    const { model_path: weights, key, heads } = values;
    const source = { model: values.model_name.toLowerCase(), weights, key, heads, signal, log };
    const network = await openVideoNetwork(source, { input_size: values.input_size });
    try {
      const labels = labelsFor(network.classes, labelText === undefined ? undefined : parseLabels(labelText));
      const device = await openDevice(values.adapter, log);
      try {
        await classifyOn(device, { ...context, tools, network, labels });
      } finally {
        device.dispose();
      }
    } finally {
      await network.checkpoint.close();
    }
  },
});

interface Classification extends Context<Values<typeof options>> {
  readonly tools: VideoTools;
  readonly network: VideoNetwork;
  readonly labels: readonly string[] | undefined;
}

async function classifyOn(device: Device, classification: Classification): Promise<void> {
  const { values, positionals, signal, stdout, log, progress, tools, network, labels } = classification;
  const [path] = positionals;
  const opened = await openVideo(path, {
    tools,
    network,
    signal,
    maxPictureBytes: maxPictureBytes(device),
    onNotice: (text) => log(`${path}: ${text}`),
  });
  if ('tooShort' in opened) throw new StamError('bad-video', { where: path, problem: opened.tooShort });
  const { info, first, complaint } = opened;
  if (complaint !== undefined) log(describeComplaint(path, printable(complaint)));
  const clips = network.views > 1 ? opened.clips : opened.clips.slice(0, 1);
  if (clips.length < opened.clips.length) log(`${path}: the first of ${opened.clips.length} clips`);
  const bar = loadProgress(progress);
  const { dtype, tune } = values;
  const model = await network.load(device, { dtype, tune, clips: 1, signal, onProgress: bar.update, onNotice: log });
  bar.finish();
  try {
    const computing = computeProgress(progress, 'computing');
    const computed: ComputedClip[] = [];
    for (const [i, frames] of clips.entries()) {
      const pictures = i === 0 ? first : await opened.decode(frames);
      const onProgress = (done: number, total: number) => computing.update(i * total + done, clips.length * total);
      const outputs = await model.run([pictures], { signal, onProgress });
      computed.push({ frames: pictures.places, logits: outputs.get('logits') ?? new Float32Array() });
    }
    computing.finish();
    const [{ frames: taken, logits }] = network.answers(computed);
    const topk = topPredictions(logits, values.topk, labels);
    const { width, height, fps, frames } = info;
    const report = {
      video: path,
      model: network.model,
      dtype: model.storage,
      adapter: device.capabilities.adapter,
      source: { width, height, fps, frames },
      ...(complaint === undefined ? {} : { complaint }),
      views: network.views,
      frames: taken,
      topk,
      logits: [...logits],
    };
    stdout(values.json ? JSON.stringify(report) : predictionTable(topk));
  } finally {
    model.dispose();
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
