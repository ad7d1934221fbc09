// What infer and classify are to a network: which frames of a video it takes, and how the logits of its clips become answers.
import type { Device } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { StamError } from '../engine/errors.ts';
import type { RunOptions } from '../engine/program.ts';
import type { Checkpoint } from '../loaders/checkpoint.ts';
import { chooseClips, tooShort } from '../loaders/video/frame-choice.ts';
import type { VideoInfo } from '../loaders/video/node-video.ts';
import { chooseViews, clipLength } from '../loaders/video/view-choice.ts';
import type { StamConfig } from '../model/config.ts';
import { configName, configs } from '../model/config.ts';
import { defaultZoom } from '../model/preprocess.ts';
import type { Sampling } from '../model/sampling.ts';
import { samplingOf } from '../model/sampling.ts';
import { StamModel, type StamModelOptions } from '../model/stam-model.ts';
import { averageViews, cropsPerClip, testSize, x3dViews } from '../model/views.ts';
import { atSize, x3dConfigs, x3dName } from '../model/x3d-config.ts';
import { X3dViewModel } from '../model/x3d-views.ts';
import { UsageError } from './command.ts';
import type { ClipModel, ComputedClip } from './evaluate.ts';
import type { ModelSourceOptions } from './model-source.ts';
import { openModelSource, openX3dSource } from './model-source.ts';
import type { ClipSettings, ViewSettings } from './results-file.ts';
import { sortedJson } from './run-identity.ts';

export interface VideoNetwork {
  /** The published name, or `custom`. */
  readonly model: string;
  readonly checkpoint: Checkpoint;
  /** The configuration as JSON, its keys sorted. */
  readonly config: string;
  readonly classes: number;
  /** How videos become frames and clips answers, for a results file. */
  readonly protocol: ClipSettings | ViewSettings;
  /** Passes through the network that make one answer. */
  readonly views: number;
  /** Clips of one run on a GPU, unless somebody asks for more or fewer. */
  readonly batch: number;
  /** Whether the frames of all clips are decoded at once, each counted in the order in which the decoder puts them out. */
  readonly overlaps: boolean;
  /** The frames of each clip, or why there is none. */
  choose(
    info: VideoInfo,
    onNotice: (text: string) => void,
  ): readonly (readonly number[])[] | { readonly tooShort: string };
  load(device: Device, options: LoadOptions): Promise<LoadedNetwork>;
  /** The answers of a video: one a clip, or one of all clips. */
  answers(clips: readonly ComputedClip[]): readonly ComputedClip[];
}

export interface LoadOptions extends Pick<StamModelOptions, 'dtype' | 'tune' | 'signal' | 'onProgress' | 'onNotice'> {
  /** Clips of one run. */
  readonly clips: number;
}

export interface LoadedNetwork extends ClipModel {
  readonly storage: StorageType;
  run(clips: Parameters<ClipModel['run']>[0], options: RunOptions): ReturnType<ClipModel['run']>;
  dispose(): void;
}

/** What the options ask of the frames; what is left out is the network's own. */
export interface AskedFrames {
  readonly num_classes?: number | undefined;
  readonly input_size?: number | undefined;
  readonly val_zoom_factor?: number | undefined;
  readonly frames_per_clip?: number | undefined;
  readonly frame_rate?: number | undefined;
  readonly step_between_clips?: number | undefined;
}

/** For --help and messages. */
export const networkNames = [...configs.keys(), ...x3dConfigs.keys()].join(', ');

/**
 * Opens the weights and settles how videos are looked at; the caller closes the checkpoint. Throws UsageError for options that the network
 * has no use for, and bad-input for those that ask for another network.
 */
export async function openVideoNetwork(
  source: Omit<ModelSourceOptions, 'metadata'>,
  asked: AskedFrames,
): Promise<VideoNetwork> {
  if (source.model !== 'auto' && !configs.has(source.model) && !x3dConfigs.has(source.model)) {
    throw new UsageError(`--model_name: unknown; got '${source.model}', expected ${networkNames}, or auto`);
  }
  const network = (await openX3d(source, asked)) ?? (await openStam(source, asked));
  try {
    expectOfModel('num_classes', asked.num_classes, network.classes);
    return network;
  } catch (error) {
    await network.checkpoint.close();
    throw error;
  }
}

type NetworkSource = Parameters<typeof openVideoNetwork>[0];

async function openStam(source: NetworkSource, asked: AskedFrames): Promise<VideoNetwork> {
  const { config, checkpoint } = await openModelSource(source);
  try {
    expectOfModel('input_size', asked.input_size, config.imageSize);
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
  const sampling = chooseSampling(config, asked, source.log);
  const zoom = asked.val_zoom_factor ?? defaultZoom;
  return {
    model: configName(config) ?? 'custom',
    checkpoint,
    config: sortedJson(config),
    classes: config.classes,
    protocol: { inputSize: config.imageSize, zoom, ...sampling },
    views: 1,
    batch: 6,
    overlaps: false,
    choose(info) {
      const clips = chooseClips(info.frames, info.fps, sampling);
      if (clips.length > 0) return clips;
      const { problem, got, expected } = tooShort(info.frames, info.fps, sampling);
      return { tooShort: `${problem}; got ${got}, expected ${expected}` };
    },
    load: (device, { clips, ...options }) =>
      StamModel.load(device, config, checkpoint, { ...options, videos: clips, zoom }),
    answers: (clips) => clips,
  };
}

async function openX3d(source: NetworkSource, asked: AskedFrames): Promise<VideoNetwork | undefined> {
  const opened = await openX3dSource(source, asked.input_size);
  if (!opened) return undefined;
  const { checkpoint } = opened;
  try {
    const config =
      asked.input_size === undefined ? atSize(opened.config, testSize(opened.config.imageSize)) : opened.config;
    const { frames, imageSize, classes } = config;
    for (const option of ['val_zoom_factor', 'frame_rate', 'step_between_clips'] as const) {
      if (asked[option] === undefined) continue;
      throw new UsageError(
        `--${option}: is not for X3D, which takes every fifth frame at 30 a second, in 10 clips of 3 views`,
      );
    }
    keep('frames_per_clip', asked.frames_per_clip, frames, source.log);
    const rule = { ...x3dViews, framesPerClip: frames };
    return {
      model: x3dName(config) ?? 'custom',
      checkpoint,
      config: sortedJson(config),
      classes,
      protocol: { inputSize: imageSize, ...rule, crops: cropsPerClip },
      views: x3dViews.clips * cropsPerClip,
      batch: 2,
      overlaps: true,
      choose(info, onNotice) {
        const least = clipLength(info.fps, rule);
        if (info.frames < least) {
          onNotice(
            `shorter than a clip of ${Number(least.toFixed(1))} frames, so its last frame is repeated; got ${info.frames}`,
          );
        }
        return chooseViews(info.frames, info.fps, rule);
      },
      load: (device, options) => X3dViewModel.load(device, config, checkpoint, options),
      answers: (clips) => [averageOf(clips, classes)],
    };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

function averageOf(clips: readonly ComputedClip[], classes: number): ComputedClip {
  const logits = Float32Array.from(clips.flatMap((clip) => [...clip.logits]));
  return { frames: clips.flatMap(({ frames }) => frames), logits: averageViews(logits, classes) };
}

/** infer.py sets frames and rate by the model's name, over what was asked for; here that is said. */
function chooseSampling(config: StamConfig, asked: AskedFrames, log: (line: string) => void): Sampling {
  const own = samplingOf(config);
  const isFixed = config.frames === 32 || config.frames === 64;
  keep('frames_per_clip', asked.frames_per_clip, own.framesPerClip, log);
  if (isFixed) keep('frame_rate', asked.frame_rate, own.frameRate, log);
  return {
    framesPerClip: own.framesPerClip,
    frameRate: isFixed ? own.frameRate : (asked.frame_rate ?? own.frameRate),
    stepBetweenClips: asked.step_between_clips ?? own.stepBetweenClips,
  };
}

function keep(option: string, given: number | undefined, kept: number, log: (line: string) => void): void {
  if (given !== undefined && given !== kept) log(`--${option} ${given} has no effect: the model takes ${kept}`);
}

/** Throws bad-input for an option that asks for other frames than the model takes. */
function expectOfModel(option: string, given: number | undefined, own: number): void {
  if (given === undefined || given === own) return;
  throw new StamError('bad-input', {
    where: `--${option}`,
    problem: 'the model has another',
    got: `${given}`,
    expected: `${own}`,
  });
}
