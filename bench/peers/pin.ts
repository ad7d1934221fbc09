// From the adapter asked for to an environment in which every program sees that adapter and no other.
import path from 'node:path';
import type { AdapterDescription } from '../../engine/device.ts';
import { StamError } from '../../engine/errors.ts';
import { unpackBundledDriver } from '../../engine/node-adapter.ts';
import type { Driver } from './driver.ts';
import { pinnedEnvironment, readDriver, systemDrivers } from './driver.ts';
import type { Program } from './program.ts';
import { outOfTime } from './program.ts';
import type { AdapterReply } from './protocol.ts';

export interface Pin {
  readonly adapter: AdapterDescription;
  /** Undefined where no driver can be chosen: then every program takes the system's default. */
  readonly driver: Driver | undefined;
  readonly env: NodeJS.ProcessEnv;
  /** How, in words. */
  readonly description: string;
}

/** Starts this engine in an environment of its own. */
export type StartEngine = (env: NodeJS.ProcessEnv) => Program;

/**
 * Finds the driver that shows the adapter `choice`, by starting this engine with each driver alone. Throws no-adapter when there is
 * none, and unsupported where the adapter is not the system's default and programs cannot be held to it.
 */
export async function pinAdapter(choice: string, start: StartEngine): Promise<Pin> {
  const wanted = await askAdapter(start(process.env), choice);
  const { adapter } = wanted;
  if (wanted.origin === 'bundled') {
    const folder = unpackBundledDriver();
    const driver = folder === undefined ? undefined : readDriver(path.join(folder, 'vk_swiftshader_icd.json'));
    if (driver) return pinTo(driver, adapter, folder);
  }
  for (const driver of process.platform === 'linux' ? systemDrivers() : []) {
    const shown = await askAdapter(start(pinnedEnvironment(driver)), 'auto').catch(() => undefined);
    if (!shown || JSON.stringify(shown.adapter) !== JSON.stringify(adapter)) continue;
    if (shown.names.length > 1) {
      throw unpinnable(adapter, `its driver shows ${shown.names.length} adapters: ${shown.names.join('; ')}`);
    }
    return pinTo(driver, adapter);
  }
  if (choice !== 'auto') throw unpinnable(adapter, 'no Vulkan driver shows it and nothing else');
  return {
    adapter,
    driver: undefined,
    env: process.env,
    description: "not pinned: each program takes the system's default",
  };
}

function pinTo(driver: Driver, adapter: AdapterDescription, loader?: string): Pin {
  return {
    adapter,
    driver,
    env: pinnedEnvironment(driver, loader),
    description: `each program with VK_DRIVER_FILES=${path.basename(driver.manifest)}`,
  };
}

async function askAdapter(engine: Program, choice: string): Promise<AdapterReply> {
  try {
    const reply = await engine.ask('adapter', { choice });
    if (reply === outOfTime) throw new RangeError('adapter: asked without a limit');
    return reply;
  } finally {
    engine.end();
  }
}

function unpinnable(adapter: AdapterDescription, got: string): StamError {
  return new StamError('unsupported', {
    where: `adapter ${adapter.description || adapter.device}`,
    problem: 'onnxruntime cannot be held to this adapter',
    got,
    hint: 'set VK_DRIVER_FILES to the manifest of a driver that shows one adapter',
  });
}
