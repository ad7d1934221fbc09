// The tuner on a device of WebGPU's.
import type { Device } from '../../engine/device.ts';
import type { Graph } from '../../engine/graph.ts';
import { DeviceTestbed } from '../../engine/trial.ts';
import type { Tuning } from '../../engine/tuned.ts';
import type { TuneOptions } from '../../engine/tuner.ts';
import { tune } from '../../engine/tuner.ts';

export async function tuneDevice(device: Device, graph: Graph, options?: TuneOptions): Promise<Tuning> {
  const testbed = await DeviceTestbed.create(device);
  try {
    return await tune(testbed, graph, options);
  } finally {
    testbed.dispose();
  }
}
