// What an app brings as frames, on its way to the model's input.
import type { Device } from '../engine/device.ts';
import { StamError } from '../engine/errors.ts';
import { rowLayout } from '../engine/layout.ts';
import { expectOneOf } from '../engine/options.ts';
import type { StamConfig } from './config.ts';
import type { PictureReader, PictureSource } from './pictures.ts';
import { notPrepared } from './pictures.ts';
import type { DecodedFrames } from './preprocess.ts';
import { RecentlyUsed } from './recently-used.ts';
import type { ModelInput } from './stam-model.ts';
import type { StreamFrame } from './stream.ts';
import { isDecoded } from './stream.ts';

/** A file of its own in the library for browsers: not every app decodes video. */
const videoReader = () => import('./video-frames.ts');

const colorModes = ['exact', 'fast'] as const;
type ColorMode = (typeof colorModes)[number];

/** Turns pictures into buffers of frames, [V F, 3, S, S]. */
export class PictureInputs {
  readonly #device: Device;
  readonly #config: StamConfig;
  readonly #reader: PictureReader;
  /** For encode(), by the number of videos. */
  readonly #buffers: RecentlyUsed<GPUBuffer>;

  constructor(device: Device, config: StamConfig, reader: PictureReader) {
    this.#device = device;
    this.#config = config;
    this.#reader = reader;
    const counts = { used: 0, held: Number.POSITIVE_INFINITY };
    this.#buffers = new RecentlyUsed<GPUBuffer>(counts, (buffer) => device.memory.destroy(buffer));
  }

  /** What the model runs on, and what to do when it has. Pictures have been read by then. */
  async of(
    frames: ModelInput | readonly PictureSource[],
    colors: ColorMode = 'exact',
    signal?: AbortSignal,
  ): Promise<{ input: ModelInput; release: () => void }> {
    expectOneOf('colors', colors, colorModes);
    if (!isPictures(frames)) return { input: frames, release: () => undefined };
    const videos = this.videosIn(frames);
    if (colors === 'exact' && frames.every(isVideoFrame)) {
      const perVideo = this.#config.frames;
      const { copyVideoFrames } = await videoReader();
      const input: DecodedFrames[] = [];
      for (let first = 0; first < frames.length; first += perVideo) {
        input.push(await copyVideoFrames(frames.slice(first, first + perVideo)));
      }
      return { input, release: () => undefined };
    }
    const buffer = await this.#make(videos);
    const release = () => this.#device.memory.destroy(buffer);
    try {
      await this.#reader.read(frames, buffer, signal);
      return { input: buffer, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Makes ready what encode() needs for such pictures. */
  async prepare(pictures: readonly PictureSource[]): Promise<void> {
    const videos = this.videosIn(pictures);
    await this.#reader.prepare(pictures);
    await this.#buffers.hold(`${videos}`, () => this.#make(videos));
  }

  /** Records the reading of pictures; the buffer holds the frames when that has run. */
  encode(encoder: GPUCommandEncoder, pictures: readonly PictureSource[]): GPUBuffer {
    const videos = this.videosIn(pictures);
    const buffer = this.#buffers.held(`${videos}`) ?? notPrepared(`pictures of ${videos} videos`);
    this.#reader.encode(encoder, pictures, buffer);
    return buffer;
  }

  /** Throws bad-input when the pictures are those of no whole number of videos. */
  videosIn({ length }: readonly PictureSource[]): number {
    const { frames } = this.#config;
    if (length > 0 && length % frames === 0) return length / frames;
    throw new StamError('bad-input', {
      where: 'frames',
      problem: 'not a whole number of videos',
      got: `${length} pictures`,
      expected: `a multiple of ${frames}`,
    });
  }

  dispose(reason?: StamError): void {
    this.#buffers.dispose(reason);
  }

  async #make(videos: number): Promise<GPUBuffer> {
    const { frames, imageSize } = this.#config;
    const size = 4 * rowLayout.elements([videos * frames, 3, imageSize, imageSize]);
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const { memory } = this.#device;
    return await this.#device.checked('frames', () => memory.create('pictures', 'activations', size, usage));
  }
}

/** The frame of a stream as the mode wants it: 'exact' copies the bytes of a frame of video. */
export async function exactPicture(frame: StreamFrame, colors: ColorMode = 'exact'): Promise<StreamFrame> {
  expectOneOf('colors', colors, colorModes);
  if (!isObject(frame)) refuse('frame', frame, 'a Float32Array or a picture');
  if (frame instanceof Float32Array || isDecoded(frame) || colors === 'fast' || !isVideoFrame(frame)) return frame;
  const { copyVideoFrames } = await videoReader();
  return await copyVideoFrames([frame]);
}

/** Throws bad-input for what can be no frames at all: whether they are as many as they should be is seen later. */
export function expectFrames(frames: unknown): void {
  if (frames instanceof Float32Array || isRecordable(frames)) return;
  if (Array.isArray(frames) && frames.every((one) => isObject(one) && isDecoded(one as DecodedFrames))) return;
  refuse('frames', frames, 'a Float32Array, a GPUBuffer, an array of decoded videos, or one of pictures');
}

/** Throws bad-input for what encode() cannot read: it copies no bytes of the host's. */
export function expectRecordable(frames: unknown): void {
  if (!isRecordable(frames)) refuse('frames', frames, 'a GPUBuffer or an array of pictures');
}

function isRecordable(frames: unknown): boolean {
  if (!Array.isArray(frames)) return isObject(frames) && 'mapState' in frames;
  return frames.every((one) => isObject(one) && !isDecoded(one as PictureSource));
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function refuse(where: string, value: unknown, expected: string): never {
  const got = Object.prototype.toString.call(value).slice(8, -1);
  throw new StamError('bad-input', { where, problem: 'nothing that a model takes', got, expected });
}

/** Whether these are pictures, and not bytes or floats. No picture at all counts as such, and is refused as one. */
export function isPictures(frames: ModelInput | readonly PictureSource[]): frames is readonly PictureSource[] {
  if (!Array.isArray(frames)) return false;
  const [first] = frames as readonly (DecodedFrames | PictureSource)[];
  return first === undefined || !isDecoded(first);
}

function isVideoFrame(picture: PictureSource): picture is VideoFrame {
  return 'displayWidth' in picture;
}
