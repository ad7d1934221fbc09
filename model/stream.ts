// A video without an end: the features of its last F frames are kept, so that a new frame costs one pass of the spatial transformer and a
// prediction one of the temporal. STAM's frames do not look at each other before that.
import { unlessAborted } from '../engine/abort.ts';
import type { Device } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { storageBytes } from '../engine/dtype.ts';
import { StamError } from '../engine/errors.ts';
import { rowLayout } from '../engine/layout.ts';
import type { Program, RunInput } from '../engine/program.ts';
import { Turns } from '../engine/turns.ts';
import type { StamConfig } from './config.ts';
import { expectFinite } from './network.ts';
import type { PictureReader, PictureSource } from './pictures.ts';
import type { DecodedFrames, Preprocessor } from './preprocess.ts';

/** One frame: [3, S, S] in 0..1, one decoded picture, or a picture of the browser's or in a texture. */
export type StreamFrame = Float32Array<ArrayBuffer> | DecodedFrames | PictureSource;

export interface StreamParts {
  readonly device: Device;
  readonly config: StamConfig;
  readonly storage: StorageType;
  /** `frames` [1, 3, S, S] -> `frame_features` [1, C]. */
  readonly spatial: Program;
  /** `features` [F, C] -> `logits` [1, classes]. */
  readonly temporal: Program;
  /** For this stream alone, since its results wait in one buffer. */
  readonly preprocessor: Preprocessor;
  readonly reader: PictureReader;
}

/** The last F frames of a stream on a device. Calls are carried out in their order. */
export class FrameStream {
  readonly #parts: StreamParts;
  /** Where pictures are read into. */
  readonly #frame: GPUBuffer;
  /** [F, C]; the oldest row is the next to be overwritten. */
  readonly #ring: GPUBuffer;
  /** [F, C] in the order of time. */
  readonly #ordered: GPUBuffer;
  readonly #rowBytes: number;
  #pushed = 0;
  readonly #turns = new Turns();
  readonly #disposal = new AbortController();

  private constructor(parts: StreamParts) {
    const { device, config, storage } = parts;
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const { frames, imageSize, channels } = config;
    this.#rowBytes = storageBytes[storage] * rowLayout.elements([1, channels]);
    const rows = frames * this.#rowBytes;
    const make = (name: string, size: number) => device.memory.create(`stream: ${name}`, 'activations', size, usage);
    this.#parts = parts;
    this.#frame = make('frame', 4 * rowLayout.elements([1, 3, imageSize, imageSize]));
    this.#ring = make('features', rows);
    this.#ordered = make('features in order', rows);
  }

  /** Takes memory for the features; owns the parts but for the device. Throws out-of-memory. */
  static async create(parts: StreamParts): Promise<FrameStream> {
    return await parts.device.checked('stream', () => new FrameStream(parts));
  }

  /** Frames whose features are there: at most F. */
  get length(): number {
    return Math.min(this.#pushed, this.#parts.config.frames);
  }

  /** Adds a frame. Settles when its work is submitted: a picture may then change or be closed. Throws bad-input for one that does not fit. */
  push(frame: Promise<StreamFrame>, signal?: AbortSignal): Promise<void> {
    frame.catch(() => undefined); // awaited when its turn has come
    return this.#inOrder(async () => {
      const { device, config, spatial } = this.#parts;
      const frames = await this.#unlessOver(this.#pixels(await this.#unlessOver(frame, signal), signal), signal);
      const row = this.#rowBytes;
      const slot = this.#pushed % config.frames;
      const afterwards = (encoder: GPUCommandEncoder) =>
        encoder.copyBufferToBuffer(spatial.output('frame_features'), 0, this.#ring, slot * row, row);
      // from here on the frame belongs to the stream or it does not: no signal comes in between
      const { accepted } = await spatial.execute({ frames }, { afterwards });
      await device.settle(accepted);
      this.#pushed++;
    }, signal);
  }

  /** The logits of the last F frames, [classes]. Throws bad-input before there are as many, unsupported where they are no finite numbers. */
  logits(signal?: AbortSignal): Promise<Float32Array<ArrayBuffer>> {
    return this.#inOrder(async () => {
      const { device, config, storage, temporal } = this.#parts;
      const { frames } = config;
      if (this.#pushed < frames) {
        throw new StamError('bad-input', {
          where: 'stream',
          problem: 'there are too few frames for a prediction',
          got: `${this.#pushed}`,
          expected: `${frames}`,
        });
      }
      const row = this.#rowBytes;
      const oldest = this.#pushed % frames;
      const { accepted } = device.scoped('frames in order', () => {
        const encoder = device.gpu.createCommandEncoder({ label: 'stam: order' });
        const copy = (from: number, to: number, rows: number) => {
          if (rows > 0) encoder.copyBufferToBuffer(this.#ring, from * row, this.#ordered, to * row, rows * row);
        };
        copy(oldest, 0, frames - oldest);
        copy(0, frames - oldest, oldest);
        device.gpu.queue.submit([encoder.finish()]);
      });
      const running = temporal.run({ features: this.#ordered }, { signal });
      const [outputs] = await this.#unlessOver(Promise.all([running, accepted]), signal);
      expectFinite(outputs, storage);
      return outputs.get('logits') ?? new Float32Array();
    }, signal);
  }

  /** Forgets all frames. */
  reset(): Promise<void> {
    return this.#inOrder(async () => {
      this.#pushed = 0;
    });
  }

  dispose(): void {
    if (this.#disposal.signal.aborted) return;
    this.#disposal.abort(new StamError('disposed', { where: 'stream', problem: 'it was disposed of' }));
    const { device, spatial, temporal, preprocessor, reader } = this.#parts;
    for (const part of [spatial, temporal, preprocessor, reader]) part.dispose();
    for (const buffer of [this.#frame, this.#ring, this.#ordered]) device.memory.destroy(buffer);
  }

  /** [1, 3, S, S]: packed rows of the host's, or a buffer into which the queue has been told to put them. */
  async #pixels(frame: StreamFrame, signal: AbortSignal | undefined): Promise<RunInput> {
    const { config, preprocessor, reader } = this.#parts;
    const { imageSize } = config;
    if (frame instanceof Float32Array) {
      const shape = [3, imageSize, imageSize];
      if (frame.length !== 3 * imageSize * imageSize) {
        throw new StamError('bad-input', {
          where: 'frame',
          problem: 'it has another size than the model takes',
          got: `${frame.length} elements`,
          expected: `${3 * imageSize * imageSize} ([3, ${imageSize}, ${imageSize}])`,
        });
      }
      return rowLayout.pack(frame, shape);
    }
    if (isDecoded(frame)) return await preprocessor.submit(frame, 1, { signal });
    await reader.read([frame], this.#frame, signal);
    return this.#frame;
  }

  /** Work that is aborted before its turn leaves the queue, and is over. */
  #inOrder<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#turns.take(work, signal, this.#disposal.signal);
  }

  #unlessOver<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    return unlessAborted(work, signal, this.#disposal.signal);
  }
}

/** Whether these are bytes: an ImageData has clamped ones, and is a picture of the browser's. */
export function isDecoded(frame: DecodedFrames | PictureSource): frame is DecodedFrames {
  return 'data' in frame && frame.data instanceof Uint8Array;
}
