// The options that say what to run on and in which precision, and the device they lead to.
import { Device, describeAdapter, formatAdapter } from '../engine/device.ts';
import { requestNodeAdapter } from '../engine/node-adapter.ts';
import { UsageError } from './command.ts';

export const adapterOption = {
  type: 'string',
  placeholder: 'auto|software|SUBSTRING',
  description:
    "the GPU to use: the system's, the bundled software adapter, or one by a part of its name; default STAM_ADAPTER, else auto",
} as const;

export const dtypeOption = {
  type: 'choice',
  choices: ['auto', 'f32', 'f16'],
  default: 'auto',
  description: 'how numbers are stored; auto is f16 on a GPU that computes with it, else f32',
} as const;

export const tuneOption = {
  type: 'choice',
  choices: ['off', 'cached', 'full'],
  default: 'cached',
  description:
    'how kernels are chosen: by rule, by the last tuning (a GPU without one is tuned now), or by trying the candidates in any case',
} as const;

export const uncheckedOption = {
  type: 'flag',
  description:
    'shaders run without checks of indices, and with workgroup memory as they find it: what these cost a kernel, and more than a browser allows',
} as const;

/** What stands behind an adapter's name where shaders run unchecked. */
export function uncheckedText(unchecked: boolean): string {
  return unchecked ? ', indices unchecked' : '';
}

export interface OpenOptions {
  /** Dawn's own checks in shaders are left out. */
  readonly unchecked?: boolean;
  /** Nothing runs: a software adapter's compiler may be asked what it makes of unchecked shaders. */
  readonly compileOnly?: boolean;
}

/** What --adapter asks for, or the environment, or nobody. */
export function adapterChoice(option: string | undefined): string {
  return option ?? process.env['STAM_ADAPTER'] ?? 'auto';
}

/**
 * The adapter asked for, with everything the engine can use. Its name goes to the log: nobody is to guess what computed a result. Throws
 * UsageError for a software adapter that is to run unchecked shaders: an index out of bounds there is one in this very process.
 */
export async function openDevice(
  choice: string | undefined,
  log: (line: string) => void,
  { unchecked = false, compileOnly = false }: OpenOptions = {},
): Promise<Device> {
  const { adapter, origin } = await requestNodeAdapter(adapterChoice(choice), { unchecked });
  const description = describeAdapter(adapter.info);
  if (unchecked && description.software && origin !== 'null' && !compileOnly) {
    throw new UsageError(`--unchecked: not on a software adapter; got ${formatAdapter(description)}`);
  }
  const device = await Device.request(adapter);
  const bundled = origin === 'bundled' ? ', bundled with an npm package' : '';
  log(`adapter: ${formatAdapter(device.capabilities.adapter)}${bundled}${uncheckedText(unchecked)}`);
  return device;
}
