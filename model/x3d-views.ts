// An X3D on decoded clips: three views are made of each and go through the network.
import type { Device } from '../engine/device.ts';
import type { RunOptions } from '../engine/program.ts';
import type { Outputs } from '../engine/read-back.ts';
import type { FitSource } from './fit.ts';
import type { DecodedFrames } from './preprocess.ts';
import { cropsPerClip, cropViews } from './views.ts';
import type { X3dConfig } from './x3d-config.ts';
import type { X3dModelOptions } from './x3d-model.ts';
import { X3dModel } from './x3d-model.ts';

export class X3dViewModel {
  readonly #model: X3dModel;

  private constructor(model: X3dModel) {
    this.#model = model;
  }

  /** X3dModel.load(), for so many clips of a run. */
  static async load(
    device: Device,
    config: X3dConfig,
    source: FitSource,
    { clips, ...options }: Omit<X3dModelOptions, 'videos' | 'videosPerPass'> & { readonly clips: number },
  ): Promise<X3dViewModel> {
    const sizes = { videos: cropsPerClip * clips, videosPerPass: cropsPerClip };
    return new X3dViewModel(await X3dModel.load(device, config, source, { ...options, ...sizes }));
  }

  get storage(): X3dModel['storage'] {
    return this.#model.storage;
  }

  /** Clips of F pictures each -> `logits` [clips * 3 views, classes]. Throws what X3dModel.run() and scaleFrames() throw. */
  async run(clips: readonly DecodedFrames[], options: RunOptions = {}): Promise<Outputs> {
    const { frames, imageSize } = this.#model.config;
    const perClip = cropsPerClip * 3 * frames * imageSize ** 2;
    const views = new Float32Array(clips.length * perClip);
    for (const [i, clip] of clips.entries()) cropViews(clip, frames, imageSize, views.subarray(i * perClip));
    return await this.#model.run(views, options);
  }

  dispose(): void {
    this.#model.dispose();
  }
}
