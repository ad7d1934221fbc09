// stam info: what there is to run on, and which kernels would be chosen.
import { formatAdapter } from '../engine/device.ts';
import { kernelLabel } from '../engine/kernel.ts';
import { systemAdapterNames } from '../engine/node-adapter.ts';
import { createPlan } from '../engine/plan.ts';
import { version } from '../engine/version.ts';
import { namedConfig } from '../model/config.ts';
import { framesPerPass, stamGraph } from '../model/stam.ts';
import { chooseStorage } from '../model/stam-model.ts';
import { adapterOption, openDevice } from './adapter.ts';
import { defineCommand } from './command.ts';
import { formatTable } from './table.ts';

/** `stam info [--json]`. */
export const info = defineCommand({
  name: 'info',
  summary: 'shows adapters, features, limits and the kernels that would be chosen',
  positionals: [],
  options: {
    adapter: adapterOption,
    json: { type: 'flag', description: 'prints one JSON object instead of tables' },
  },
  async run({ values, stdout, log }) {
    const systemAdapters = await systemAdapterNames();
    const device = await openDevice(values.adapter, log);
    const { capabilities } = device;
    const { adapter, subgroupSize, limits } = capabilities;
    const storage = chooseStorage('auto', device);
    const config = namedConfig('stam_16');
    const pass = framesPerPass(config, { videos: 1, storage, wanted: config.frames }, capabilities);
    const plan = createPlan(stamGraph(config, { videos: 1, storage, framesPerPass: pass }), capabilities);
    const chosen = new Map<string, { operator: string; kernel: string; calls: number }>();
    for (const command of plan.commands) {
      if (command.kind !== 'dispatch') continue;
      const kernel = kernelLabel(command.kernel);
      const before = chosen.get(kernel)?.calls ?? 0;
      chosen.set(kernel, { operator: command.operator, kernel, calls: before + 1 });
    }
    const features = [...capabilities.features].sort();
    const why = [
      `dtype ${storage}: ${storage === 'f16' ? 'a GPU with shader-f16' : adapter.software ? 'a software adapter gains nothing from f16 arithmetic' : 'no shader-f16'}`,
      subgroupSize === undefined
        ? 'matmul-tile: subgroups are missing or of varying size'
        : adapter.software
          ? `matmul-subgroup: on a software adapter a load costs dozens of multiply-adds, and ${subgroupSize} lanes can share theirs`
          : 'matmul-tile: a GPU whose workgroup memory is fast',
    ];
    const report = {
      version,
      systemAdapters,
      adapter,
      features,
      subgroupSize: subgroupSize ?? null,
      limits,
      dtype: storage,
      why,
      kernels: [...chosen.values()],
    };
    device.dispose();
    if (values.json) {
      stdout(JSON.stringify(report, undefined, 1));
      return;
    }
    stdout(`stam-webgpu ${version}`);
    stdout(`system adapters: ${systemAdapters.join(', ') || 'none'}`);
    stdout(`adapter:         ${formatAdapter(adapter)}`);
    stdout(`subgroup size:   ${subgroupSize ?? 'none, or varying'}`);
    stdout(`features:        ${features.join(' ') || 'none'}\n`);
    stdout(formatTable([{ title: 'limit' }, { title: 'value', align: 'right' }], Object.entries(limits)));
    stdout('\nkernels for stam_16, one video');
    stdout(
      formatTable(
        [{ title: 'operator' }, { title: 'kernel' }, { title: 'calls', align: 'right' }],
        [...chosen.values()].map(({ operator, kernel, calls }) => [operator, kernel, calls]),
      ),
    );
    stdout(`\n${why.join('\n')}`);
  },
});
