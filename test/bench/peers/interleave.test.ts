// The comparison with programs that compute nothing: no GPU, no network, no peer.
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import type { Contest } from '../../../bench/peers/interleave.ts';
import { interleave } from '../../../bench/peers/interleave.ts';
import { Program } from '../../../bench/peers/program.ts';
import type { PeerReport } from '../../../bench/peers/report.ts';
import { peerTable, ratioOf } from '../../../bench/peers/report.ts';

const file = fileURLToPath(new URL('fake-program.mjs', import.meta.url));
const started: Program[] = [];
afterEach(() => {
  for (const program of started.splice(0)) program.end();
});

function start(name: string, env: Record<string, string>, signal = new AbortController().signal): Program {
  const program = new Program({ file, name, env: { ...process.env, ...env }, signal });
  started.push(program);
  return program;
}

function contest(changes: Partial<Contest> = {}): Contest & { lines: string[] } {
  const lines: string[] = [];
  return {
    model: 'stam_16',
    reference: Float32Array.of(1, 2, 3),
    videos: 2,
    warmUpVideos: 1,
    driver: { manifest: 'fake.json', library: 'libvulkan_fake' },
    log: (line) => lines.push(line),
    lines,
    ...changes,
  };
}

async function compare(rules: Contest, env: Record<string, string> = {}, limitMs = 60_000) {
  const programs = ['ours', 'theirs'].map((name) => ({
    program: start(name, env),
    load: { model: 'stam_16', dtype: 'f32' as const },
    limitMs,
  }));
  return interleave(rules, programs);
}

test('the programs take turns, and only what follows the warm-up is timed', async () => {
  const rules = contest();
  const [ours, theirs] = await compare(rules);
  const turns = rules.lines.flatMap(
    (line) => /^(ours|theirs): (?:video (\d) of 2|a video that is not timed)$/.exec(line)?.[0] ?? [],
  );
  expect(turns).toEqual([
    'ours: a video that is not timed',
    'theirs: a video that is not timed',
    'ours: video 1 of 2',
    'theirs: video 1 of 2',
    'ours: video 2 of 2',
    'theirs: video 2 of 2',
  ]);
  expect(ours.msPerVideo).toEqual({ median: 10, min: 10, max: 10, runs: 2 });
  expect(ours.cpuMsPerVideo).toBe(18);
  expect(theirs).toMatchObject({
    version: '1.2.3 stam_16',
    videosPerSecond: 1000 / 30,
    maxAbsError: 0,
    driver: 'libvulkan_fake.so',
  });
  expect(ratioOf(ours, theirs)).toEqual({ value: 3, isLowerBound: false });
});

test('a program beyond the limit is ended, and its time is a lower bound', async () => {
  const [ours, theirs] = await compare(contest(), { FAKE: 'slow' }, 1500);
  expect(ours.msPerVideo?.runs).toBe(2);
  await expect(started[1].ask('run', {}, 5000)).rejects.toThrow(/ended with SIGKILL|EPIPE/);
  expect(theirs).toMatchObject({ msPerVideo: null, videosPerSecond: null, stoppedAfterMs: 1500, warmUpMs: null });
  expect(ratioOf(ours, theirs)).toEqual({ value: 150, isLowerBound: true });
  expect(() => ratioOf(theirs, ours)).toThrow(/no time/);
  const report: PeerReport = {
    version: '0',
    date: '',
    adapter: { vendor: 'v', architecture: '', device: '', description: 'd', software: false },
    pinning: 'pinned',
    model: 'stam_16',
    warmUpVideos: 1,
    programs: [ours, theirs],
    ratio: ratioOf(ours, theirs),
  };
  expect(peerTable(report)).toMatch(/did not finish in 1,500/);
  expect(peerTable(report)).toMatch(/theirs takes at least 150 times as long as ours$/);
});

describe('no time is reported', () => {
  test.each([
    ['wrong', /theirs|ours: stam_16: the logits are not those of the official code/],
    ['crash', /ours: warmUp: the program failed; got the process ended with exit 7: the driver is gone/],
    ['refusal', /ours: warmUp: the program failed; got no memory left/],
  ])('when a program is %s', async (FAKE, message) => {
    await expect(compare(contest(), { FAKE })).rejects.toThrow(message);
  });

  test('when a program runs on another driver', async () => {
    const run = compare(contest(), { FAKE_LIBRARY: 'libvulkan_other.so' });
    await expect(run).rejects.toThrow(
      /ours: it did not load the driver.*got libvulkan_other\.so, expected libvulkan_fake/,
    );
  });
});

test('an abort ends the programs', async () => {
  const controller = new AbortController();
  const program = start('theirs', { FAKE: 'slow' }, controller.signal);
  await program.ask('load', { model: 'stam_16', dtype: 'f32' });
  const asked = program.ask('run', {});
  controller.abort(new DOMException('interrupted', 'AbortError'));
  await expect(asked).rejects.toThrow(/interrupted/);
  await expect(program.ask('run', {})).rejects.toThrow(/interrupted/);
});
