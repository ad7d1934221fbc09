// The options that say what to run on and in which precision, and the device they lead to.
import { Device, formatAdapter } from '../engine/device.ts';
import { requestNodeAdapter } from '../engine/node-adapter.ts';

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

/** What --adapter asks for, or the environment, or nobody. */
export function adapterChoice(option: string | undefined): string {
  return option ?? process.env['STAM_ADAPTER'] ?? 'auto';
}

/** The adapter asked for, with everything the engine can use. Its name goes to the log: nobody is to guess what computed a result. */
export async function openDevice(choice: string | undefined, log: (line: string) => void): Promise<Device> {
  const { adapter, origin } = await requestNodeAdapter(adapterChoice(choice));
  const device = await Device.request(adapter);
  const { capabilities } = device;
  const bundled = origin === 'bundled' ? ', bundled with an npm package' : '';
  log(`adapter: ${formatAdapter(capabilities.adapter)}${bundled}`);
  return device;
}
