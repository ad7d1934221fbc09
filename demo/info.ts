// What runs, and on what.
import type { Stam } from '../index.ts';
import { formatAdapter } from '../index.ts';
import { byId, element, formatBytes } from './dom.ts';

/** Fills the details of adapter and kernels. */
export function showInfo(stam: Stam): void {
  const { model, config, dtype, adapter, features, tuning, kernels } = stam.info();
  const { weights, activations, peak } = stam.memory();
  const facts: Readonly<Record<string, string>> = {
    Model: `${model}: ${config.frames} frames of ${config.imageSize} x ${config.imageSize}, ${config.classes} classes`,
    Adapter: formatAdapter(adapter),
    'Numbers stored in': dtype,
    'Kernels chosen by': tuning,
    'GPU memory': `${formatBytes(weights)} of weights, ${formatBytes(activations)} beside them, ${formatBytes(peak)} at most`,
    'WebGPU features': features.join(', ') || 'none beyond the core',
  };
  byId('info', HTMLElement).replaceChildren(
    ...Object.entries(facts).map(([name, text]) =>
      element('div', '', element('dt', '', name), element('dd', '', text)),
    ),
  );
  const table = byId('kernels', HTMLTableElement);
  table.hidden = false;
  table.tBodies[0].replaceChildren(
    ...kernels.map(({ kernel, calls }) => element('tr', '', element('td', '', kernel), element('td', '', `${calls}`))),
  );
}
