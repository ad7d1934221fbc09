// stam bench: videos per second on this adapter, beside the paper's.
import fs from 'node:fs/promises';
import { measureCeiling } from '../bench/ceiling.ts';
import { measureMatrices } from '../bench/ceiling-matrix.ts';
import { compareReports, comparisonText, parseReport, regressions } from '../bench/compare.ts';
import { about, ceilingsMs, estimateLines } from '../bench/estimate.ts';
import { measure } from '../bench/harness.ts';
import { arithmeticCeiling } from '../bench/kernel-units.ts';
import type { BenchReport, BenchRow } from '../bench/report.ts';
import { benchTable, coldStart, kernelTable, paperTable } from '../bench/tables.ts';
import { formatAdapter } from '../engine/device.ts';
import type { Timing } from '../engine/profiler.ts';
import { chromeTrace } from '../engine/profiler.ts';
import type { TextStore } from '../engine/text-store.ts';
import { formatTuned } from '../engine/tuned.ts';
import { version } from '../engine/version.ts';
import { configs } from '../model/config.ts';
import { chooseStorage } from '../model/planner.ts';
import { adapterOption, dtypeOption, openDevice, tuneOption, uncheckedOption, uncheckedText } from './adapter.ts';
import { benchKernels } from './bench-kernels.ts';
import { benchPaper, paperModels } from './bench-paper.ts';
import { taskOf } from './bench-tasks.ts';
import { checkpointFile, keyOption } from './checkpoint-file.ts';
import { defineCommand, UsageError } from './command.ts';
import { computeProgress, loadProgress } from './load-progress.ts';
import { openModelSource, syntheticSeed } from './model-source.ts';
import { referenceLogits } from './reference.ts';

/** `stam bench [--models stam_16,...] [--kernels] [--unchecked]`. */
export const bench = defineCommand({
  name: 'bench',
  summary: 'measures videos per second and checks the logits against the official code',
  positionals: [
    {
      placeholder: 'REPORT',
      description: 'with --compare: two files that --json wrote',
      repeated: true,
      optional: true,
    },
  ],
  options: {
    models: {
      type: 'choice',
      choices: [...new Set([...configs.keys(), ...paperModels])],
      repeated: true,
      description:
        'what to measure; default: every STAM on a GPU, stam_16 on a software adapter and with --kernels; with --table: its rows. X3D is ' +
        'measured with --table and --kernels',
    },
    table: {
      type: 'choice',
      choices: ['paper'],
      description:
        "measures the models of the paper's table and prints it beside the paper's figures: on a GPU whole videos, on a software adapter one " +
        'view of each X3D and one video of stam_16, from which the rest is extrapolated and marked; a stam_64 that --models names is measured',
    },
    kernels: {
      type: 'flag',
      description:
        'measures kernels in place of models: every one that could run any operator of the models, each checked against plain loops before ' +
        'its time counts, the fastest first, beside the ceiling of the unit that it keeps busy',
    },
    seconds: {
      type: 'number',
      minimum: 1,
      placeholder: 'S',
      description:
        'with --kernels: what they may take; what is not reached is named. Default 120 on a GPU, 400 on a software adapter',
    },
    unchecked: uncheckedOption,
    dtype: dtypeOption,
    adapter: adapterOption,
    videos: {
      type: 'integer',
      minimum: 1,
      placeholder: 'N',
      description:
        'videos to time; default 20 on a GPU, one batch on a software adapter; with --table 5 and 1, the 1 being a view of X3D',
    },
    batch: { type: 'integer', minimum: 1, default: 1, placeholder: 'N', description: 'videos of one run' },
    weights: {
      type: 'string',
      default: 'synthetic:1',
      placeholder: 'synthetic:SEED|FILE',
      description: `weights made by rule, or ${checkpointFile}; synthetic:1 has reference logits, others are timed unchecked`,
    },
    key: keyOption,
    tune: tuneOption,
    profile: {
      type: 'string',
      placeholder: 'FILE.json',
      description: 'writes a Chrome trace and prints the time of each kernel',
    },
    json: { type: 'string', placeholder: 'FILE', description: 'writes the report as JSON' },
    compare: { type: 'flag', description: 'measures nothing and compares two reports, the earlier one first' },
    threshold: {
      type: 'number',
      minimum: 0,
      default: 10,
      placeholder: 'PERCENT',
      description: 'with --compare: the loss of videos per second that is a failure',
    },
  },
  async run(context) {
    const { values, positionals, signal, stdout, log, progress } = context;
    if (values.compare) return compare(positionals, values.threshold, stdout);
    if (positionals.length > 0) throw new UsageError(`too many arguments; got '${positionals[0]}' without --compare`);
    if (values.kernels) {
      refuseWith('--kernels', {
        '--table': values.table !== undefined,
        '--videos': values.videos !== undefined,
        '--weights': values.weights !== 'synthetic:1',
        '--key': values.key !== undefined,
        '--tune': values.tune !== 'cached',
        '--profile': values.profile !== undefined,
      });
      return await benchKernels(context);
    }
    if (values.seconds !== undefined) throw new UsageError('--seconds: only with --kernels');
    if (values.table) {
      if (values.unchecked) throw new UsageError('--unchecked: not with --table');
      if (values.batch !== 1) throw new UsageError('--batch: not with --table');
      if (values.profile !== undefined) throw new UsageError('--profile: not with --table');
      if (values.weights !== 'synthetic:1')
        throw new UsageError('--weights: not with --table, which takes synthetic:1');
      if (values.key !== undefined) throw new UsageError('--key: not with --table');
      return await benchPaper(context);
    }
    const x3d = values.models.find((model) => !configs.has(model));
    if (x3d !== undefined) throw new UsageError(`--models: ${x3d} is measured with --table paper or --kernels`);
    const { unchecked } = values;
    const device = await openDevice(values.adapter, log, { unchecked });
    const { adapter, features } = device.capabilities;
    const { batch } = values;
    const models = values.models.length ? values.models : adapter.software ? ['stam_16'] : [...configs.keys()];
    const runs = Math.ceil((values.videos ?? (adapter.software ? batch : 20)) / batch);
    if (values.profile !== undefined && !features.has('timestamp-query')) {
      throw new UsageError('--profile: this adapter has no timestamp-query');
    }
    const warmUps = adapter.software ? 0 : 2;
    const { dtype, tune } = values;
    const options = { dtype, tune, batch, runs, warmUps, forgetful: unchecked };
    const tasks = await Promise.all(models.map((model) => taskOf(model, device, options)));
    log(`measuring the ceilings of the adapter: about ${about(ceilingsMs(device.capabilities))}`);
    const ceiling = await measureCeiling(device);
    const matrixCeilings = await measureMatrices(device, log);
    const ceilings = { basic: ceiling, matrices: matrixCeilings };
    const reach = arithmeticCeiling(chooseStorage(dtype, device), ceilings);
    for (const line of estimateLines(tasks, adapter, reach)) log(line);
    const rows: BenchRow[] = [];
    const timings: Timing[] = [];
    for (const model of models) {
      const { config, checkpoint } = await openModelSource({
        model,
        weights: values.weights,
        key: values.key,
        heads: undefined,
        signal,
        log,
      });
      const loading = loadProgress(progress);
      let computing = computeProgress(progress, `${model}: run`);
      const { row, timings: measured } = await measure(device, {
        model,
        config,
        checkpoint,
        dtype,
        tune,
        batch,
        runs,
        warmUps,
        ceilings,
        // what is fastest unchecked is not what other runs are to be given
        tuningStore: unchecked ? nowhere : undefined,
        reference: syntheticSeed('--weights', values.weights) === 1 ? await referenceLogits(model, signal) : undefined,
        signal,
        onLoad: (report) => {
          loading.update(report);
          if (report.stage === 'ready') loading.finish();
        },
        onNotice: log,
        onRun: (done, total) => {
          computing.update(done, total);
          if (done < total) return;
          computing.finish();
          computing = computeProgress(progress, `${model}: run`);
        },
      });
      await checkpoint.close();
      rows.push(row);
      timings.push(...measured);
    }
    const report: BenchReport = {
      version,
      date: new Date().toISOString(),
      adapter,
      features: [...features].sort(),
      ceiling,
      matrixCeilings,
      unchecked,
      rows,
    };
    const ofMatrices = matrixCeilings.map(
      ({ component, m, n, k, accumulators, gflops }) =>
        `, ${gflops.toFixed(1)} by ${accumulators} matrices of ${component} ${m}x${n}x${k}`,
    );
    stdout(
      `${formatAdapter(adapter)}${uncheckedText(unchecked)}, ceiling ${ceiling.gflops.toFixed(1)} GFLOP/s, ${ceiling.gbps.toFixed(1)} GB/s${ofMatrices.join('')}\n`,
    );
    stdout(benchTable(rows));
    for (const row of rows) stdout(coldStart(row));
    for (const { model, tuning } of rows) {
      stdout(`${model}: kernels ${tuning.origin}`);
      for (const problem of tuning.problems) stdout(`  ${formatTuned(problem)}`);
    }
    if (values.profile !== undefined) {
      for (const row of rows) stdout(`\n${row.model}\n${kernelTable(row.kernels)}`);
      await fs.writeFile(values.profile, chromeTrace(timings, formatAdapter(adapter)));
      log(`${values.profile}: ${timings.length} dispatches`);
    }
    stdout(`\n${paperTable()}`);
    if (values.json !== undefined) await fs.writeFile(values.json, `${JSON.stringify(report, undefined, 1)}\n`);
    device.dispose();
  },
});

/** Throws UsageError for the first option that was given and has no meaning beside `flag`. */
function refuseWith(flag: string, given: Readonly<Record<string, boolean>>): void {
  const option = Object.keys(given).find((name) => given[name]);
  if (option !== undefined) throw new UsageError(`${option}: not with ${flag}`);
}

/** Keeps no tuning. */
const nowhere: TextStore = { read: async () => undefined, write: async () => undefined };

/** Prints how two reports differ. Throws when the later one is slower by more than `threshold` percent. */
async function compare(files: readonly string[], threshold: number, stdout: (text: string) => void): Promise<void> {
  if (files.length !== 2) throw new UsageError(`--compare: got ${files.length} files, expected two reports`);
  const [before, after] = await Promise.all(
    files.map(async (file) => {
      const text = await fs.readFile(file, 'utf8').catch((error) => {
        throw new UsageError(`${file}: cannot be read; ${error instanceof Error ? error.message : error}`);
      });
      return parseReport(file, text);
    }),
  );
  const comparison = compareReports(before, after);
  stdout(comparisonText(comparison));
  const slower = regressions(comparison, threshold);
  if (slower.length > 0) throw new Error(`${slower.join('; ')}; allowed are ${threshold} %`);
}
