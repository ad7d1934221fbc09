// What runs in the page: the library as an app uses it. browser.system.test.ts calls these over and judges what they return.
import type { AdapterDescription, Checkpoint, StamConfig } from '../../index.ts';
import {
  bufferSource,
  loadStam,
  openSafetensors,
  openSynthetic,
  requiredDevice,
  StamError,
  weightShapes,
} from '../../index.ts';
import { configFromMetadata } from '../../model/config.ts';

const checks = {
  /** The shortest way: the library's own device, frames in an array. */
  async logits(): Promise<{ adapter: AdapterDescription; got: number[]; want: number[] }> {
    const { fixture, config } = await openFixture();
    const stam = await loadStam(syntheticWeights(config), { heads: config.heads });
    try {
      const got = await stam.logits(await fixture.read('frames'));
      const { adapter } = stam.info();
      return { adapter, got: [...got], want: [...(await fixture.read('logits'))] };
    } finally {
      stam.dispose();
    }
  },

  /** An app with a device and an encoder of its own: two videos, the same one twice, in one submit; then the device without the model. */
  async encode(): Promise<{ got: number[]; want: number[]; afterwards: number[] }> {
    const { fixture, config } = await openFixture();
    const video = await fixture.read('frames');
    const videos = 2;
    const device = await requestDevice();
    const stam = await loadStam(syntheticWeights(config), { device, heads: config.heads });

    const { COPY_SRC, COPY_DST } = GPUBufferUsage;
    const frames = device.createBuffer({ size: videos * video.byteLength, usage: COPY_SRC | COPY_DST });
    for (let i = 0; i < videos; i++) device.queue.writeBuffer(frames, i * video.byteLength, video);
    const encoder = device.createCommandEncoder();
    await stam.prepare({ videos });
    const logits = stam.encode(encoder, frames, videos);
    const rows = await submitAndRead(device, encoder, logits);
    stam.dispose();

    const pitch = Math.ceil(config.classes / 4) * 4;
    const got = Array.from({ length: videos }, (_, i) => rows.slice(i * pitch, i * pitch + config.classes)).flat();
    const want = [...(await fixture.read('logits'))];
    const afterwards = await squares(device, [1, 2, 3, 4]);
    device.destroy();
    return { got, want: Array.from({ length: videos }, () => want).flat(), afterwards };
  },

  /** By address, with progress: once and again, when nothing may be downloaded any more if `again`. */
  async load(): Promise<{ stages: [string, number, number][]; got: number[]; want: number[] }> {
    const { fixture } = await openFixture();
    const stages: [string, number, number][] = [];
    const stam = await loadStam('/tiny-a.safetensors', {
      onProgress: ({ stage, loaded, total }) => stages.push([stage, loaded, total]),
    });
    const got = [...(await stam.logits(await fixture.read('frames')))];
    stam.dispose();
    return { stages, got, want: [...(await fixture.read('logits'))] };
  },

  /** A PyTorch checkpoint that the user has chosen, or dropped on the page. */
  async pth(): Promise<{ got: number[]; want: number[] }> {
    const { fixture, config } = await openFixture();
    const file = new File([await (await fetch('/tiny-a.pth')).blob()], 'tiny-a.pth');
    const stam = await loadStam(file, { heads: config.heads });
    const got = [...(await stam.logits(await fixture.read('frames')))];
    stam.dispose();
    return { got, want: [...(await fixture.read('logits'))] };
  },

  /** An abort while the weights arrive; the name of what comes of it. */
  async abort(): Promise<string> {
    const controller = new AbortController();
    const loading = loadStam('/tiny-a.safetensors', {
      signal: controller.signal,
      cache: false,
      onProgress: ({ stage, loaded }) => stage === 'upload' && loaded > 0 && controller.abort(),
    });
    return await loading.then(
      (stam) => {
        stam.dispose();
        return 'loaded';
      },
      (error: unknown) => (error instanceof Error ? error.name : String(error)),
    );
  },

  /** The same pictures in every form that a browser has; the logits of each form, and those of the bytes. */
  async pictures(): Promise<{ bytes: number[]; forms: Record<string, number[]> }> {
    const stam = await loadStam('/tiny-a.safetensors');
    const { frames } = stam.config;
    const [width, height] = [40, 30];
    const all = Array.from({ length: frames }, (_, i) => picture(width, height, i));
    const data = new Uint8Array(all.flatMap((pixels) => [...pixels]));
    const images = all.map((pixels) => new ImageData(new Uint8ClampedArray(pixels), width, height));
    const bitmaps = await Promise.all(images.map((image) => createImageBitmap(image)));
    const canvases = images.map((image) => drawn(new OffscreenCanvas(width, height), image));
    const elements = images.map((image) => {
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [width, height];
      return drawn(canvas, image);
    });
    const videoFrames = all.map(
      (pixels, i) => new VideoFrame(pixels, { format: 'RGBA', codedWidth: width, codedHeight: height, timestamp: i }),
    );
    const forms = {
      ImageData: await stam.logits(images),
      ImageBitmap: await stam.logits(bitmaps),
      OffscreenCanvas: await stam.logits(canvases),
      HTMLCanvasElement: await stam.logits(elements),
      VideoFrame: await stam.logits(videoFrames),
      'VideoFrame, fast': await stam.logits(videoFrames, { colors: 'fast' }),
    };
    const bytes = await stam.logits([{ width, height, data, format: 'RGBA' }]);
    for (const frame of videoFrames) frame.close();
    stam.dispose();
    return {
      bytes: [...bytes],
      forms: Object.fromEntries(Object.entries(forms).map(([name, logits]) => [name, [...logits]])),
    };
  },

  /** Frames of video in planes: the exact way beside the same bytes, and the fast one. */
  async planes(): Promise<{ bytes: number[]; exact: number[]; fast: number[]; stream: number[] }> {
    const stam = await loadStam('/tiny-a.safetensors');
    const [width, height] = [42, 30];
    const size = (width * height * 3) / 2;
    const all = Array.from({ length: stam.config.frames }, (_, i) =>
      picture(width, height, i).slice(0, size).map(smooth),
    );
    const videoFrames = all.map(
      (planes, i) => new VideoFrame(planes, { format: 'I420', codedWidth: width, codedHeight: height, timestamp: i }),
    );
    const data = new Uint8Array(all.flatMap((planes) => [...planes]));
    const bytes = await stam.logits([{ width, height, data, format: 'I420' }]);
    const exact = await stam.logits(videoFrames);
    const fast = await stam.logits(videoFrames, { colors: 'fast' });
    const frames = await stam.stream();
    for (const frame of videoFrames) await frames.push(frame);
    const stream = await frames.logits();
    for (const frame of videoFrames) frame.close();
    const closed = await stam.logits(videoFrames).catch((error: unknown) => error);
    if (!(closed instanceof StamError) || closed.code !== 'bad-input') throw new Error(`closed frames gave ${closed}`);
    frames.dispose();
    stam.dispose();
    return { bytes: [...bytes], exact: [...exact], fast: [...fast], stream: [...stream] };
  },

  /** WebGPU errors since the last call that nobody caught, on any device, the library's own included. */
  takeProblems: (): readonly string[] => problems.splice(0),
};

declare global {
  interface Window {
    checks: typeof checks;
  }
}

const problems: string[] = [];
const plainRequest = GPUAdapter.prototype.requestDevice;
GPUAdapter.prototype.requestDevice = async function (this: GPUAdapter, descriptor) {
  const device = await plainRequest.call(this, descriptor);
  device.addEventListener('uncapturederror', ({ error }) => problems.push(error.message));
  void device.lost.then(({ reason, message }) => {
    if (reason !== 'destroyed') problems.push(`device lost: ${message}`);
  });
  return device;
};
// the test waits for this
window.checks = checks;

async function openFixture(): Promise<{ fixture: Checkpoint; config: StamConfig }> {
  const response = await fetch('/tiny-a.io.safetensors');
  const fixture = await openSafetensors(bufferSource(await response.arrayBuffer(), response.url));
  const config = configFromMetadata(fixture.metadata);
  if (!config) throw new Error(`${response.url}: its metadata tell no configuration`);
  return { fixture, config };
}

/** An opaque picture with hard edges, [H, W, 4]. */
function picture(width: number, height: number, seed: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: 4 * width * height }, (_, i) =>
    i % 4 === 3 ? 255 : ((i * 37 + seed * 91) ^ (i >> 3)) & 255,
  );
}

/** Values that video has. */
const smooth = (byte: number) => 64 + byte / 2;

function drawn<C extends HTMLCanvasElement | OffscreenCanvas>(canvas: C, image: ImageData): C {
  const context = canvas.getContext('2d') as CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D | null;
  context?.putImageData(image, 0, 0);
  return canvas;
}

/** The weights that the fixture was made with. */
const syntheticWeights = (config: StamConfig): Checkpoint => openSynthetic(1, weightShapes(config));

async function requestDevice(): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) throw new Error('navigator.gpu has no adapter');
  return await adapter.requestDevice(requiredDevice(adapter));
}

async function submitAndRead(device: GPUDevice, encoder: GPUCommandEncoder, buffer: GPUBuffer): Promise<number[]> {
  const { MAP_READ, COPY_DST } = GPUBufferUsage;
  const copy = device.createBuffer({ size: buffer.size, usage: MAP_READ | COPY_DST });
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(GPUMapMode.READ);
  return [...new Float32Array(copy.getMappedRange())];
}

/** A computation that has nothing to do with the library. */
async function squares(device: GPUDevice, numbers: readonly number[]): Promise<number[]> {
  const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
  const buffer = device.createBuffer({ size: 4 * numbers.length, usage: STORAGE | COPY_SRC | COPY_DST });
  device.queue.writeBuffer(buffer, 0, new Float32Array(numbers));
  const code = `
    @group(0) @binding(0) var<storage, read_write> numbers: array<f32>;
    @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3u) { numbers[id.x] *= numbers[id.x]; }`;
  const pipeline = device.createComputePipeline({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }) },
  });
  const layout = pipeline.getBindGroupLayout(0);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer } }] }));
  pass.dispatchWorkgroups(numbers.length);
  pass.end();
  return await submitAndRead(device, encoder, buffer);
}
