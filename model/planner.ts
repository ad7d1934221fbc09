// Which plans a model has on a device: the same storage, passes and choice of kernels in all of them.
import type { Capabilities, Device } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import type { Graph } from '../engine/graph.ts';
import { expectCount, expectOneOf } from '../engine/options.ts';
import type { PassChoice } from '../engine/pass-size.ts';
import type { Choose, Plan } from '../engine/plan.ts';
import type { SelfCheckOptions } from '../engine/self-check.ts';
import { SelfCheck } from '../engine/self-check.ts';
import type { TunedPass, Tuning } from '../engine/tuned.ts';
import { chooseTuned } from '../engine/tuned.ts';
import type { StamConfig } from './config.ts';
import { framesPerPass, spatialGraph, stamGraph } from './stam.ts';

/** How numbers are stored: 'auto' is f16 on a GPU that computes with it, else f32. */
export type DType = StorageType | 'auto';

/** Where nothing was measured: eight videos fill the largest GPU; a processor has nothing of it. */
const framesByRule = { gpu: 128, software: 16 } as const;
/** What is measured, as far as a device and a batch have room for it. */
const framesToTry = [16, 32, 64, 128, 256] as const;

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
  /** Undefined: kernels are chosen by rule. */
  protected choose: Choose | undefined;
  /** The device's; how many units it has, as measured if it was. Plans go by these. */
  #capabilities: Capabilities;
  /** Which kernels are right on the device. */
  readonly selfCheck: SelfCheck;

  constructor(device: Device, storage: StorageType, selfCheck?: SelfCheckOptions) {
    this.device = device;
    this.#capabilities = device.capabilities;
    this.storage = storage;
    this.selfCheck = new SelfCheck(device, selfCheck);
  }

  /** Everything on which the shapes of a graph depend: the name under which its tuning is kept. */
  abstract use(videos: number): string;

  /** The passes in which the network can run on V videos, where they are to be measured. */
  passes(_videos: number): PassChoice | undefined {
    return undefined;
  }

  /** Plans by what was measured from now on, or by rule. */
  adopt(tuning: Tuning | undefined): void {
    const { capabilities } = this.device;
    this.choose = chooseTuned(tuning);
    this.#capabilities = { ...capabilities, units: tuning?.units ?? capabilities.units };
  }

  abstract graph(videos: number, keep?: (name: string) => boolean): Graph;

  /** A plan to look at. */
  plan(graph: Graph): Plan {
    return this.selfCheck.plan(graph, this.choose, this.#capabilities);
  }

  /** The plan of a graph to run: plan()'s, if it is at hand, whose kernels have been tried on the device, or one of other kernels. */
  async rightPlan(graph: Graph, signal?: AbortSignal, planned?: Plan): Promise<Plan> {
    return await this.selfCheck.rightPlan(graph, this.choose, signal, this.#capabilities, planned);
  }
}

/** The plans of a STAM. */
export class Planner extends NetworkPlanner {
  readonly config: StamConfig;
  readonly #given: number | undefined;
  #measured: TunedPass | undefined;

  /** `wanted` is how many frames are to go through the spatial transformer at a time; left out, that is measured or a rule's. */
  constructor(
    device: Device,
    config: StamConfig,
    storage: StorageType,
    { wanted, selfCheck }: { wanted?: number | undefined; selfCheck?: SelfCheckOptions } = {},
  ) {
    if (wanted !== undefined) expectCount('framesPerPass', wanted);
    super(device, storage, selfCheck);
    this.config = config;
    this.#given = wanted;
  }

  use(videos: number): string {
    const framesPerPass = this.#given ?? this.#byRule;
    return `stam ${JSON.stringify({ ...this.config, videos, storage: this.storage, framesPerPass })}`;
  }

  graph(videos: number, keep?: (name: string) => boolean): Graph {
    const { config, storage } = this;
    return stamGraph(config, { videos, storage, framesPerPass: this.#framesOf(videos, this.#wanted), keep });
  }

  override passes(videos: number): PassChoice | undefined {
    if (this.#given !== undefined) return undefined;
    const counts = [...new Set(framesToTry.map((wanted) => this.#framesOf(videos, wanted)))];
    return { counts, graph: (count) => spatialGraph(this.config, this.storage, count) };
  }

  override adopt(tuning: Tuning | undefined): void {
    super.adopt(tuning);
    this.#measured = this.#given === undefined ? tuning?.pass : undefined;
  }

  /** How many frames go through the spatial transformer of V videos at a time, how many might at most, and what says so. */
  frames(videos: number): {
    readonly frames: number;
    readonly most: number;
    readonly by: 'option' | 'tuning' | 'rule';
  } {
    const by = this.#given !== undefined ? 'option' : this.#measured ? 'tuning' : 'rule';
    return { frames: this.#framesOf(videos, this.#wanted), most: this.#wanted, by };
  }

  get #byRule(): number {
    return framesByRule[this.device.capabilities.adapter.software ? 'software' : 'gpu'];
  }

  get #wanted(): number {
    if (this.#given !== undefined) return this.#given;
    if (!this.#measured) return this.#byRule;
    const { items, tried } = this.#measured;
    // where the largest pass won, a batch of more frames than were measured may gain by a larger one
    return items === tried.at(-1)?.items ? Math.max(items, this.#byRule) : items;
  }

  /** Frames of a pass over V videos, if so many are wanted. */
  #framesOf(videos: number, wanted: number): number {
    const { config, storage } = this;
    return framesPerPass(config, { videos, storage, wanted }, this.device.capabilities);
  }
}
