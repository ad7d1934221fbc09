// What an adapter's other units can do at best: f16 arithmetic, workgroup memory, the way of bytes from the host, and what a dispatch costs
// that computes nothing. Nothing is a fraction of these; they say what a kernel is up against.
import type { Capabilities, Device } from '../engine/device.ts';
import { median } from '../engine/median.ts';
import { PassTimer } from '../engine/pass-timer.ts';
import type { Form } from './ceiling.ts';
import { kernelOf, rates } from './ceiling.ts';
import dispatchSource from './ceiling-dispatch.wgsl';
import halvesSource from './ceiling-halves.wgsl';
import workgroupSource from './ceiling-workgroup.wgsl';

export interface OtherCeilings {
  /** Multiply-adds of f16 in GFLOP/s, counted as two; null without shader-f16. */
  readonly halvesGflops: number | null;
  /** Reads of workgroup memory in GB/s, by rows of four chunks of 16 bytes that lie five and four chunks apart. */
  readonly workgroupGbps: { readonly padded: number; readonly unpadded: number };
  /** queue.writeBuffer of a video's frames, in GB/s, until the GPU has them. */
  readonly writeBufferGbps: number;
  /** The same bytes through two mapped buffers in turn. */
  readonly mappedPoolGbps: number;
  /** Microseconds of one dispatch among many in a pass. */
  readonly dispatchMicroseconds: number;
}

const budgetMs = 700;

/** The forms of f16 arithmetic: by two and by four. */
export function halvesForms({ adapter: { software } }: Capabilities): Form[] {
  const lanes = software ? 2 ** 13 : 2 ** 20;
  const turns = software ? 10 : 50;
  return [2, 4].map((width) => ({
    name: `ceiling-halves ${width}`,
    source: halvesSource,
    parts: { imports: { numbers: `alias Numbers = vec${width}<f16>;` }, features: ['shader-f16'] },
    params: { turns },
    workgroups: lanes / 64,
    output: [lanes],
    work: lanes * turns * 16 * 8 * width * 2,
  }));
}

/** The forms of workgroup memory: rows five chunks apart, then four. */
export function workgroupForms({ adapter: { software } }: Capabilities): Form[] {
  const workgroups = software ? 16 : 4096;
  const turns = software ? 16 : 256;
  return [5, 4].map((pitch) => ({
    name: `ceiling-workgroup ${pitch}`,
    source: workgroupSource,
    parts: { constants: { PITCH: pitch, ROWS_PITCH: 64 * pitch } },
    params: { turns, step: 8 },
    workgroups,
    output: [workgroups * 256],
    work: workgroups * 256 * turns * 16 * 16,
  }));
}

/** The kernel that does nothing. */
export const idleForm: Form = {
  name: 'ceiling-dispatch',
  source: dispatchSource,
  params: {},
  workgroups: 1,
  output: [1],
  work: 1,
};

/** Measures them, in about four seconds. Throws shader and limit. */
export async function measureOthers(device: Device): Promise<OtherCeilings> {
  const { capabilities } = device;
  const halves = capabilities.features.has('shader-f16')
    ? await rates(device, halvesForms(capabilities), budgetMs)
    : undefined;
  const [padded, unpadded] = await rates(device, workgroupForms(capabilities), budgetMs);
  return {
    halvesGflops: halves ? Math.max(...halves) / 1e6 : null,
    workgroupGbps: { padded: padded / 1e6, unpadded: unpadded / 1e6 },
    writeBufferGbps: await writeBufferRate(device),
    mappedPoolGbps: await mappedPoolRate(device),
    dispatchMicroseconds: await dispatchTime(device),
  };
}

/** Bytes of sixteen frames of 224 x 224 pixels in f32. */
const videoBytes = 16 * 3 * 224 * 224 * 4;
const uploadMs = 300;
const leastUploads = 5;

async function writeBufferRate(device: Device): Promise<number> {
  const { gpu, memory } = device;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
  const target = await device.checked('upload', () => memory.create('upload', 'staging', videoBytes, usage));
  try {
    const video = new Float32Array(videoBytes / 4).fill(0.5);
    const times: number[] = [];
    const end = performance.now() + uploadMs;
    while (times.length < leastUploads || performance.now() < end) {
      const begin = performance.now();
      gpu.queue.writeBuffer(target, 0, video);
      gpu.queue.submit([]);
      await device.finished();
      times.push(performance.now() - begin);
    }
    return videoBytes / median(times) / 1e6;
  } finally {
    memory.destroy(target);
  }
}

async function mappedPoolRate(device: Device): Promise<number> {
  const { gpu, memory } = device;
  const { target, pool } = await device.checked('upload', () => {
    const write = GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC;
    const create = (usage: number) => memory.create('upload', 'staging', videoBytes, usage);
    return {
      target: create(GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST),
      pool: [create(write), create(write)],
    };
  });
  try {
    const video = new Float32Array(videoBytes / 4).fill(0.5);
    const mapped = pool.map((buffer) => buffer.mapAsync(GPUMapMode.WRITE));
    await device.settle(Promise.all(mapped));
    let count = 0;
    const begin = performance.now();
    for (; count < leastUploads || performance.now() < begin + uploadMs; count++) {
      const buffer = pool[count % pool.length];
      await device.settle(mapped[count % pool.length]);
      new Float32Array(buffer.getMappedRange()).set(video);
      buffer.unmap();
      const encoder = gpu.createCommandEncoder({ label: 'stam: upload' });
      encoder.copyBufferToBuffer(buffer, 0, target, 0, videoBytes);
      gpu.queue.submit([encoder.finish()]);
      mapped[count % pool.length] = buffer.mapAsync(GPUMapMode.WRITE);
      mapped[count % pool.length].catch(() => undefined); // awaited when it is its turn, unless all is over before
    }
    await device.finished();
    return (count * videoBytes) / (performance.now() - begin) / 1e6;
  } finally {
    for (const buffer of [target, ...pool]) memory.destroy(buffer);
  }
}

/** Dispatches of a pass. */
const few = { gpu: 100, software: 10 } as const;
const many = { gpu: 1000, software: 100 } as const;
const rounds = 7;

/** By the slope between few and many dispatches of a pass, so that what a pass costs does not count. */
async function dispatchTime(device: Device): Promise<number> {
  const { gpu, memory, pipelines, capabilities } = device;
  const kind = capabilities.adapter.software ? 'software' : 'gpu';
  const { pipeline, layout } = await pipelines.compile(kernelOf(idleForm));
  const timer = await PassTimer.create(device);
  const output = memory.create('dispatch', 'staging', 16, GPUBufferUsage.STORAGE);
  try {
    const bindGroup = gpu.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: output } }] });
    const dispatch = (pass: GPUComputePassEncoder) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(1);
    };
    await timer.time(dispatch, few[kind]);
    const slopes: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const less = await timer.time(dispatch, few[kind]);
      const more = await timer.time(dispatch, many[kind]);
      slopes.push((more - less) / (many[kind] - few[kind]));
    }
    return 1000 * Math.max(0, median(slopes));
  } finally {
    timer.dispose();
    memory.destroy(output);
  }
}
