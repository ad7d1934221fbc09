// What every model on a device tells of its network, whatever that is fed.
import type { Device } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import type { Program } from '../engine/program.ts';
import type { TuningOutcome } from '../engine/tuning.ts';
import type { LoadTimes, Network } from './network.ts';

export abstract class NetworkModel {
  protected readonly network: Network;

  protected constructor(network: Network) {
    this.network = network;
  }

  get device(): Device {
    return this.network.device;
  }

  get storage(): StorageType {
    return this.network.storage;
  }

  /** Where the choice of kernels comes from, and what was tried. */
  get tuning(): TuningOutcome {
    return this.network.tuning;
  }

  get loadTimes(): LoadTimes {
    return this.network.loadTimes;
  }

  /** What was made up for the checkpoint or left out of it, and which kernels failed the self-check so far. */
  get notices(): readonly string[] {
    return this.network.notices;
  }

  /** How many kernels were tried on the device and what came of it, for people. */
  get selfCheck(): string {
    return this.network.selfCheck;
  }

  get weightBytes(): number {
    return this.network.weightBytes;
  }

  /** The program that runs of V videos have, made when first asked for, and kept until an app's encode() takes it. */
  program(videos: number): Promise<Program> {
    return this.network.program(videos);
  }
}
