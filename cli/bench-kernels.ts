// stam bench --kernels: every kernel that could run any operator of the models, checked, timed and ranked on this adapter.
import fs from 'node:fs/promises';
import { measureCeiling } from '../bench/ceiling.ts';
import { measureMatrices } from '../bench/ceiling-matrix.ts';
import { measureOthers } from '../bench/ceiling-units.ts';
import { about, ceilingsMs } from '../bench/estimate.ts';
import type { KernelReport } from '../bench/kernel-report.ts';
import { ceilingLines, kernelTables, unreachedText } from '../bench/kernel-tables.ts';
import { measureKernels } from '../bench/kernels.ts';
import { problemsOf } from '../bench/problems.ts';
import { unlessAborted } from '../engine/abort.ts';
import type { Device } from '../engine/device.ts';
import { formatAdapter } from '../engine/device.ts';
import { version } from '../engine/version.ts';
import type { DType } from '../model/planner.ts';
import { chooseStorage } from '../model/planner.ts';
import { openDevice, uncheckedText } from './adapter.ts';
import { plannerOf } from './bench-tasks.ts';
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

/** What measureOthers() takes. */
const otherCeilingsMs = 8000;

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
    const seconds = values.seconds ?? defaultSeconds[adapter.software ? 'software' : 'gpu'];
    const candidates = problems.reduce((sum, problem) => sum + problem.candidates.length, 0);
    const what = `${models.join(', ')} in ${dtype}, batch ${batch}`;
    log(
      `kernels of ${what}: ${candidates} for ${problems.length} problems, at most ${about(1000 * seconds)} (--seconds)`,
    );
    log(
      `measuring the ceilings of the adapter first: about ${about(ceilingsMs(device.capabilities) + otherCeilingsMs)}`,
    );
    const basic = await unlessAborted(measureCeiling(device), signal);
    const matrices = await unlessAborted(measureMatrices(device, log), signal);
    const ceilings = { ...basic, ...(await unlessAborted(measureOthers(device), signal)), matrices };
    const bar = progress('kernels', problems.length, 'problems');
    let isStill: NodeJS.Timeout | undefined;
    const rows = await measureKernels(device, problems, {
      seconds,
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
    stdout(`${formatAdapter(adapter)}${uncheckedText(unchecked)}; kernels of ${what}\n\n${ceilingLines(report)}\n`);
    stdout(`> is what the rules choose\n\n${kernelTables(rows)}`);
    const unreached = unreachedText(rows);
    if (unreached !== undefined) stdout(`\n${unreached}`);
    if (values.json !== undefined) await fs.writeFile(values.json, `${JSON.stringify(report, undefined, 1)}\n`);
  } finally {
    for (const device of devices) device.dispose();
  }
}
