// stam selftest: every kernel variant that this adapter can run, against the reference in plain loops.
import fs from 'node:fs/promises';
import type { Device } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { StamError, throwIfAborted } from '../engine/errors.ts';
import { kernelLabel, kernelsOf } from '../engine/kernel.ts';
import { version } from '../engine/version.ts';
import type { CaseResult, OperatorCase } from '../test/conformance.ts';
import { candidatesOf, runCase } from '../test/conformance.ts';
import { operatorCases } from '../test/shaders/index.ts';
import { adapterOption, openDevice, uncheckedOption } from './adapter.ts';
import type { Context } from './command.ts';
import { defineCommand } from './command.ts';
import { formatTable } from './table.ts';

const storages: readonly StorageType[] = ['f32', 'f16'];

/** `stam selftest [--json FILE] [--compile-only] [--unchecked]`. */
export const selftest = defineCommand({
  name: 'selftest',
  summary: 'checks every kernel variant of this adapter against a reference',
  positionals: [],
  options: {
    adapter: adapterOption,
    json: { type: 'string', placeholder: 'FILE', description: 'writes the results as JSON' },
    'compile-only': {
      type: 'flag',
      description: 'compiles the variants one after another, with a line for each, and runs none',
    },
    unchecked: uncheckedOption,
  },
  async run({ values, signal, stdout, log, progress }) {
    const { unchecked, 'compile-only': compileOnly } = values;
    const device = await openDevice(values.adapter, log, { unchecked, compileOnly });
    const tests = storages.flatMap((storage) => operatorCases.map((test) => ({ test, storage })));
    if (compileOnly) {
      // the device is left to the end of the process: on a driver without hardware behind it, destroying one crashes
      await compileAll(device, tests, { signal, log });
      return;
    }
    const bar = progress('selftest', tests.length, 'cases');
    const results: (CaseResult & { operator: string; test: string; storage: StorageType })[] = [];
    for (const [done, { test, storage }] of tests.entries()) {
      throwIfAborted(signal);
      bar.update(done, test.operator);
      for (const result of await runCase(device, test, storage)) {
        results.push({ ...result, operator: test.operator, test: test.name, storage });
      }
    }
    bar.finish();
    const { adapter } = device.capabilities;
    device.dispose();
    if (values.json !== undefined) {
      await fs.writeFile(values.json, `${JSON.stringify({ version, adapter, unchecked, results }, undefined, 1)}\n`);
    }
    stdout(
      formatTable(
        [
          { title: 'operator' },
          { title: 'case' },
          { title: 'kernel' },
          { title: 'worst error', align: 'right' },
          { title: 'allowed', align: 'right' },
          { title: '' },
        ],
        results.map(({ operator, test, kernel, error, tolerance, passed }) => [
          operator,
          test,
          kernel,
          error.toExponential(1),
          tolerance.toExponential(1),
          passed ? 'ok' : 'WRONG',
        ]),
      ),
    );
    const wrong = results.filter(({ passed }) => !passed);
    stdout(`\n${results.length - wrong.length} of ${results.length} kernel variants are right`);
    if (wrong.length) {
      throw new StamError('unsupported', {
        where: 'selftest',
        problem: `${wrong.length} kernel variants compute wrong results on this adapter`,
        got: wrong[0].kernel,
      });
    }
  },
});

async function compileAll(
  device: Device,
  tests: readonly { test: OperatorCase; storage: StorageType }[],
  { signal, log }: Pick<Context, 'signal' | 'log'>,
): Promise<void> {
  const seen = new Set<string>();
  for (const { test, storage } of tests) {
    for (const kernel of candidatesOf(test, storage, device.capabilities).flatMap(kernelsOf)) {
      throwIfAborted(signal);
      if (seen.has(kernelLabel(kernel))) continue; // kernels of one label are one text
      seen.add(kernelLabel(kernel));
      log(`compile ${kernelLabel(kernel)}`);
      await device.pipelines.compile(kernel);
    }
  }
}
