// stam info: what there is to run on, and which kernels would be chosen.
import type { Capabilities } from '../engine/device.ts';
import { formatAdapter } from '../engine/device.ts';
import { kernelLabel } from '../engine/kernel.ts';
import { systemAdapterNames } from '../engine/node-adapter.ts';
import { defaultTextStore } from '../engine/text-stores.ts';
import { formatTuned } from '../engine/tuned.ts';
import { knownTuning } from '../engine/tuning.ts';
import { version } from '../engine/version.ts';
import { namedConfig } from '../model/config.ts';
import { chooseStorage, Planner } from '../model/planner.ts';
import { adapterOption, openDevice } from './adapter.ts';
import { defineCommand } from './command.ts';
import { framesReason } from './frames-reason.ts';
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
    const planner = new Planner(device, namedConfig('stam_16'), storage);
    const known = await knownTuning(capabilities, planner.use(1), await defaultTextStore());
    planner.adopt(known.tuning);
    const plan = planner.plan(planner.graph(1));
    const chosen = new Map<string, { operator: string; kernel: string; calls: number }>();
    for (const command of plan.commands) {
      if (command.kind !== 'dispatch') continue;
      const kernel = kernelLabel(command.kernel);
      const before = chosen.get(kernel)?.calls ?? 0;
      chosen.set(kernel, { operator: command.operator, kernel, calls: before + 1 });
    }
    const features = [...capabilities.features].sort();
    const reason =
      storage === 'f16'
        ? 'a GPU with shader-f16'
        : adapter.software
          ? 'a software adapter gains little from f16'
          : 'no shader-f16';
    const why = [
      `dtype ${storage}: ${reason}`,
      `frames: ${framesReason(planner, 1)}`,
      `kernels: ${known.origin}`,
      ...(known.tuning?.problems.map(formatTuned) ?? [rule(capabilities)]),
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

/** Why the first candidates are first. */
function rule({ adapter, subgroupSize, laneRegisters }: Capabilities): string {
  if (adapter.software) {
    return subgroupSize === undefined
      ? 'tiles in workgroup memory: subgroups are missing or of varying size'
      : `subgroups: on a software adapter a load costs dozens of multiply-adds, and ${subgroupSize} lanes can share theirs`;
  }
  const registers = Number.isFinite(laneRegisters)
    ? `; kernels that take more than ${laneRegisters} registers of a lane come after those that do not`
    : '';
  return `tiles in workgroup memory, which is fast on a GPU${registers}`;
}
