// stam infer: the official infer.py: Prec@1 and Prec@5 over a folder of Kinetics videos.
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Device } from '../engine/device.ts';
import { formatAdapter } from '../engine/device.ts';
import { version } from '../engine/version.ts';
import type { ListedVideo, VideoFolder } from '../loaders/video/node-video-folder.ts';
import { listVideoFolder } from '../loaders/video/node-video-folder.ts';
import { findVideoTools, type VideoTools } from '../loaders/video/node-video-tools.ts';
import { chooseStorage } from '../model/planner.ts';
import { rankOf, topPredictions } from '../model/predictions.ts';
import { adapterOption, dtypeOption, openDevice, tuneOption } from './adapter.ts';
import { keyOption } from './checkpoint-file.ts';
import type { Context, Options, Values } from './command.ts';
import { defineCommand, UsageError } from './command.ts';
import type { Outcome, Span } from './evaluate.ts';
import { evaluate, formatTrace } from './evaluate.ts';
import { loadProgress } from './load-progress.ts';
import { headsOption } from './model-source.ts';
import type { Progress } from './progress.ts';
import type { ResultsContent, ResultsSink, RunSettings, Summary, VideoResult } from './results-file.ts';
import {
  createResults,
  formatCounts,
  formatPrecision,
  readResults,
  resumeResults,
  settingsDifference,
  Tally,
} from './results-file.ts';
import { hashCheckpoint, hashNames } from './run-identity.ts';
import type { Shard } from './shard.ts';
import { parseShard, shardOfJob, wholeDataSet } from './shard.ts';
import { formatDuration, printable } from './table.ts';
import { describeComplaint, ffmpegOption, maxPictureBytes, modelPathOption, openVideo } from './video.ts';
import type { VideoNetwork } from './video-network.ts';
import { networkNames, openVideoNetwork } from './video-network.ts';

const options = {
  val_dir: { type: 'string', placeholder: 'FOLDER', required: true, description: 'a sub-folder for each class' },
  model_path: modelPathOption,
  key: keyOption,
  model_name: {
    type: 'string',
    placeholder: 'NAME|auto',
    default: 'stam_16',
    description: `${networkNames}; auto: what the checkpoint is`,
  },
  heads: headsOption,
  num_classes: {
    type: 'integer',
    minimum: 1,
    description: "classes of the model; refused if they are others' than its own",
  },
  input_size: {
    type: 'integer',
    minimum: 1,
    placeholder: 'S',
    description: 'likewise, height and width of a frame; an X3D takes any, by default 256 (M) or 356 (L, XL)',
  },
  val_zoom_factor: {
    type: 'number',
    placeholder: 'Z',
    description: 'pictures are resized to S / Z, then cropped; default: 0.875; not for X3D',
  },
  batch_size: {
    type: 'integer',
    minimum: 1,
    placeholder: 'N',
    description: 'clips computed at a time; default: 6, of X3D 2 with three views each, on a software adapter 1',
  },
  num_workers: {
    type: 'integer',
    minimum: 1,
    placeholder: 'N',
    description: 'videos decoded at a time, each on one thread; default: one a processor, up to 32',
  },
  frames_per_clip: {
    type: 'integer',
    minimum: 1,
    placeholder: 'F',
    description: "the model's own, whatever is asked",
  },
  frame_rate: {
    type: 'number',
    placeholder: 'R',
    description:
      "frames taken a second; default: the model's, which stam_32 and stam_64 keep whatever is asked; not for X3D",
  },
  step_between_clips: {
    type: 'integer',
    minimum: 1,
    placeholder: 'N',
    description: 'taken frames from one clip of a video to the next; default: 1000; not for X3D',
  },
  topk: {
    type: 'integer',
    minimum: 1,
    default: 5,
    placeholder: 'K',
    description: 'classes written for each clip, or video',
  },
  out: { type: 'string', placeholder: 'FILE.jsonl', description: 'writes a line of JSON for each video' },
  resume: { type: 'flag', description: 'goes on with the file of --out where a run was cut off' },
  shard: {
    type: 'string',
    placeholder: 'I/N',
    description: 'works on every Nth video, from the Ith on; default: from SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX',
  },
  json: { type: 'flag', description: 'prints the summary as one JSON object' },
  profile: {
    type: 'string',
    placeholder: 'FILE.json',
    description: 'writes a Chrome trace of decoding and computing',
  },
  dtype: dtypeOption,
  tune: tuneOption,
  adapter: adapterOption,
  ffmpeg: ffmpegOption,
} as const satisfies Options;

/** `stam infer --val_dir FOLDER --model_path FILE`. */
export const infer = defineCommand({
  name: 'infer',
  summary: 'measures Prec@1 and Prec@5 over a folder of videos, as the official infer.py does',
  positionals: [],
  options,
  async run(context) {
    const { values, signal, log } = context;
    if (values.resume && values.out === undefined) throw new UsageError('--resume: needs the file of --out');
    const shard = chooseShard(values.shard, log);
    const folder = await listVideoFolder(values.val_dir, signal);
    const tools = await findVideoTools({ ffmpeg: values.ffmpeg, signal });
    log(`ffmpeg ${tools.ffmpeg.version}: ${tools.ffmpeg.path}`);
    const { model_path: weights, key, heads } = values;
    const source = { model: values.model_name.toLowerCase(), weights, key, heads, signal, log };
    const network = await openVideoNetwork(source, values);
    try {
      const labels = nameClasses(folder, network.classes, log);
      const device = await openDevice(values.adapter, log);
      try {
        await inferOn(device, { ...context, shard, folder, tools, network, labels });
      } finally {
        device.dispose();
      }
    } finally {
      await network.checkpoint.close();
    }
  },
});

interface Inference extends Context<Values<typeof options>> {
  readonly shard: Shard;
  readonly folder: VideoFolder;
  readonly tools: VideoTools;
  readonly network: VideoNetwork;
  /** Names of the classes, where the folders tell them. */
  readonly labels: readonly string[] | undefined;
}

async function inferOn(device: Device, inference: Inference): Promise<void> {
  const { values, signal, stdout, log, progress, shard, folder, tools, network } = inference;
  const { adapter } = device.capabilities;
  let hashing: Progress | undefined;
  const weights = await hashCheckpoint(network.checkpoint, {
    signal,
    onProgress(done, total) {
      hashing ??= progress('hashing weights', total, 'bytes');
      hashing.update(done);
    },
  });
  hashing?.finish();
  const settings: RunSettings = {
    version,
    ffmpeg: `${tools.ffmpeg.version}, ffprobe ${tools.ffprobe.version}`,
    model: network.model,
    weights,
    checkpoint: path.basename(network.checkpoint.name),
    dtype: chooseStorage(values.dtype, device),
    ...network.protocol,
    config: network.config,
    topk: values.topk,
    videos: folder.videos.length,
    dataSet: hashNames(folder.videos),
    shard: `${shard.index}/${shard.count}`,
    adapter,
  };
  const before = values.resume && values.out !== undefined ? await resumable(values.out, settings, log) : undefined;
  const sink = values.out === undefined ? undefined : await openResults(values.out, settings, before);
  const done = new Set(before?.results.map(({ index }) => index));
  const mine = folder.videos.filter(({ index }) => index % shard.count === shard.index);
  const tally = new Tally();
  for (const result of before?.results ?? []) tally.add(result);
  try {
    const left = mine.filter(({ index }) => !done.has(index));
    if (left.length > 0) {
      await compute(device, left, inference, async (result) => {
        const problem = result.tooShort ?? result.error?.message;
        if (problem !== undefined) log(`left out: ${printable(result.video)}: ${printable(problem)}`);
        if (result.complaint !== undefined)
          log(describeComplaint(printable(result.video), printable(result.complaint)));
        await sink?.append([result]);
        tally.add(result);
        return tally.summary();
      });
    }
  } finally {
    await sink?.close();
    if (signal.aborted && values.out !== undefined) log(`${values.out}: --resume goes on from here`);
  }
  const summary = tally.summary();
  const text = `${formatCounts(summary)}\n${formatPrecision(summary)}`;
  stdout(values.json ? JSON.stringify({ ...settings, ...summary }) : text);
}

/** Loads the model and runs it on the videos; `onResult` gets them in order, is awaited, and answers how things stand. */
async function compute(
  device: Device,
  videos: readonly ListedVideo[],
  { values, signal, log, progress, folder, tools, network, labels }: Inference,
  onResult: (result: VideoResult) => Promise<Summary>,
): Promise<void> {
  const { adapter } = device.capabilities;
  const batch = values.batch_size ?? (adapter.software ? 1 : network.batch);
  const loading = loadProgress(progress);
  const model = await network.load(device, {
    dtype: values.dtype,
    clips: batch,
    tune: values.tune,
    signal,
    onProgress: loading.update,
    onNotice: log,
  });
  loading.finish();
  const bar = progress('videos', videos.length, 'videos');
  let done = 0;
  const spans: Span[] = [];
  try {
    const { gpuMs, gpuIdleMs } = await evaluate(model, {
      videos,
      open: (video, abort) =>
        openVideo(video.path, {
          tools,
          network,
          signal: abort,
          maxPictureBytes: maxPictureBytes(device),
          onNotice: (text) => log(`${printable(video.name)}: ${text}`),
        }),
      batch,
      decoders: values.num_workers ?? Math.min(32, os.availableParallelism()),
      signal,
      onSpan: values.profile === undefined ? undefined : (span) => spans.push(span),
      async onOutcome(video, outcome) {
        const summary = await onResult(resultOf(video, outcome, { folder, network, topk: values.topk, labels }));
        bar.update(++done, formatPrecision(summary));
      },
    });
    bar.finish();
    log(`GPU busy for ${formatDuration(gpuMs - gpuIdleMs)}; it waited ${formatDuration(gpuIdleMs)} for frames`);
  } finally {
    if (values.profile !== undefined) await fs.writeFile(values.profile, formatTrace(spans, formatAdapter(adapter)));
    model.dispose();
  }
}

function chooseShard(option: string | undefined, log: (line: string) => void): Shard {
  if (option !== undefined) return parseShard(option);
  const job = shardOfJob(process.env);
  if (!job) return wholeDataSet;
  log(`shard ${job.shard.index}/${job.shard.count}, from ${job.origin}`);
  return job.shard;
}

/** The folders' names as labels, if there is one for each class of the model: class numbers mean nothing otherwise. */
function nameClasses({ classes, videos }: VideoFolder, count: number, log: (line: string) => void) {
  log(`${videos.length} videos in ${classes.length} folders`);
  if (classes.length === count) return classes;
  log(
    `the model has ${count} classes and there are ${classes.length} folders: folders are numbered in the order of their names, ` +
      'as infer.py does it, which for a part of the classes are not the numbers the model was trained with',
  );
  return undefined;
}

async function resumable(file: string, settings: RunSettings, log: (line: string) => void) {
  const isThere = await fs.stat(file).then(
    () => true,
    () => false,
  );
  if (!isThere) return undefined;
  const content = await readResults(file);
  if (!content) return { settings, results: [], bytes: 0 };
  const difference = settingsDifference(content.settings, settings);
  if (difference !== undefined) throw new UsageError(`--resume: ${file} is of another run; got ${difference}`);
  log(`${file}: ${content.results.length} videos are done`);
  return content;
}

function openResults(file: string, settings: RunSettings, before: ResultsContent | undefined): Promise<ResultsSink> {
  return before ? resumeResults(file, settings, before.bytes) : createResults(file, settings);
}

function resultOf(
  { index, name, label }: ListedVideo,
  outcome: Outcome,
  { folder, network, topk, labels }: Pick<Inference, 'folder' | 'network' | 'labels'> & { readonly topk: number },
): VideoResult {
  const result = { index, video: name, label, class: folder.classes[label], clips: [] };
  if ('tooShort' in outcome) return { ...result, tooShort: outcome.tooShort };
  if ('error' in outcome) {
    const { code, message } = outcome.error;
    return { ...result, error: { code, message } };
  }
  const clips = network.answers(outcome.clips).map(({ frames, logits }) => ({
    frames,
    rank: rankOf(logits, label),
    topk: topPredictions(logits, topk, labels),
  }));
  return { ...result, clips, ...(outcome.complaint === undefined ? {} : { complaint: outcome.complaint }) };
}
