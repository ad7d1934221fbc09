// Pictures that are in GPU memory, or that a browser can put there, to the model's input: what preprocess.ts does, from textures.
import type { Device } from '../engine/device.ts';
import { StamError } from '../engine/errors.ts';
import { Graph } from '../engine/graph.ts';
import type { Plan } from '../engine/plan.ts';
import type { Program } from '../engine/program.ts';
import { quads } from '../engine/shape.ts';
import type { Taps } from '../shaders/index.ts';
import { byteLevels, resampleTaps, resampleTexture, tapsInput } from '../shaders/index.ts';
import type { CropRecipe, MakeProgram } from './preprocess.ts';
import { cropAxes } from './preprocess.ts';
import { RecentlyUsed } from './recently-used.ts';

/** One picture: a texture of the app's (usage TEXTURE_BINDING, any format of floats), or what a browser can copy into one. */
export type PictureSource =
  | GPUTexture
  | ImageBitmap
  | ImageData
  | HTMLImageElement
  | HTMLVideoElement
  | VideoFrame
  | HTMLCanvasElement
  | OffscreenCanvas;

interface Ready {
  readonly program: Program;
  readonly buffers: Readonly<Record<'across' | 'down' | 'levels', GPUBuffer>>;
  /** What browsers' pictures are copied into: the first for read(), the others one for each picture of an encoder's. */
  readonly scratch: GPUTexture[];
}

/** Sizes of pictures for which everything is kept ready: by what was read last, and by what was prepared last. */
const maxKept = 4;

/** Makes [1, 3, S, S] of pictures on a device. */
export class PictureReader {
  readonly #device: Device;
  readonly #makeProgram: MakeProgram;
  readonly #recipe: CropRecipe;
  readonly #ready = new RecentlyUsed<Ready>({ used: maxKept, held: maxKept }, (ready) => this.#release(ready));

  constructor(device: Device, makeProgram: MakeProgram, recipe: CropRecipe) {
    this.#device = device;
    this.#makeProgram = makeProgram;
    this.#recipe = recipe;
  }

  /**
   * Reads pictures into `into`, [pictures, 3, S, S] in rowLayout, each as it is when its turn has come, and submits that. Throws bad-input
   * for a picture without pixels, and for one that the browser does not give away.
   */
  async read(sources: readonly PictureSource[], into: GPUBuffer, signal?: AbortSignal): Promise<void> {
    const { gpu } = this.#device;
    const scopes: Promise<void>[] = [];
    for (const [i, source] of sources.entries()) {
      const submit = (ready: Ready) => {
        const { accepted } = this.#device.scoped('picture', () => {
          const encoder = gpu.createCommandEncoder({ label: 'stam: picture' });
          this.#record(encoder, source, { ready, into, picture: i, scratch: 0 });
          gpu.queue.submit([encoder.finish()]);
        });
        accepted.catch(() => dropScratch(ready));
        scopes.push(accepted);
      };
      await this.#ready.use(keyOf(source), this.#making(source), submit, signal);
    }
    await Promise.all(scopes);
  }

  /**
   * Makes ready what encode() needs for pictures of these sizes; it stays until as many others have been prepared as are kept. Throws
   * bad-input for more sizes than that.
   */
  async prepare(sources: readonly PictureSource[]): Promise<void> {
    const sizes = new Map(sources.map((source) => [keyOf(source), source]));
    if (sizes.size > maxKept) {
      throw new StamError('bad-input', {
        where: 'pictures',
        problem: 'too many sizes for one encoder',
        got: `${sizes.size}`,
        expected: `at most ${maxKept}`,
      });
    }
    await Promise.all([...sizes].map(([key, source]) => this.#ready.hold(key, this.#making(source))));
  }

  /**
   * Records the reading into the caller's encoder. Pictures that are no textures are copied now; frames of video have to stay open. Throws
   * bad-input for a size that is not prepared.
   */
  encode(encoder: GPUCommandEncoder, sources: readonly PictureSource[], into: GPUBuffer): void {
    const ready = sources.map((source) => this.#ready.held(keyOf(source)) ?? notPrepared(keyOf(source)));
    for (const [i, source] of sources.entries()) {
      this.#record(encoder, source, { ready: ready[i], into, picture: i, scratch: i + 1 });
    }
  }

  dispose(reason?: StamError): void {
    this.#ready.dispose(reason);
  }

  #making(source: PictureSource): (signal: AbortSignal) => Promise<Ready> {
    const [width, height] = sizeOf(source);
    if (!(width > 0 && height > 0)) {
      throw new StamError('bad-input', { where: 'picture', problem: 'it has no pixels', got: `${width}x${height}` });
    }
    return (signal) => this.#make([width, height], isVideo(source), signal);
  }

  async #make([width, height]: readonly [number, number], external: boolean, signal: AbortSignal): Promise<Ready> {
    const { size } = this.#recipe;
    const axes = cropAxes(width, height, this.#recipe);
    const across = resampleTaps(axes.across, 4 * quads(size));
    const down = resampleTaps(axes.down, size);
    const graph = new Graph();
    const output = resampleTexture(graph, graph.texture('image', width, height), {
      name: 'picture',
      across: { taps: across, table: tapsInput(graph, 'across', across) },
      down: { taps: down, table: tapsInput(graph, 'down', down) },
      levels: graph.input('levels', [256], 'f32'),
      size,
      external,
    });
    graph.keep('picture', output);
    const program = await this.#makeProgram(graph, signal);
    try {
      return { program, buffers: await this.#tables(program.plan, { across, down }), scratch: [] };
    } catch (error) {
      program.dispose();
      throw error;
    }
  }

  async #tables(plan: Plan, { across, down }: { across: Taps; down: Taps }): Promise<Ready['buffers']> {
    const { memory, gpu } = this.#device;
    const upload = (name: string, data: Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>) => {
      const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
      const buffer = memory.create(name, 'staging', plan.inputs.get(name)?.size ?? 0, usage);
      gpu.queue.writeBuffer(buffer, 0, data);
      return buffer;
    };
    return await this.#device.checked('tables of a picture', () => ({
      across: upload('across', across.table),
      down: upload('down', down.table),
      levels: upload('levels', byteLevels()),
    }));
  }

  /** Runs to its end without waiting: a frame of video is lent for as long only. */
  #record(
    encoder: GPUCommandEncoder,
    source: PictureSource,
    { ready, into, picture, scratch }: { ready: Ready; into: GPUBuffer; picture: number; scratch: number },
  ): void {
    if (isTexture(source)) expectFloats(source);
    const image = isVideo(source)
      ? fromBrowser(() => this.#device.gpu.importExternalTexture({ source }))
      : isTexture(source)
        ? source
        : this.#upload(source, ready, scratch);
    ready.program.encode(encoder, ready.buffers, { image });
    const output = ready.program.output('picture');
    encoder.copyBufferToBuffer(output, 0, into, picture * output.size, output.size);
  }

  #upload(source: Exclude<PictureSource, GPUTexture>, { scratch }: Ready, index: number): GPUTexture {
    const [width, height] = sizeOf(source);
    const { gpu } = this.#device;
    scratch[index] ??= gpu.createTexture({
      label: 'stam: picture',
      size: [width, height],
      format: 'rgba8unorm',
      usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT,
    });
    const texture = scratch[index];
    fromBrowser(() => gpu.queue.copyExternalImageToTexture({ source }, { texture }, [width, height]));
    return texture;
  }

  #release(ready: Ready): void {
    ready.program.dispose();
    for (const buffer of Object.values(ready.buffers)) this.#device.memory.destroy(buffer);
    dropScratch(ready);
  }
}

/** Textures that WebGPU refused would be refused again. */
function dropScratch({ scratch }: Ready): void {
  for (const texture of scratch.splice(0)) texture.destroy();
}

/** Throws bad-input for integers, and for what the GPU would make linear numbers of: neither are the bytes that a model was trained on. */
function expectFloats({ format }: GPUTexture): void {
  if (!/(int|-srgb)$/.test(format)) return;
  throw new StamError('bad-input', {
    where: 'picture',
    problem: 'the numbers of such a texture are not its bytes',
    got: format,
    expected: 'such as rgba8unorm',
  });
}

function fromBrowser<T>(take: () => T): T {
  try {
    return take();
  } catch (cause) {
    throw new StamError('bad-input', {
      where: 'picture',
      problem: 'the browser does not give its pixels away',
      got: cause instanceof Error ? cause.message : String(cause),
      hint: 'a picture from another origin needs CORS; a closed frame or bitmap has none left',
      cause,
    });
  }
}

/** Throws bad-input: encode() does not wait, and so can make nothing ready itself. */
export function notPrepared(what: string): never {
  throw new StamError('bad-input', {
    where: 'encode',
    problem: 'it cannot wait for what is not prepared',
    got: what,
    hint: 'await prepare() once before',
  });
}

/** What programs differ by. */
function keyOf(source: PictureSource): string {
  return `${sizeOf(source).join('x')}${isVideo(source) ? ' video' : ''}`;
}

/** Width and height in pixels, as they are stored: a display that stretches them does not count. */
function sizeOf(source: PictureSource): [width: number, height: number] {
  if ('videoWidth' in source) return [source.videoWidth, source.videoHeight];
  if ('naturalWidth' in source) return [source.naturalWidth, source.naturalHeight];
  if ('displayWidth' in source) return [source.displayWidth, source.displayHeight];
  return [source.width, source.height];
}

function isTexture(source: PictureSource): source is GPUTexture {
  return 'createView' in source;
}

function isVideo(source: PictureSource): source is HTMLVideoElement | VideoFrame {
  return 'videoWidth' in source || 'displayWidth' in source;
}
