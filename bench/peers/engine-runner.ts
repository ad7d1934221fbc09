// This engine as one program of a comparison.
import { Device } from '../../engine/device.ts';
import { requestNodeAdapter, systemAdapterNames } from '../../engine/node-adapter.ts';
import { version } from '../../engine/version.ts';
import { openSynthetic, unit } from '../../loaders/synthetic.ts';
import { namedConfig } from '../../model/config.ts';
import { StamModel } from '../../model/stam-model.ts';
import { weightShapes } from '../../model/weights.ts';
import { loadedLibraries } from './driver.ts';
import type { Runner } from './protocol.ts';
import { stopwatch } from './stopwatch.ts';

export function engineRunner(): Runner {
  let stam: StamModel | undefined;
  const loaded = () => {
    if (stam) return stam;
    throw new Error('no model is loaded');
  };
  return {
    async adapter({ choice }) {
      const { adapter, origin } = await requestNodeAdapter(choice);
      const { capabilities } = await Device.request(adapter);
      return { adapter: capabilities.adapter, origin, names: await systemAdapterNames() };
    },
    async load({ model, dtype }) {
      // the drivers that this process was given show the adapter asked for and nothing else
      const { adapter } = await requestNodeAdapter('auto');
      const device = await Device.request(adapter);
      const config = namedConfig(model);
      stam = await StamModel.load(device, config, openSynthetic(1, weightShapes(config)), { dtype });
      return { version, dtype: stam.storage, adapter: device.capabilities.adapter, libraries: loadedLibraries() };
    },
    async warmUp() {
      const { ms, cpuMs } = await stopwatch(async () => (await loaded().program(1)).warmUp());
      return { ms, cpuMs, logits: new Float32Array() };
    },
    async run() {
      const { frames, imageSize } = loaded().config;
      const pixels = unit(1, 'frames', frames * 3 * imageSize ** 2);
      const { result, ms, cpuMs } = await stopwatch(() => loaded().run(pixels));
      return { ms, cpuMs, logits: result.get('logits') ?? new Float32Array() };
    },
  };
}
