// From decoded pictures to the model's input, as the official infer.py does it: Resize(int(S / zoom)), CenterCrop(S), ToTensor, byte
// for byte (torchvision on Pillow images), on the GPU. A picture of any size becomes [3, S, S] in 0..1; nothing is normalised.
import { StamError } from '../engine/errors.ts';
import { Graph } from '../engine/graph.ts';
import type { Program, RunInputs } from '../engine/program.ts';
import { quads } from '../engine/shape.ts';
import type { Axis, PixelFormat, Taps } from '../shaders/index.ts';
import { byteLevels, pictureBytes, resample, resampleTaps, tapsInput, tapsWords } from '../shaders/index.ts';
import { RecentlyUsed } from './recently-used.ts';

/** Pictures of one video, all of one size. */
export interface DecodedFrames {
  /** In pixels. */
  readonly width: number;
  readonly height: number;
  /** The pictures one after another, dense: [F, H, W, 3] unless `format` says otherwise. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** RGB by default. Planes (I420, NV12) become R G B as swscale's BT.601 converter does it. */
  readonly format?: PixelFormat | undefined;
  /** Of planes: whether luma is 0..255 rather than 16..235, as video has it by default. */
  readonly fullRange?: boolean | undefined;
}

/** What becomes of a picture. */
export interface CropRecipe {
  /** S: height and width of the result, in pixels. */
  readonly size: number;
  /** S divided by the length to which a picture's shorter side is resized; infer.py's val_zoom_factor. */
  readonly zoom: number;
}

/** infer.py's default. */
export const defaultZoom = 0.875;

/** The size at which infer.py squashes pictures instead of cropping them. */
const squashedSize = 448;

/** Both axes of the resize and where the crop lies in it. Throws bad-input for a zoom with which nothing would be left to crop. */
export function cropAxes(width: number, height: number, { size, zoom }: CropRecipe): { across: Axis; down: Axis } {
  if (size === squashedSize) {
    return { across: { from: width, to: size, first: 0 }, down: { from: height, to: size, first: 0 } };
  }
  const short = Math.trunc(size / zoom);
  if (!(short >= 1 && short <= maxResized)) {
    throw new StamError('bad-input', {
      where: 'zoom factor',
      problem: 'the picture would be resized to nothing or to too much',
      got: `${zoom}, that is ${short} pixels`,
      expected: `1 to ${maxResized} pixels`,
    });
  }
  // the longer side is cut, not rounded: int(size * long / short) in double precision
  const [toWidth, toHeight] =
    width <= height ? [short, Math.trunc((short * height) / width)] : [Math.trunc((short * width) / height), short];
  return {
    across: { from: width, to: toWidth, first: centred(toWidth, size) },
    down: { from: height, to: toHeight, first: centred(toHeight, size) },
  };
}

const maxResized = 65536;

/** Where a crop of `size` begins: Python's round(), a half going to the even side; negative where CenterCrop pads with black. */
function centred(length: number, size: number): number {
  if (length < size) return -Math.trunc((size - length) / 2);
  const half = (length - size) / 2;
  const floor = Math.floor(half);
  return half - floor === 0.5 ? floor + (floor % 2) : Math.round(half);
}

/**
 * Bytes of pictures that go to the GPU at a time: each size that is kept ready has three buffers of as many, and while the GPU reads one
 * the host fills the next.
 */
const passBytes = 8 * 2 ** 20;

interface Pictures extends Required<Omit<DecodedFrames, 'data'>> {
  readonly format: PixelFormat;
  readonly fullRange: boolean;
  readonly frames: number;
}

interface Ready {
  readonly program: Program;
  readonly inputs: RunInputs;
}

/** Programs for the sizes of pictures met last; a folder of videos has few sizes, or many of which each is met once. */
const maxKept = 4;

/** A program of a graph without weights, on a device, of kernels that are right there. It is the caller's. */
export type MakeProgram = (graph: Graph, signal?: AbortSignal) => Promise<Program>;

/** Makes [F, 3, S, S] of decoded pictures on a device. */
export class Preprocessor {
  readonly #makeProgram: MakeProgram;
  readonly #recipe: CropRecipe;
  readonly #ready = new RecentlyUsed<Ready>({ used: maxKept, held: 0 }, ({ program }) => program.dispose());

  constructor(makeProgram: MakeProgram, recipe: CropRecipe) {
    this.#makeProgram = makeProgram;
    this.#recipe = recipe;
  }

  /**
   * Submits the work for one video; the buffer, [F, 3, S, S] in float32 and rowLayout, holds the result once the GPU has done that, and
   * until the next call for pictures of this size. `copyTo` is told where the result is to lie as well. Throws bad-input for pictures that
   * are empty or have other bytes than their format takes.
   */
  async submit(
    video: DecodedFrames,
    frames: number,
    { copyTo, signal }: { copyTo?: { buffer: GPUBuffer; offset: number }; signal?: AbortSignal | undefined } = {},
  ): Promise<GPUBuffer> {
    const pictures = checkPictures(video, frames);
    return await this.#ready.use(
      JSON.stringify(pictures),
      (end) => prepare((graph) => this.#makeProgram(graph, end), this.#recipe, pictures),
      async ({ program, inputs }) => {
        const pixels = rowLayoutBytes(video.data, frames);
        const output = program.output('frames');
        const afterwards = (encoder: GPUCommandEncoder) => {
          if (copyTo) encoder.copyBufferToBuffer(output, 0, copyTo.buffer, copyTo.offset, output.size);
        };
        const { accepted } = await program.execute({ ...inputs, pixels }, { signal, afterwards });
        await accepted; // whoever reads the buffer would not learn that nothing was written to it
        return output;
      },
      signal,
    );
  }

  dispose(): void {
    this.#ready.dispose();
  }
}

async function prepare(makeProgram: MakeProgram, recipe: CropRecipe, pictures: Pictures): Promise<Ready> {
  const axes = cropAxes(pictures.width, pictures.height, recipe);
  const across = resampleTaps(axes.across, 4 * quads(recipe.size));
  const down = resampleTaps(axes.down, recipe.size);
  const graph = preprocessGraph(pictures, { size: recipe.size, across, down });
  const program = await makeProgram(graph);
  return { program, inputs: { across: tapsWords(across), down: tapsWords(down), levels: byteLevels() } };
}

/** `pixels` [F, words of a picture] -> `frames` [F, 3, S, S]. */
function preprocessGraph(
  { width, height, format, fullRange, frames }: Pictures,
  { size, across, down }: { size: number; across: Taps; down: Taps },
): Graph {
  const graph = new Graph();
  const words = Math.ceil(pictureBytes(format, width, height) / 4);
  const value = graph.activation('frames', [frames, 3, size, size], 'f32');
  const tables = { across: tapsInput(graph, 'across', across), down: tapsInput(graph, 'down', down) };
  const levels = graph.input('levels', [256], 'f32');
  const perPass = Math.max(1, Math.floor(passBytes / (4 * words)));
  for (let start = 0; start < frames; start += perPass) {
    const part = { start, of: frames };
    const pixels = graph.input('pixels', [Math.min(perPass, frames - start), words], 'u32', part);
    resample(graph, pixels, {
      name: 'preprocess',
      format,
      fullRange,
      width,
      height,
      across: { taps: across, table: tables.across },
      down: { taps: down, table: tables.down },
      levels,
      into: { value, part },
    });
  }
  graph.keep('frames', value);
  return graph;
}

function checkPictures(
  { width, height, data, format = 'RGB', fullRange = false }: DecodedFrames,
  frames: number,
): Pictures {
  const isSize = (value: number) => Number.isSafeInteger(value) && value > 0;
  const expected = frames * pictureBytes(format, width, height);
  if (isSize(width) && isSize(height) && data.byteLength === expected) {
    return { width, height, format, fullRange, frames };
  }
  throw new StamError('bad-input', {
    where: 'decoded frames',
    problem: 'the bytes are not those of the pictures',
    got: `${data.byteLength} bytes`,
    expected: `${expected} (${frames} pictures of ${width}x${height} in ${format})`,
  });
}

/** The words of the pictures, each picture beginning at a multiple of four words. No copy where they lie so already. */
function rowLayoutBytes(data: Uint8Array<ArrayBuffer>, frames: number): Uint32Array<ArrayBuffer> {
  const bytes = data.byteLength / frames;
  const pitch = 16 * Math.ceil(bytes / 16);
  if (pitch === bytes && data.byteOffset % 4 === 0) {
    return new Uint32Array(data.buffer, data.byteOffset, data.byteLength / 4);
  }
  const copy = new Uint8Array(frames * pitch);
  for (let i = 0; i < frames; i++) copy.set(data.subarray(i * bytes, (i + 1) * bytes), i * pitch);
  return new Uint32Array(copy.buffer);
}
