// The tuner on a device: what is loaded when a graph is tuned.
import type { Device } from './device.ts';
import type { Graph } from './graph.ts';
import { DeviceTestbed } from './trial.ts';
import type { Tuning } from './tuned.ts';
import type { TuneOptions } from './tuner.ts';
import { tune } from './tuner.ts';

/** tune() on the device itself. */
export async function tuneDevice(device: Device, graph: Graph, options: TuneOptions): Promise<Tuning> {
  const testbed = await DeviceTestbed.create(device);
  try {
    return await tune(testbed, graph, options);
  } finally {
    testbed.dispose();
  }
}
