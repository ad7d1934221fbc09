// Frames of some two hundred videos, byte for byte those that the official pipeline takes, whose answers official-videos.py wrote down.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { ClipRule } from '../../../loaders/video/frame-choice.ts';
import { chooseClips } from '../../../loaders/video/frame-choice.ts';
import type { VideoInfo } from '../../../loaders/video/node-video.ts';
import { decodeFrames, probeVideo } from '../../../loaders/video/node-video.ts';
import type { VideoTools } from '../../../loaders/video/node-video-tools.ts';
import { sampleOf } from '../../sample.ts';
import { makeOfficialVideo, recipes, shortHash } from './official-videos.ts';
import { everyTools, packaged, temporaryFolder } from './video-files.ts';

const folder = temporaryFolder();
const tools = await everyTools();
if (tools.length === 1)
  process.stderr.write("transport streams are not compared: the npm package's ffprobe crashes on them\n");

interface Official {
  /** Of the file, so that another file than the official code has seen is not compared. */
  readonly file: string;
  /** Of the first clip of 4, 8, 16, 32 and 64 frames in ten seconds: the hash of its bytes, `dropped` or `fails`. */
  readonly first: readonly string[];
  /** Of six clips of 4 frames, three frames apart, at 1.6 frames a second. */
  readonly six: readonly string[];
}

const table = new Map<string, Official>(
  readFileSync(new URL('official-videos.txt', import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const [name, file, ...answers] = line.split(' ');
      return [name, { file, first: answers.slice(0, 5), six: answers[5].split(',') }];
    }),
);

test('the table has a row for every video', () => {
  expect([...table.keys()].sort()).toEqual([...recipes.keys()].sort());
});

/** The static ffprobe of the npm package crashes on every transport stream, in a library that it cannot load. */
const crashes = (name: string, { ffprobe }: VideoTools) => name.endsWith('.ts') && ffprobe.origin === 'package';

/** The decoder of VP8 in ffmpeg of 2018 conceals other damage, and in another way. */
const differs = (name: string, { ffmpeg }: VideoTools) =>
  /^[49]0-bits-rate-25\.webm$/.test(name) && ffmpeg.origin === 'package';

/** After a seek a decoder conceals damage in another way than after all frames before, so only first clips are compared. */
const isDamaged = (name: string) => name.includes('-bits-');

/** The hash of each clip, or what stands for it in the table. */
async function clipsOf(
  programs: VideoTools,
  file: string,
  rules: readonly ClipRule[],
  most: number,
): Promise<string[]> {
  try {
    const video = await probeVideo(programs, file);
    const found: string[] = [];
    for (const rule of rules) {
      const clips = chooseClips(video.frames, video.fps, rule);
      if (clips.length === 0) found.push('dropped');
      for (const frames of clips.slice(0, most)) found.push(await clipOf(programs, file, video, frames));
    }
    return found;
  } catch (error) {
    return rules.map(() => refusal(error));
  }
}

async function clipOf(programs: VideoTools, file: string, video: VideoInfo, frames: readonly number[]) {
  try {
    return shortHash((await decodeFrames(programs, file, video, frames)).data);
  } catch (error) {
    return refusal(error);
  }
}

/** A refusal has to name what the official code does. */
function refusal(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (/official code drops such a video or fails on it/.test(message)) return 'dropped or fails';
  if (/official code drops/.test(message)) return 'dropped';
  return /official code fails|has no frame rate/.test(message) ? 'fails' : message;
}

function expectClips(found: readonly string[], official: readonly string[], what: string): void {
  const matches = (mine: string, its: string) =>
    mine === its || (mine === 'dropped or fails' && ['dropped', 'fails'].includes(its));
  expect(
    found.map((mine, i) => (matches(mine, official[i]) ? official[i] : mine)),
    what,
  ).toEqual(official);
}

const firstClips = [4, 8, 16, 32, 64].map((frames) => ({
  framesPerClip: frames,
  frameRate: frames / 10,
  stepBetweenClips: 1000,
}));
const sixClips = [{ framesPerClip: 4, frameRate: 1.6, stepBetweenClips: 3 }];

describe.each(sampleOf('videos whose frames are compared with the official ones', [...table], 10))(
  '%s',
  (name, row) => {
    const file = makeOfficialVideo(folder, name);

    test('is the file that the official code has seen', () => {
      expect(shortHash(readFileSync(file))).toBe(row.file);
    });

    for (const [tool, programs] of tools) {
      if (crashes(name, programs) || differs(name, programs)) continue;
      // the system's ffmpeg takes three times as long to start, and has to show only that it is no other than the package's
      const isFull = programs === packaged || name.endsWith('.ts');
      test(`its first clips: ${tool}`, async () => {
        const [rules, official] = isFull ? [firstClips, row.first] : [[firstClips[2]], [row.first[2]]];
        expectClips(
          await clipsOf(programs, file, rules, 1),
          official,
          `of ${rules.map((rule) => rule.framesPerClip)} frames`,
        );
      });
      if (isDamaged(name) || !isFull) continue;
      test(`clips that are sought: ${tool}`, async () => {
        expectClips(await clipsOf(programs, file, sixClips, 6), row.six, 'three frames apart');
      });
    }
  },
);
