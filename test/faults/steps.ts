// What an app does with a model, call by call, each on frames whose logits the official code has told.
import type { Checkpoint } from '../../loaders/checkpoint.ts';
import { unit } from '../../loaders/synthetic.ts';
import type { LoadCheckpointOptions, Stam, StamStream } from '../../model/load.ts';
import { loadStam } from '../../model/load.ts';
import type { DecodedFrames } from '../../model/preprocess.ts';
import { readBuffer } from '../engine/small-program.ts';
import { openFixture } from '../model/fixtures.ts';
import type { FaultyGpu } from './faulty-gpu.ts';

/** Frames and what they give. */
export interface Material {
  readonly weights: Checkpoint;
  /** Of one video, the fixture's, and of two. */
  readonly frames: readonly [Float32Array<ArrayBuffer>, Float32Array<ArrayBuffer>];
  /** Of the first video the official ones; the other's and the pictures' the model gave, alone and on a device without faults. */
  readonly logits: readonly [Float32Array<ArrayBuffer>, Float32Array<ArrayBuffer>];
  readonly pictures: DecodedFrames;
  readonly pictureLogits: Float32Array<ArrayBuffer>;
}

/** A model on a device that may fail, and what an app has beside it. */
export interface Stage {
  readonly faulty: FaultyGpu;
  readonly material: Material;
  stam: Stam | undefined;
  stream: StamStream | undefined;
}

/** Waits for what a step has made, and gives the logits that it leads to; nothing fails by then. */
export type Verify = () => Promise<Float32Array>;

export interface Step {
  readonly name: string;
  /** Whether it begins without a model. */
  readonly loads?: boolean;
  readonly takesSignal: boolean;
  /** Whether its model checks its kernels, and takes others in place of some that are refused. */
  readonly selfCheck?: boolean;
  /** Whether a device is lost at each of its calls, or at one only, because a new device takes long to compile for. */
  readonly thorough?: boolean;
  setUp?(stage: Stage): Promise<void>;
  act(stage: Stage, signal?: AbortSignal): Promise<Verify>;
  expected(material: Material): Float32Array;
}

/** `gpu` has no faults. */
export async function openMaterial(gpu: GPUDevice): Promise<Material> {
  const { truth, weights, config } = await openFixture('tiny-a');
  const [frames, logits] = [await truth.read('frames'), await truth.read('logits')];
  await truth.close();
  const other = unit(4, 'frames', frames.length);
  const [width, height] = [23, 19];
  const data = Uint8Array.from(unit(3, 'pixels', 4 * config.frames * width * height), (value) => value * 256);
  const pictures: DecodedFrames = { width, height, data, format: 'RGBA' };
  const stam = await loadStam(weights, { device: gpu, dtype: 'f32', tune: 'off' });
  const material: Material = {
    weights,
    frames: [frames, Float32Array.of(...frames, ...other)],
    logits: [logits, Float32Array.of(...logits, ...(await stam.logits(other)))],
    pictures,
    pictureLogits: await stam.logits([pictures]),
  };
  stam.dispose();
  return material;
}

/** Without the self-check unless told: it takes time, and compiles another kernel in place of one that is refused. */
export const load = ({ faulty, material }: Stage, options: LoadCheckpointOptions = {}): Promise<Stam> =>
  loadStam(material.weights, { device: faulty.gpu, dtype: 'f32', tune: 'off', selfCheck: false, ...options });

function modelOf({ stam }: Stage): Stam {
  if (!stam) throw new Error('the stage has no model');
  return stam;
}

function streamOf({ stream }: Stage): StamStream {
  if (!stream) throw new Error('the stage has no stream');
  return stream;
}

/** The frames in a buffer of the app's, which is freed afterwards. */
async function withBuffer<T>(
  { faulty, material }: Stage,
  videos: 1 | 2,
  use: (buffer: GPUBuffer) => Promise<T>,
): Promise<T> {
  const frames = material.frames[videos - 1];
  const buffer = faulty.own(() => {
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const made = faulty.gpu.createBuffer({ size: frames.byteLength, usage });
    faulty.gpu.queue.writeBuffer(made, 0, frames);
    return made;
  });
  try {
    return await use(buffer);
  } finally {
    buffer.destroy();
  }
}

/** The pictures in textures of the app's, which are freed afterwards. */
async function withTextures<T>({ faulty, material }: Stage, use: (textures: GPUTexture[]) => Promise<T>): Promise<T> {
  const { width, height, data } = material.pictures;
  const bytes = 4 * width * height;
  const textures = faulty.own(() =>
    Array.from({ length: data.byteLength / bytes }, (_, i) => {
      const usage = GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST;
      const texture = faulty.gpu.createTexture({ size: [width, height], format: 'rgba8unorm', usage });
      const picture = data.slice(i * bytes, (i + 1) * bytes);
      faulty.gpu.queue.writeTexture({ texture }, picture, { bytesPerRow: 4 * width }, [width, height]);
      return texture;
    }),
  );
  try {
    return await use(textures);
  } finally {
    for (const texture of textures) texture.destroy();
  }
}

/** encode() into an encoder of the app's, which minds its own errors: what WebGPU refuses of it is thrown. */
async function encode(stage: Stage, frames: GPUBuffer | GPUTexture[], videos: 1 | 2): Promise<GPUBuffer> {
  const { faulty } = stage;
  faulty.gpu.pushErrorScope('validation');
  let output: GPUBuffer;
  let popped: Promise<GPUError | null>;
  try {
    const encoder = faulty.gpu.createCommandEncoder();
    output = modelOf(stage).encode(encoder, frames, videos);
    faulty.own(() => faulty.gpu.queue.submit([encoder.finish()]));
  } finally {
    popped = faulty.gpu.popErrorScope();
  }
  const error = await popped;
  if (error) throw new DOMException(error.message, "the app's finish()");
  return output;
}

async function readLogits(stage: Stage, output: GPUBuffer, videos: 1 | 2): Promise<Float32Array> {
  const { classes } = modelOf(stage).config;
  const padded = await stage.faulty.own(() => readBuffer(stage.faulty.gpu, output));
  const pitch = 4 * Math.ceil(classes / 4);
  return Float32Array.from({ length: videos * classes }, (_, i) => {
    return padded[Math.floor(i / classes) * pitch + (i % classes)];
  });
}

/** The frames of a video one by one. */
function framesOf({ frames: [video], pictures }: Material, kind: 'floats' | 'decoded') {
  const count = modelFrames;
  return Array.from({ length: count }, (_, i): Float32Array<ArrayBuffer> | DecodedFrames => {
    const part = <T extends { length: number; slice(start: number, end: number): T }>(all: T) =>
      all.slice((i * all.length) / count, ((i + 1) * all.length) / count);
    return kind === 'floats' ? part(video) : { ...pictures, data: part(pictures.data) };
  });
}

/** F of tiny-a. */
const modelFrames = 4;

/** A stream that lacks one frame. */
async function beginStream(stage: Stage, kind: 'floats' | 'decoded'): Promise<void> {
  stage.stream?.dispose();
  stage.stream = await modelOf(stage).stream();
  for (const frame of framesOf(stage.material, kind).slice(0, -1)) await stage.stream.push(frame);
}

const ofFrames = ({ logits }: Material) => logits[0];
const ofPictures = ({ pictureLogits }: Material) => pictureLogits;

/** Gives what was computed already. */
const known = (logits: Float32Array): Verify => {
  return async () => logits;
};

const checking = (selfCheck: boolean) => (selfCheck ? ' with the self-check' : '');

const loading = (selfCheck: boolean): Step => ({
  name: `loadStam${checking(selfCheck)}`,
  loads: true,
  takesSignal: true,
  selfCheck,
  thorough: !selfCheck,
  async act(stage, signal) {
    stage.stam = await load(stage, { signal, selfCheck });
    return () => modelOf(stage).logits(stage.material.frames[0]);
  },
  expected: ofFrames,
});

const reading = (selfCheck: boolean): Step => ({
  name: `logits(decoded)${checking(selfCheck)}`,
  takesSignal: true,
  selfCheck,
  thorough: !selfCheck,
  act: async (stage, signal) => known(await modelOf(stage).logits([stage.material.pictures], { signal })),
  expected: ofPictures,
});

const preparing = (selfCheck: boolean): Step => ({
  name: `prepare(pictures)${checking(selfCheck)}`,
  takesSignal: false,
  selfCheck,
  act: (stage) =>
    withTextures(stage, async (pictures) => {
      await modelOf(stage).prepare({ pictures });
      return () => withTextures(stage, async (textures) => readLogits(stage, await encode(stage, textures, 1), 1));
    }),
  expected: ofPictures,
});

const pushing = (kind: 'floats' | 'decoded'): Step => ({
  name: `stream.push(${kind})`,
  takesSignal: true,
  setUp: (stage) => beginStream(stage, kind),
  async act(stage, signal) {
    const [last] = framesOf(stage.material, kind).slice(-1);
    await streamOf(stage).push(last, { signal });
    return () => streamOf(stage).logits();
  },
  expected: kind === 'floats' ? ofFrames : ofPictures,
});

export const steps: readonly Step[] = [
  loading(false),
  loading(true),
  {
    name: 'logits(floats)',
    takesSignal: true,
    act: async (stage, signal) => known(await modelOf(stage).logits(stage.material.frames[0], { signal })),
    expected: ofFrames,
  },
  {
    name: 'logits(two videos)',
    takesSignal: true,
    act: async (stage, signal) => known(await modelOf(stage).logits(stage.material.frames[1], { signal })),
    expected: ({ logits }) => logits[1],
  },
  {
    name: 'logits(GPUBuffer)',
    takesSignal: true,
    act: async (stage, signal) =>
      known(await withBuffer(stage, 1, (buffer) => modelOf(stage).logits(buffer, { signal }))),
    expected: ofFrames,
  },
  reading(false),
  reading(true),
  {
    name: 'classify(textures)',
    takesSignal: true,
    async act(stage, signal) {
      const stam = modelOf(stage);
      const [all] = await withTextures(stage, (textures) => stam.classify(textures, { signal, topk: 100 }));
      // probabilities only: the logits are these but for a constant, and so are the ones that were told
      const scores = new Float32Array(all.length);
      for (const { index, score } of all) scores[index] = score;
      return known(scores);
    },
    expected: ({ pictureLogits }) => softmax(pictureLogits),
  },
  {
    name: 'stream()',
    takesSignal: false,
    async act(stage) {
      stage.stream = await modelOf(stage).stream();
      return async () => {
        for (const frame of framesOf(stage.material, 'floats')) await streamOf(stage).push(frame);
        return await streamOf(stage).logits();
      };
    },
    expected: ofFrames,
  },
  pushing('floats'),
  pushing('decoded'),
  {
    name: 'stream.logits',
    takesSignal: true,
    async setUp(stage) {
      await beginStream(stage, 'floats');
      await streamOf(stage).push(framesOf(stage.material, 'floats')[modelFrames - 1]);
    },
    act: async (stage, signal) => known(await streamOf(stage).logits({ signal })),
    expected: ofFrames,
  },
  {
    name: 'prepare(videos)',
    takesSignal: false,
    async act(stage) {
      await modelOf(stage).prepare({ videos: 2 });
      return () => withBuffer(stage, 2, async (buffer) => readLogits(stage, await encode(stage, buffer, 2), 2));
    },
    expected: ({ logits }) => logits[1],
  },
  preparing(false),
  preparing(true),
  {
    name: 'encode(textures)',
    takesSignal: false,
    setUp: (stage) => withTextures(stage, (pictures) => modelOf(stage).prepare({ pictures })),
    async act(stage) {
      const output = await withTextures(stage, (textures) => encode(stage, textures, 1));
      return () => readLogits(stage, output, 1);
    },
    expected: ofPictures,
  },
  {
    name: 'recover',
    takesSignal: false,
    async act(stage) {
      await modelOf(stage).recover(stage.faulty.gpu);
      return () => modelOf(stage).logits(stage.material.frames[0]);
    },
    expected: ofFrames,
  },
];

function softmax(logits: Float32Array): Float32Array {
  const powers = logits.map((value) => Math.exp(value - Math.max(...logits)));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
