// Which plans a model has on a device: the same storage, passes and choice of kernels in all of them.
import type { Device } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import type { Graph } from '../engine/graph.ts';
import { expectCount, expectOneOf } from '../engine/options.ts';
import type { Choose, Plan } from '../engine/plan.ts';
import type { SelfCheckOptions } from '../engine/self-check.ts';
import { SelfCheck } from '../engine/self-check.ts';
import type { StamConfig } from './config.ts';
import { framesPerPass, stamGraph } from './stam.ts';

/** How numbers are stored: 'auto' is f16 on a GPU that computes with it, else f32. */
export type DType = StorageType | 'auto';

/** Eight videos fill the largest GPU; a processor has nothing of it. */
const defaultFramesPerPass = { gpu: 128, software: 16 } as const;

/** The storage that 'auto' stands for on a device. Throws bad-input for another word. */
export function chooseStorage(dtype: DType, { capabilities }: Device): StorageType {
  expectOneOf('dtype', dtype, ['auto', 'f32', 'f16']);
  if (dtype !== 'auto') return dtype;
  return capabilities.features.has('shader-f16') && !capabilities.adapter.software ? 'f16' : 'f32';
}

/** What stays the same from one plan of a network to the next. */
export abstract class NetworkPlanner {
  readonly device: Device;
  readonly storage: StorageType;
  /** Left out, kernels are chosen by rule. */
  choose: Choose | undefined;
  /** Which kernels are right on the device. */
  readonly selfCheck: SelfCheck;

  constructor(device: Device, storage: StorageType, selfCheck?: SelfCheckOptions) {
    this.device = device;
    this.storage = storage;
    this.selfCheck = new SelfCheck(device, selfCheck);
  }

  /** Everything on which the shapes of a graph depend: the name under which its tuning is kept. */
  abstract use(videos: number): string;

  abstract graph(videos: number, keep?: (name: string) => boolean): Graph;

  /** A plan to look at. */
  plan(videos: number, keep?: (name: string) => boolean): Plan {
    return this.selfCheck.plan(this.graph(videos, keep), this.choose);
  }

  /** The plan of a graph of the same weights to run: its kernels have been tried on the device. */
  async rightPlan(graph: Graph, signal?: AbortSignal): Promise<Plan> {
    return await this.selfCheck.rightPlan(graph, this.choose, signal);
  }
}

/** The plans of a STAM. */
export class Planner extends NetworkPlanner {
  readonly config: StamConfig;
  readonly #wanted: number;

  /** `wanted` is how many frames are to go through the spatial transformer at a time. */
  constructor(
    device: Device,
    config: StamConfig,
    storage: StorageType,
    { wanted: given, selfCheck }: { wanted?: number | undefined; selfCheck?: SelfCheckOptions } = {},
  ) {
    const wanted = given ?? defaultFramesPerPass[device.capabilities.adapter.software ? 'software' : 'gpu'];
    expectCount('framesPerPass', wanted);
    super(device, storage, selfCheck);
    this.config = config;
    this.#wanted = wanted;
  }

  use(videos: number): string {
    return `stam ${JSON.stringify({ ...this.config, videos, storage: this.storage, framesPerPass: this.#wanted })}`;
  }

  graph(videos: number, keep?: (name: string) => boolean): Graph {
    const { config, storage, device } = this;
    const pass = framesPerPass(config, { videos, storage, wanted: this.#wanted }, device.capabilities);
    return stamGraph(config, { videos, storage, framesPerPass: pass, keep });
  }
}
