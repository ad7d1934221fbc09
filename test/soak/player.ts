// One model of the soak's and what an app might do with it. Every operation compares what it got.

import { loadStam } from '../../index.ts';
import type { Stam } from '../../model/load.ts';
import { readBuffer } from '../engine/small-program.ts';
import type { FaultyGpu } from '../faults/faulty-gpu.ts';
import type { Random } from '../fuzz/random.ts';
import type { Subject } from './subjects.ts';
import { expectRight } from './subjects.ts';

export class Player {
  readonly subject: Subject;
  readonly stam: Stam;
  device: FaultyGpu;

  private constructor(subject: Subject, stam: Stam, device: FaultyGpu) {
    this.subject = subject;
    this.stam = stam;
    this.device = device;
  }

  static async load(subject: Subject, device: FaultyGpu, random: Random, signal?: AbortSignal): Promise<Player> {
    const options = { device: device.gpu, dtype: subject.storage, tune: 'off', signal } as const;
    return new Player(subject, await loadStam(random.pick(subject.sources), options), device);
  }

  async recover(device: FaultyGpu): Promise<void> {
    await this.stam.recover(device.gpu);
    this.device = device;
  }

  /** Something to do, by its name. */
  readonly operations: Readonly<Record<string, (random: Random, signal?: AbortSignal) => Promise<void>>> = {
    floats: async (random, signal) => {
      const { floats, logits } = random.pick(this.subject.videos);
      this.#expect(await this.stam.logits(floats, { signal }), logits);
    },
    'floats of several videos': async (random, signal) => {
      const samples = Array.from({ length: 2 + random.below(2) }, () => random.pick(this.subject.videos));
      const floats = Float32Array.of(...samples.flatMap((sample) => [...sample.floats]));
      const logits = Float32Array.of(...samples.flatMap((sample) => [...sample.logits]));
      this.#expect(await this.stam.logits(floats, { signal }), logits);
    },
    pictures: async (random, signal) => {
      const samples = Array.from({ length: 1 + random.below(2) }, () => random.pick(this.subject.pictures));
      const logits = Float32Array.of(...samples.flatMap((sample) => [...sample.logits]));
      const pictures = samples.map((sample) => sample.pictures);
      this.#expect(await this.stam.logits(pictures, { signal }), logits);
    },
    'a buffer': async (random, signal) => {
      const { floats, logits } = random.pick(this.subject.videos);
      const buffer = this.#buffer(floats);
      try {
        this.#expect(await this.stam.logits(buffer, { signal }), logits);
      } finally {
        buffer.destroy();
      }
    },
    'classes of textures': async (random, signal) => {
      const { pictures, logits } = random.pick(this.subject.pictures);
      const textures = this.#textures(pictures);
      try {
        const [[best]] = await this.stam.classify(textures, { topk: 1, signal });
        if (logits[best.index] < Math.max(...logits) - 0.02) throw new Error(`wrong class: ${best.index}`);
      } finally {
        for (const texture of textures) texture.destroy();
      }
    },
    encode: async (random) => {
      const { floats, logits } = random.pick(this.subject.videos);
      const { gpu } = this.device;
      const buffer = this.#buffer(floats);
      try {
        await this.stam.prepare({ videos: 1 });
        const encoder = gpu.createCommandEncoder();
        const output = this.stam.encode(encoder, buffer);
        this.device.own(() => gpu.queue.submit([encoder.finish()]));
        const got = await this.device.own(() => readBuffer(gpu, output));
        this.#expect(got.slice(0, this.subject.config.classes), logits);
      } finally {
        buffer.destroy();
      }
    },
    stream: async (random, signal) => {
      const { config, videos } = this.subject;
      const stream = await this.stam.stream();
      try {
        for (let i = random.below(config.frames); i > 0; i--) await stream.push(this.#frames(videos[0].floats)[0]);
        const { floats, logits } = random.pick(videos);
        const pushes = this.#frames(floats).map((frame) => stream.push(frame, { signal }));
        const asked = stream.logits({ signal });
        for (const outcome of await Promise.allSettled([...pushes, asked])) {
          if (outcome.status === 'rejected') throw outcome.reason;
        }
        this.#expect(await asked, logits);
      } finally {
        stream.dispose();
      }
    },
    'several at a time': async (random, signal) => {
      const names = Object.keys(this.operations).filter((name) => name !== 'several at a time');
      const calls = Array.from({ length: 2 + random.below(4) }, () =>
        this.operations[random.pick(names)](random, signal),
      );
      for (const outcome of await Promise.allSettled(calls)) if (outcome.status === 'rejected') throw outcome.reason;
    },
  };

  #expect(got: Float32Array, logits: Float32Array): void {
    expectRight(got, logits, this.subject.storage);
  }

  #frames(floats: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer>[] {
    const { frames } = this.subject.config;
    const size = floats.length / frames;
    return Array.from({ length: frames }, (_, i) => floats.slice(i * size, (i + 1) * size));
  }

  #buffer(floats: Float32Array<ArrayBuffer>): GPUBuffer {
    const { gpu } = this.device;
    return this.device.own(() => {
      const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
      const buffer = gpu.createBuffer({ size: floats.byteLength, usage });
      gpu.queue.writeBuffer(buffer, 0, floats);
      return buffer;
    });
  }

  #textures({ width, height, data }: { width: number; height: number; data: Uint8Array<ArrayBuffer> }): GPUTexture[] {
    const { gpu } = this.device;
    const bytes = 4 * width * height;
    return this.device.own(() =>
      Array.from({ length: data.byteLength / bytes }, (_, i) => {
        const usage = GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST;
        const texture = gpu.createTexture({ size: [width, height], format: 'rgba8unorm', usage });
        const picture = data.slice(i * bytes, (i + 1) * bytes);
        gpu.queue.writeTexture({ texture }, picture, { bytesPerRow: 4 * width }, [width, height]);
        return texture;
      }),
    );
  }
}
