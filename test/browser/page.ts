// What runs in the page: the library as an app uses it. browser.test.ts calls these over and judges what they return.
import type { AdapterDescription, Checkpoint, StamConfig } from '../../index.ts';
import { bufferSource, loadStam, openSafetensors, openSynthetic, requiredDevice, weightShapes } from '../../index.ts';
import { configFromMetadata } from '../../model/config.ts';

const checks = {
  /** The shortest way: the library's own device, frames in an array. */
  async logits(): Promise<{ adapter: AdapterDescription; got: number[]; want: number[] }> {
    const { fixture, config } = await openFixture();
    const stam = await loadStam(syntheticWeights(config), { heads: config.heads });
    try {
      const got = await stam.logits(await fixture.read('frames'));
      const { adapter } = await stam.info();
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
    const logits = await stam.encode(encoder, frames, videos);
    const rows = await submitAndRead(device, encoder, logits);
    stam.dispose();

    const pitch = Math.ceil(config.classes / 4) * 4;
    const got = Array.from({ length: videos }, (_, i) => rows.slice(i * pitch, i * pitch + config.classes)).flat();
    const want = [...(await fixture.read('logits'))];
    const afterwards = await squares(device, [1, 2, 3, 4]);
    device.destroy();
    return { got, want: Array.from({ length: videos }, () => want).flat(), afterwards };
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
