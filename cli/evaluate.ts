// Many videos through a model: frames are decoded ahead of the GPU, put into batches, and their logits come back in the videos' order.
import { StamError, throwIfAborted } from '../engine/errors.ts';
import type { Outputs } from '../engine/read-back.ts';
import { prefetch } from '../loaders/video/prefetch.ts';
import type { DecodedFrames } from '../model/preprocess.ts';

/** The frames of a clip, and which of the decoder's they are. */
export interface DecodedClip extends DecodedFrames {
  readonly places: readonly number[];
}

/** A video of which the first clip is decoded. */
export interface OpenedVideo {
  /** The frames of each clip, by number in the video. */
  readonly clips: readonly (readonly number[])[];
  readonly first: DecodedClip;
  /** What the decoder complained of although it gave the frames. */
  readonly complaint?: string | undefined;
  /** Decodes another of the clips. */
  decode(clip: readonly number[]): Promise<DecodedClip>;
}

/** A network that takes decoded clips. */
export interface ClipModel {
  /** The `logits` of each clip, one clip after another. */
  run(clips: readonly DecodedFrames[], options: { readonly signal: AbortSignal }): Promise<Outputs>;
}

export interface ComputedClip {
  /** Which of the frames that the decoder puts out were taken. */
  readonly frames: readonly number[];
  /** Of each view of the clip, [views, classes]. */
  readonly logits: Float32Array;
}

/** What became of a video: the logits of each clip, or the reason why there are none. */
export type Outcome =
  | { readonly clips: readonly ComputedClip[]; readonly complaint?: string | undefined }
  | { readonly tooShort: string }
  | { readonly error: StamError };

/** A stretch of time in which something was done, in milliseconds of performance.now(). */
export interface Span {
  readonly kind: 'decode' | 'gpu';
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

export interface EvaluateOptions<V> {
  readonly videos: readonly V[];
  /**
   * Opens a video and decodes its first clip, or says why there is none. A StamError that it throws becomes the video's outcome;
   * anything else ends the run.
   */
  readonly open: (video: V, signal: AbortSignal) => Promise<OpenedVideo | { readonly tooShort: string }>;
  /** Clips of one run of the model. The last is filled up with copies, so that every clip is computed by the same kernels. */
  readonly batch: number;
  /** Videos decoded at a time. */
  readonly decoders: number;
  readonly signal: AbortSignal;
  /** Told of each video in order; awaited. */
  readonly onOutcome: (video: V, outcome: Outcome) => Promise<void>;
  readonly onSpan?: ((span: Span) => void) | undefined;
}

/** Times of an evaluation, in milliseconds. */
export interface EvaluateTimes {
  /** While the GPU had nothing to do between the first batch and the last, because no frames were decoded yet. */
  readonly gpuIdleMs: number;
  /** From the first batch's submission to the last result. */
  readonly gpuMs: number;
}

/** Batches submitted at a time: the GPU finds the next one when it has finished one. */
const maxInFlight = 2;

interface Clip {
  readonly name: string;
  readonly pictures: DecodedFrames;
  readonly resolve: (logits: Promise<Float32Array>) => void;
}

/** Runs `model` on all videos. Rejects when the run cannot go on; outcomes told of by then stand. */
export async function evaluate<V extends { readonly name: string }>(
  model: ClipModel,
  options: EvaluateOptions<V>,
): Promise<EvaluateTimes> {
  const { videos, open, decoders, signal, onOutcome, onSpan } = options;
  const batches = new Batches(model, options);
  // the order of outcomes is that of the videos, whatever finishes first; a failure in it ends the run at the next video
  let told: Promise<void> = Promise.resolve();
  let failure: { readonly error: unknown } | undefined;
  const tell = (video: V, outcome: Promise<Outcome> | Outcome) => {
    told = told.then(async () => onOutcome(video, await orError(outcome)));
    told.catch((error) => {
      failure ??= { error };
    });
  };
  const openTimed = async (video: V, abort: AbortSignal) => {
    const start = performance.now();
    const opened = await open(video, abort);
    onSpan?.({ kind: 'decode', name: video.name, start, end: performance.now() });
    return opened;
  };
  // as many videos wait decoded as fill one batch while the decoders are at work on the next
  const ahead = decoders + options.batch;
  let index = 0;
  for await (const settled of prefetch(videos, openTimed, { concurrency: decoders, ahead, signal })) {
    const video = videos[index++];
    throwIfAborted(signal);
    if (failure) throw failure.error;
    try {
      if (settled.status === 'rejected') throw settled.reason;
      if ('tooShort' in settled.value) tell(video, settled.value);
      else tell(video, (await batches.add(video.name, settled.value)).outcome);
    } catch (error) {
      if (!isOfVideo(error) || signal.aborted) throw error;
      tell(video, { error });
    }
  }
  batches.flush();
  await told;
  return batches.times();
}

/** A StamError about one video is its outcome; one of the device concerns all. */
async function orError(outcome: Promise<Outcome> | Outcome): Promise<Outcome> {
  try {
    return await outcome;
  } catch (error) {
    if (isOfVideo(error)) return { error };
    throw error;
  }
}

function isOfVideo(error: unknown): error is StamError {
  return (
    error instanceof StamError && !['device-lost', 'out-of-memory', 'shader', 'limit', 'disposed'].includes(error.code)
  );
}

/** Collects clips, and runs them when there are enough. */
class Batches {
  readonly #model: ClipModel;
  readonly #options: Pick<EvaluateOptions<unknown>, 'batch' | 'signal' | 'onSpan'>;
  readonly #inFlight: Promise<unknown>[] = [];
  #waiting: Clip[] = [];
  #firstSubmission: number | undefined;
  #idleSince: number | undefined;
  #idleMs = 0;

  constructor(model: ClipModel, options: Pick<EvaluateOptions<unknown>, 'batch' | 'signal' | 'onSpan'>) {
    this.#model = model;
    this.#options = options;
  }

  /**
   * Queues all clips of a video, waiting as long as enough batches are in flight. The outcome inside settles when they have been
   * computed. Rejects when a later clip of the video cannot be decoded.
   */
  async add(
    name: string,
    { clips, first, decode, complaint }: OpenedVideo,
  ): Promise<{ readonly outcome: Promise<Outcome> }> {
    const results: Promise<ComputedClip>[] = [];
    for (const [i, frames] of clips.entries()) {
      const pictures = i === 0 ? first : await decode(frames);
      results.push(this.#queue(name, pictures).then((logits) => ({ frames: pictures.places, logits })));
      if (this.#waiting.length < this.#options.batch) continue;
      if (this.#inFlight.length >= maxInFlight) await this.#inFlight[0];
      this.flush();
    }
    const outcome = Promise.all(results).then((computed) => ({ clips: computed, complaint }));
    outcome.catch(() => undefined); // whoever waits for the outcomes in order comes to it later
    return { outcome };
  }

  /** Submits what waits, even if it is no whole batch. */
  flush(): void {
    const clips = this.#waiting;
    this.#waiting = [];
    if (clips.length === 0) return;
    const { batch, signal, onSpan } = this.#options;
    const start = performance.now();
    this.#firstSubmission ??= start;
    if (this.#idleSince !== undefined) this.#idleMs += start - this.#idleSince;
    this.#idleSince = undefined;
    const pictures = Array.from({ length: batch }, (_, i) => (clips[i] ?? clips[0]).pictures);
    const logits = this.#model.run(pictures, { signal }).then((outputs) => outputs.get('logits') ?? new Float32Array());
    for (const [i, { resolve }] of clips.entries()) {
      resolve(logits.then((all) => all.slice((i * all.length) / batch, ((i + 1) * all.length) / batch)));
    }
    const over = logits.then(
      () => undefined,
      () => undefined,
    );
    this.#inFlight.push(over);
    void over.then(() => {
      this.#inFlight.shift();
      const end = performance.now();
      if (this.#inFlight.length === 0) this.#idleSince = end;
      onSpan?.({ kind: 'gpu', name: clips.map(({ name }) => name).join(', '), start, end });
    });
  }

  times(): EvaluateTimes {
    const end = this.#idleSince ?? performance.now();
    return { gpuIdleMs: this.#idleMs, gpuMs: end - (this.#firstSubmission ?? end) };
  }

  #queue(name: string, pictures: DecodedFrames): Promise<Float32Array> {
    const logits = new Promise<Float32Array>((resolve) => {
      this.#waiting.push({ name, pictures, resolve });
    });
    logits.catch(() => undefined); // nobody waits for it once a later clip of its video has failed
    return logits;
  }
}

/** The spans as a Chrome trace (JSON text): a row for the GPU, and as many for decoding as ran at a time. */
export function formatTrace(spans: readonly Span[], adapter: string): string {
  const origin = spans.reduce((least, { start }) => Math.min(least, start), Number.POSITIVE_INFINITY);
  const rows: Record<Span['kind'], number[]> = { gpu: [], decode: [] };
  const events = spans
    .toSorted((a, b) => a.start - b.start)
    .map(({ kind, name, start, end }) => {
      const free = rows[kind].findIndex((until) => until <= start);
      const row = free < 0 ? rows[kind].length : free;
      rows[kind][row] = end;
      const tid = kind === 'gpu' ? row + 1 : 10 + row;
      return { name, cat: kind, ph: 'X', ts: (start - origin) * 1000, dur: (end - start) * 1000, pid: 1, tid };
    });
  const names = [{ name: 'process_name', ph: 'M', pid: 1, args: { name: adapter } }];
  return JSON.stringify({ traceEvents: [...names, ...events], displayTimeUnit: 'ms' });
}
