// An X3D with its weights on a device, ready to be run on any number of videos.
import type { Device } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import type { Graph } from '../engine/graph.ts';
import { rowLayout } from '../engine/layout.ts';
import type { Outputs } from '../engine/read-back.ts';
import type { SelfCheckOptions } from '../engine/self-check.ts';
import type { Shape } from '../engine/shape.ts';
import { channelsFirst, channelsFirstShape } from './channels.ts';
import type { FitSource } from './fit.ts';
import { fitTensors } from './fit.ts';
import type { NetworkOptions, NetworkRunOptions } from './network.ts';
import { Network, selfCheckOf, videosIn } from './network.ts';
import { NetworkModel } from './network-model.ts';
import { chooseStorage, NetworkPlanner } from './planner.ts';
import { largestBytes, videosPerPass, x3dGraph } from './x3d.ts';
import type { X3dConfig } from './x3d-config.ts';
import { describeX3d, identifyX3d } from './x3d-config.ts';
import { foldBatchNorms, isCounter, x3dShapes } from './x3d-weights.ts';

/** What loading an X3D takes beside it; everything may be left out. */
export interface X3dModelOptions extends NetworkOptions {
  /** Videos that go through the network at a time; fewer take less memory, more fill a larger GPU. */
  readonly videosPerPass?: number | undefined;
}

const defaultVideosPerPass = 4;

/** The plans of an X3D. */
export class X3dPlanner extends NetworkPlanner {
  readonly config: X3dConfig;
  readonly #wanted: number;

  /** `wanted` is how many videos are to go through the network at a time. */
  constructor(
    device: Device,
    config: X3dConfig,
    storage: StorageType,
    { wanted = defaultVideosPerPass, selfCheck }: { wanted?: number | undefined; selfCheck?: SelfCheckOptions } = {},
  ) {
    super(device, storage, selfCheck);
    this.config = config;
    this.#wanted = wanted;
  }

  use(videos: number): string {
    return `x3d ${JSON.stringify({ ...this.config, videos, storage: this.storage, videosPerPass: this.#wanted })}`;
  }

  graph(videos: number, keep?: (name: string) => boolean): Graph {
    const { config, storage } = this;
    const { capabilities } = this.device;
    return x3dGraph(config, {
      videos,
      storage,
      videosPerPass: videosPerPass(config, { videos, storage, wanted: this.#wanted }, capabilities),
      largestBytes: largestBytes(capabilities),
      keep,
    });
  }
}

export class X3dModel extends NetworkModel {
  readonly config: X3dConfig;

  private constructor(config: X3dConfig, network: Network) {
    super(network);
    this.config = config;
  }

  /**
   * Checks that the checkpoint has exactly the tensors of pytorchvideo's state_dict (num_batches_tracked may be missing), chooses kernels,
   * then uploads the weights, BatchNorm folded into them, and compiles the kernels meanwhile. Frees everything when it fails or is aborted.
   * Throws what fitTensors() throws.
   */
  static async load(
    device: Device,
    config: X3dConfig,
    source: FitSource,
    options: X3dModelOptions = {},
  ): Promise<X3dModel> {
    const { dtype = 'auto', videosPerPass: wanted } = options;
    const notices = fitTensors(source, {
      family: 'X3D',
      model: describeX3d(config),
      shapes: x3dShapes(config),
      isUnread: isCounter,
      identify: identifyX3d,
    });
    const selfCheck = selfCheckOf(options);
    const planner = new X3dPlanner(device, config, chooseStorage(dtype, device), { wanted, selfCheck });
    const fit = () => ({ ...foldBatchNorms(source, config), notices });
    return new X3dModel(config, await Network.load(planner, fit, options));
  }

  /**
   * `frames` [V, 3, F, S, S], float32 in 0..1, in the host's memory or in rowLayout in the GPU's -> `logits` [V, classes] and whatever
   * else `keep` asks for, by module path, in PyTorch's order of dimensions. Throws bad-input for what is no whole number of videos, and
   * what Network.run() throws.
   */
  async run(frames: Float32Array<ArrayBuffer> | GPUBuffer, options: NetworkRunOptions = {}): Promise<Outputs> {
    const { frames: count, imageSize } = this.config;
    const perVideo = [3, count, imageSize, imageSize];
    const outputs = await this.network.run(async () => {
      const videos = videosIn(frames, perVideo);
      const input = frames instanceof Float32Array ? rowLayout.pack(frames, [videos, ...perVideo]) : frames;
      return { videos, inputs: { frames: input } };
    }, options);
    if (!options.keep) return outputs;
    const shapes = this.network.outputShapes(videosIn(frames, perVideo), options.keep);
    return new Map([...outputs].map(([name, data]) => [name, channelsFirst(data, shapes.get(name) ?? [])]));
  }

  /** Shapes of what run() returns with this `keep`. */
  outputShapes(videos: number, keep?: (name: string) => boolean): Map<string, Shape> {
    const shapes = this.network.outputShapes(videos, keep);
    return new Map([...shapes].map(([name, shape]) => [name, channelsFirstShape(shape)]));
  }

  dispose(): void {
    this.network.dispose();
  }
}
