// stam bench --kernels: every kernel that could run any operator of the models, checked, timed and ranked on this adapter.
import fs from 'node:fs/promises';
import { measureCeiling } from '../bench/ceiling.ts';
import { measureMatrices } from '../bench/ceiling-matrix.ts';
import { measureOthers } from '../bench/ceiling-units.ts';
import type { KernelReport } from '../bench/kernel-report.ts';
import { ceilingLines, kernelTables, unreachedText } from '../bench/kernel-tables.ts';
import { measureKernels } from '../bench/kernels.ts';
import { problemsOf } from '../bench/problems.ts';
import { unlessAborted } from '../engine/abort.ts';
import type { Device } from '../engine/device.ts';
import { formatAdapter } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { version } from '../engine/version.ts';
import { namedConfig } from '../model/config.ts';
import type { DType } from '../model/planner.ts';
import { chooseStorage, Planner } from '../model/planner.ts';
import { testSize } from '../model/views.ts';
import { atSize, x3dConfigs } from '../model/x3d-config.ts';
import { X3dPlanner } from '../model/x3d-model.ts';
import { openDevice, uncheckedText } from './adapter.ts';
import type { Context } from './command.ts';

export interface KernelOptions {
  /** stam_16 when empty. */
  readonly models: readonly string[];
  readonly dtype: DType;
  /** Videos of a run, of X3D views. */
  readonly batch: number;
  readonly seconds: number | undefined;
  readonly adapter: string | undefined;
  readonly unchecked: boolean;
  readonly json: string | undefined;
}

/** What all kernels together may take, unless somebody says otherwise. */
const defaultSeconds = { gpu: 120, software: 400 } as const;

/** After so long a candidate is named that is still compiling or running. */
const stillMs = 20_000;

/** Measures, prints the tables, writes the report. Interrupted among the kernels, it does so with what it has. */
export async function benchKernels({ values, signal, stdout, log, progress }: Context<KernelOptions>): Promise<void> {
  const { batch, unchecked, adapter: choice } = values;
  const devices: Device[] = [];
  const open = async () => {
    const device = await openDevice(choice, log, { unchecked });
    devices.push(device);
    return device;
  };
  try {
    const device = await open();
    const { adapter, features } = device.capabilities;
    const dtype = chooseStorage(values.dtype, device);
    const models = values.models.length > 0 ? values.models : ['stam_16'];
    const graphs = new Map(models.map((model) => [model, plannerOf(model, device, dtype).graph(batch)]));
    const problems = problemsOf(graphs, device.capabilities);
    log('measuring the ceilings of the adapter');
    const basic = await unlessAborted(measureCeiling(device), signal);
    const matrices = await unlessAborted(measureMatrices(device, log), signal);
    const ceilings = { ...basic, ...(await unlessAborted(measureOthers(device), signal)), matrices };
    const bar = progress('kernels', problems.length, 'problems');
    let isStill: NodeJS.Timeout | undefined;
    const rows = await measureKernels(device, problems, {
      seconds: values.seconds ?? defaultSeconds[adapter.software ? 'software' : 'gpu'],
      ceilings: { basic, matrices },
      signal,
      onProgress: (done, note) => {
        bar.update(done, note);
        // should a driver hang or end the process, this was the one
        clearTimeout(isStill);
        isStill = setTimeout(() => log(`still at ${note}`), stillMs).unref();
      },
      renew: async () => {
        log('the device was lost; another takes its place');
        return await open();
      },
    });
    clearTimeout(isStill);
    if (!signal.aborted) bar.finish();
    const report: KernelReport = {
      version,
      date: new Date().toISOString(),
      adapter,
      features: [...features].sort(),
      unchecked,
      dtype,
      batch,
      ceilings,
      rows,
    };
    const what = `${models.join(', ')} in ${dtype}, batch ${batch}`;
    stdout(`${formatAdapter(adapter)}${uncheckedText(unchecked)}; kernels of ${what}\n\n${ceilingLines(report)}\n`);
    stdout(`> is what the rules choose\n\n${kernelTables(rows)}`);
    const unreached = unreachedText(rows);
    if (unreached !== undefined) stdout(`\n${unreached}`);
    if (values.json !== undefined) await fs.writeFile(values.json, `${JSON.stringify(report, undefined, 1)}\n`);
  } finally {
    for (const device of devices) device.dispose();
  }
}

function plannerOf(model: string, device: Device, dtype: StorageType) {
  const x3d = x3dConfigs.get(model);
  if (x3d) return new X3dPlanner(device, atSize(x3d, testSize(x3d.imageSize)), dtype);
  return new Planner(device, namedConfig(model), dtype);
}
