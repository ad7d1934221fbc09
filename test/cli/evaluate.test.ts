// Many videos through a model that computes nothing: order, batches, failures, and how much is in memory at a time.
import { describe, expect, test } from 'vitest';
import type { DecodedClip, OpenedVideo, Outcome, Span } from '../../cli/evaluate.ts';
import { evaluate, formatTrace } from '../../cli/evaluate.ts';
import { StamError } from '../../engine/errors.ts';
import type { DecodedFrames } from '../../model/preprocess.ts';
import type { StamModel } from '../../model/stam-model.ts';

interface Video {
  readonly name: string;
  /** Frames that tell clips apart; none: too short. */
  readonly clips: readonly number[];
}

const pictures = (value: number): DecodedClip => ({
  width: 1,
  height: 1,
  data: Uint8Array.of(value, value, value),
  places: [100 + value],
});

/** Two classes; the logits of a clip are its first byte and the number of the run. */
function fakeModel(onRun: (values: readonly number[], run: number) => Promise<void> | void = () => undefined) {
  const runs: number[][] = [];
  const run = async (videos: readonly DecodedFrames[]) => {
    const values = videos.map(({ data }) => data[0]);
    const number = runs.push(values) - 1;
    await onRun(values, number);
    return new Map([['logits', Float32Array.from(values.flatMap((value) => [value, number]))]]);
  };
  return { model: { run, config: { classes: 2 } } as unknown as StamModel, runs };
}

async function open({ name, clips }: Video): Promise<OpenedVideo | { tooShort: string }> {
  if (name === 'broken') throw new StamError('bad-video', { where: name, problem: 'broken' });
  if (clips.length === 0) return { tooShort: 'too short' };
  return { clips: clips.map((clip) => [clip]), first: pictures(clips[0]), decode: async ([clip]) => pictures(clip) };
}

async function outcomesOf(
  videos: readonly Video[],
  { model, batch = 2, onSpan }: { model: StamModel; batch?: number; onSpan?: (span: Span) => void },
) {
  const told: [string, Outcome][] = [];
  const { signal } = new AbortController();
  const onOutcome = async ({ name }: Video, outcome: Outcome) => {
    told.push([name, outcome]);
  };
  const times = await evaluate(model, { videos, open, batch, decoders: 2, signal, onOutcome, onSpan });
  return { told, times };
}

const clipsOf = (outcome: Outcome) => ('clips' in outcome ? outcome.clips.map(({ logits }) => [...logits]) : outcome);

test('every video gets the logits of its own clips, in order, and the last batch is filled up', async () => {
  const { model, runs } = fakeModel();
  const videos = [
    { name: 'a', clips: [1] },
    { name: 'short', clips: [] },
    { name: 'b', clips: [2, 3, 4] },
    { name: 'broken', clips: [9] },
    { name: 'c', clips: [5] },
  ];
  const { told } = await outcomesOf(videos, { model });
  expect(runs).toEqual([
    [1, 2],
    [3, 4],
    [5, 5],
  ]);
  const [, last] = told[4];
  expect('clips' in last && last.clips.map(({ frames }) => frames)).toEqual([[105]]); // where the decoder had them
  expect(told.map(([name, outcome]) => [name, clipsOf(outcome)])).toEqual([
    ['a', [[1, 0]]],
    ['short', { tooShort: 'too short' }],
    [
      'b',
      [
        [2, 0],
        [3, 1],
        [4, 1],
      ],
    ],
    ['broken', { error: expect.objectContaining({ code: 'bad-video' }) }],
    ['c', [[5, 2]]],
  ]);
});

test('two batches are in flight at most, and the next is there when one ends', async () => {
  let running = 0;
  let most = 0;
  const { model, runs } = fakeModel(async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 1));
    running--;
  });
  const videos = Array.from({ length: 9 }, (_, i) => ({ name: `${i}`, clips: [i] }));
  const spans: Span[] = [];
  const { times } = await outcomesOf(videos, { model, batch: 1, onSpan: (span) => spans.push(span) });
  expect(runs.length).toBe(9);
  expect(most).toBe(2);
  expect(times.gpuIdleMs).toBeLessThanOrEqual(times.gpuMs);
  expect(spans.filter(({ kind }) => kind === 'gpu').map(({ name }) => name)).toEqual(videos.map(({ name }) => name));
  expect(spans.filter(({ kind }) => kind === 'decode').length).toBe(9);
  const { traceEvents } = JSON.parse(formatTrace(spans, 'a GPU')) as { traceEvents: { ts?: number; dur?: number }[] };
  expect(traceEvents.length).toBe(19);
  expect(traceEvents.slice(1).every(({ ts = -1, dur = -1 }) => ts >= 0 && dur >= 0)).toBe(true);
});

test('what fails for one video and not for the device is that video’s outcome', async () => {
  const { model } = fakeModel((_, run) => {
    if (run === 0) throw new StamError('unsupported', { where: 'logits', problem: 'not finite' });
  });
  const videos = [
    { name: 'a', clips: [1] },
    { name: 'b', clips: [2] },
  ];
  const { told } = await outcomesOf(videos, { model, batch: 1 });
  expect(told.map(([name, outcome]) => [name, clipsOf(outcome)])).toEqual([
    ['a', { error: expect.objectContaining({ code: 'unsupported' }) }],
    ['b', [[2, 1]]],
  ]);
});

describe('a run ends', () => {
  const videos = Array.from({ length: 20 }, (_, i) => ({ name: `${i}`, clips: [i] }));

  test('when the GPU fails, with what was told before', async () => {
    const { model } = fakeModel((_, run) => {
      if (run === 2) throw new StamError('device-lost', { where: 'GPU', problem: 'gone' });
    });
    const told: string[] = [];
    const { signal } = new AbortController();
    const options = { videos, open, batch: 1, decoders: 1, signal };
    const onOutcome = async ({ name }: Video) => void told.push(name);
    await expect(evaluate(model, { ...options, onOutcome })).rejects.toMatchObject({ code: 'device-lost' });
    expect(told).toEqual(['0', '1']);
  });

  test('when a result cannot be kept', async () => {
    const { model, runs } = fakeModel();
    const { signal } = new AbortController();
    const onOutcome = async () => {
      throw new Error('disk full');
    };
    const ended = evaluate(model, { videos, open, batch: 1, decoders: 1, signal, onOutcome });
    await expect(ended).rejects.toThrow('disk full');
    expect(runs.length).toBeLessThan(20);
  });

  test('when it is aborted, and decoding with it', async () => {
    const controller = new AbortController();
    const { model } = fakeModel(() => controller.abort());
    const opened: string[] = [];
    // from the third on, nothing but the abort ends the decoding
    const openSlowly = async (video: Video, signal: AbortSignal) => {
      if (opened.push(video.name) < 3) return await open(video);
      return await new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    const options = { videos, open: openSlowly, batch: 1, decoders: 2, signal: controller.signal };
    await expect(evaluate(model, { ...options, onOutcome: async () => {} })).rejects.toMatchObject({
      name: 'AbortError',
    });
    expect(opened.length).toBeLessThan(20);
  });

  test('when opening fails with what is no StamError', async () => {
    const { model } = fakeModel();
    const { signal } = new AbortController();
    const openWrong = () => Promise.reject(new TypeError('a bug'));
    const options = { videos, open: openWrong, batch: 1, decoders: 1, signal, onOutcome: async () => {} };
    await expect(evaluate(model, options)).rejects.toThrow('a bug');
  });
});
