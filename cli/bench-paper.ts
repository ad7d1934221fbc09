// stam bench --table paper: the models of the paper's table on this adapter, beside the paper's figures.
import fs from 'node:fs/promises';
import { estimateLines, expectedCeiling } from '../bench/estimate.ts';
import { gmacsOf } from '../bench/gmacs.ts';
import { figureOf, paperFigures } from '../bench/paper.ts';
import type { PaperReport, PaperRow } from '../bench/paper-table.ts';
import { comparisonTable, rowFromOther, rowOfRuns } from '../bench/paper-table.ts';
import type { Runnable } from '../bench/timed-runs.ts';
import { timeRuns } from '../bench/timed-runs.ts';
import type { Device } from '../engine/device.ts';
import { formatAdapter } from '../engine/device.ts';
import { version } from '../engine/version.ts';
import type { DType } from '../model/planner.ts';
import { StamModel } from '../model/stam-model.ts';
import { testSize } from '../model/views.ts';
import { x3dConfigs } from '../model/x3d-config.ts';
import { X3dModel } from '../model/x3d-model.ts';
import { openDevice } from './adapter.ts';
import { plannerOf, taskOf } from './bench-tasks.ts';
import type { Context } from './command.ts';
import { UsageError } from './command.ts';
import { computeProgress, loadProgress } from './load-progress.ts';
import { openModelSource, openX3dSource } from './model-source.ts';
import { referenceLogits } from './reference.ts';

/** The models that the table has. */
export const paperModels: readonly string[] = paperFigures.map(({ model }) => model);

export interface PaperOptions {
  /** Rows; all when empty. */
  readonly models: readonly string[];
  readonly dtype: DType;
  readonly tune: 'off' | 'cached' | 'full';
  /** Videos to time, on a software adapter views of X3D. */
  readonly videos: number | undefined;
  readonly adapter: string | undefined;
  readonly json: string | undefined;
}

interface Bench extends Context<PaperOptions> {
  readonly device: Device;
}

/** On a GPU so many views of X3D make a run, and so many of them go through the network at a time. */
const viewsOfRun = 6;
const viewsPerPass = 3;

/** Timed on a GPU, unless somebody asks for more or fewer. */
const videosOnGpu = 5;

/** The references are for these. */
const weights = 'synthetic:1';

/** Measures, prints the table, writes the report. Throws UsageError for a model that the table has not. */
export async function benchPaper(context: Context<PaperOptions>): Promise<void> {
  const { values, stdout, log } = context;
  const foreign = values.models.find((model) => !paperModels.includes(model));
  if (foreign !== undefined) {
    throw new UsageError(`--models: --table paper has no ${foreign}; expected ${paperModels.join(', ')}`);
  }
  const device = await openDevice(values.adapter, log);
  const { adapter } = device.capabilities;
  try {
    const rows: PaperRow[] = [];
    const models = values.models.length > 0 ? values.models : paperModels;
    for (const line of await announced(models, { ...context, device })) log(line);
    for (const model of models) {
      rows.push(await rowOf(model, { ...context, device }, rows));
    }
    stdout(`${formatAdapter(adapter)}\n`);
    stdout(comparisonTable(rows));
    const report: PaperReport = { version, date: new Date().toISOString(), adapter, rows, paper: paperFigures };
    if (values.json !== undefined) await fs.writeFile(values.json, `${JSON.stringify(report, undefined, 1)}\n`);
  } finally {
    device.dispose();
  }
}

/** Whether a row is not measured where stam_16's is, from which it can be told. */
function isDerived(model: string, { device, values }: Bench): boolean {
  return model === 'stam_64' && !values.models.includes(model) && device.capabilities.adapter.software;
}

/** How the runs of a model are timed. */
function timingOf(model: string, { device, values }: Bench) {
  const { software } = device.capabilities.adapter;
  const batch = !x3dConfigs.has(model) || software ? 1 : viewsOfRun;
  const runs = software ? (values.videos ?? 1) : (values.videos ?? videosOnGpu) * (figureOf(model).views / batch);
  return { batch, runs, warmUps: software ? 0 : 2 };
}

/** What is about to be measured, and about how long that takes by what such an adapter should reach. */
async function announced(models: readonly string[], bench: Bench): Promise<string[]> {
  const { device, values } = bench;
  const measured = models.filter((model) => !isDerived(model, bench));
  const tasks = await Promise.all(
    measured.map((model) => taskOf(model, device, { ...values, ...timingOf(model, bench) })),
  );
  return estimateLines(tasks, device.capabilities.adapter, expectedCeiling(device.capabilities));
}

async function rowOf(model: string, bench: Bench, before: readonly PaperRow[]): Promise<PaperRow> {
  const { device, values } = bench;
  const other = before.find((row) => row.model === 'stam_16');
  if (other && isDerived(model, bench)) {
    const planner = plannerOf(model, device, values.dtype);
    return rowFromOther(model, gmacsOf(planner.plan(planner.graph(1))), other);
  }
  const isX3d = x3dConfigs.has(model);
  const { batch: perRun, ...timing } = timingOf(model, bench);
  const { network, close, inputElements, reference } = await (isX3d ? loadX3d : loadStam)(model, perRun, bench);
  try {
    const { software } = device.capabilities.adapter;
    const computing = computeProgress(bench.progress, `${model}: run`);
    const { storage, gmacs, times, processorMs, error } = await timeRuns(network, {
      model,
      inputElements,
      perRun,
      ...timing,
      reference: await referenceLogits(reference, bench.signal),
      relative: isX3d,
      signal: bench.signal,
      onRun: computing.update,
    });
    computing.finish();
    return rowOfRuns(model, times, perRun, {
      gmacsPerView: gmacs,
      dtype: storage,
      maxError: error,
      processorMs: software ? processorMs : null,
    });
  } finally {
    network.dispose();
    await close();
  }
}

interface LoadedModel {
  readonly network: Runnable;
  readonly inputElements: number;
  /** The name of the stored logits. */
  readonly reference: string;
  /** Closes the weights. */
  close(): Promise<void>;
}

async function loadX3d(
  model: string,
  perRun: number,
  { device, values, signal, log, progress }: Bench,
): Promise<LoadedModel> {
  const size = testSize(x3dConfigs.get(model)?.imageSize ?? 0);
  const source = await openX3dSource({ model, weights, key: undefined, signal, log }, size);
  if (!source) throw new UsageError(`--models: no X3D; got ${model}`);
  const { config, checkpoint } = source;
  const { dtype, tune } = values;
  const bar = loadProgress(progress);
  const sizes = { videos: perRun, videosPerPass: Math.min(perRun, viewsPerPass) };
  const options = { dtype, tune, ...sizes, signal, onProgress: bar.update, onNotice: log };
  const network = await X3dModel.load(device, config, checkpoint, options);
  bar.finish();
  const inputElements = 3 * config.frames * config.imageSize ** 2;
  return { network, inputElements, reference: `${model}.${size}`, close: () => checkpoint.close() };
}

async function loadStam(
  model: string,
  perRun: number,
  { device, values, signal, log, progress }: Bench,
): Promise<LoadedModel> {
  const { config, checkpoint } = await openModelSource({
    model,
    weights,
    key: undefined,
    heads: undefined,
    signal,
    log,
  });
  const { dtype, tune } = values;
  const bar = loadProgress(progress);
  const options = { dtype, tune, videos: perRun, signal, onProgress: bar.update, onNotice: log };
  const network = await StamModel.load(device, config, checkpoint, options);
  bar.finish();
  const inputElements = 3 * config.frames * config.imageSize ** 2;
  return { network, inputElements, reference: model, close: () => checkpoint.close() };
}
