// What a bench is about to do: said on stderr before it begins, with about how long it takes.
import type { Task } from '../bench/estimate.ts';
import { flopsOf } from '../bench/estimate.ts';
import type { Device } from '../engine/device.ts';
import { defaultTextStore } from '../engine/text-stores.ts';
import type { TuneMode } from '../engine/tuning.ts';
import { knownTuning } from '../engine/tuning.ts';
import { namedConfig } from '../model/config.ts';
import type { DType, NetworkPlanner } from '../model/planner.ts';
import { chooseStorage, Planner } from '../model/planner.ts';
import { testSize } from '../model/views.ts';
import { atSize, x3dConfigs } from '../model/x3d-config.ts';
import { X3dPlanner } from '../model/x3d-model.ts';

export interface TaskOptions {
  readonly dtype: DType;
  readonly tune: TuneMode;
  /** Videos, of X3D views, that go in at a time. */
  readonly batch: number;
  /** How often they do, and before anything is timed. */
  readonly runs: number;
  readonly warmUps: number;
  /** Whether an earlier tuning is not taken. */
  readonly forgetful?: boolean;
}

/** Plans for a STAM, or for an X3D at the size of its tests. */
export function plannerOf(model: string, device: Device, dtype: DType): NetworkPlanner {
  const storage = chooseStorage(dtype, device);
  const x3d = x3dConfigs.get(model);
  if (x3d) return new X3dPlanner(device, atSize(x3d, testSize(x3d.imageSize)), storage);
  return new Planner(device, namedConfig(model), storage);
}

/** `stam_16, 20 videos in f16`, and what that takes. */
export async function taskOf(model: string, device: Device, options: TaskOptions): Promise<Task> {
  const { dtype, tune, batch, runs, warmUps, forgetful } = options;
  const planner = plannerOf(model, device, dtype);
  const family = x3dConfigs.has(model) ? 'x3d' : 'stam';
  const count = batch * runs;
  const noun = `${family === 'x3d' ? 'view' : 'video'}${count === 1 ? '' : 's'}`;
  const atATime = batch > 1 ? `, ${batch} at a time,` : '';
  return {
    name: `${model}, ${count} ${noun}${atATime} in ${planner.storage}`,
    flops: flopsOf(planner.graph(batch)) * (runs + warmUps),
    family,
    isTuned: await isTuned(),
  };

  async function isTuned(): Promise<boolean> {
    if (tune !== 'cached') return tune === 'full';
    if (device.capabilities.adapter.software) return false;
    const store = forgetful ? undefined : await defaultTextStore();
    return !(await knownTuning(device.capabilities, planner.use(batch), store)).tuning;
  }
}
