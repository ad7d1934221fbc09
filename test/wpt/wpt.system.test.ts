// The web-platform-tests for WebNN that our operators can express, at their own tolerances. Each case runs in one of the
// kernels that the device can choose among, in turn, because compiling every kernel for every shape would take minutes.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import { kernelLabel } from '../../engine/kernel.ts';
import { candidatesOf, outputsOf } from '../conformance.ts';
import { openTestDevice } from '../device.ts';
import { sampleOf } from '../sample.ts';
import type { WptCase } from './cases.ts';
import { filesAreThere, readCases } from './cases.ts';
import type { Mapped } from './mapping.ts';
import { mapCase } from './mapping.ts';
import { deviations } from './tolerance.ts';

if (!filesAreThere) {
  process.stderr.write('../shared/conformance is not there: the web-platform-tests are not run\n');
}
const files = filesAreThere ? readCases() : new Map<string, readonly WptCase[]>();
const mapped = new Map([...files].map(([file, cases]) => [file, cases.map(mapCase)]));
const isMapped = (one: Mapped | string): one is Mapped => typeof one !== 'string';

describe.runIf(filesAreThere)('web-platform-tests', () => {
  let device: Device;
  beforeAll(async () => {
    device = await openTestDevice();
  });
  afterAll(() => device.dispose());

  const runnable = [...files].flatMap(([file, cases]) =>
    cases.flatMap(({ name }, i) => {
      const one = mapped.get(file)?.[i];
      return one && isMapped(one) ? [[name, one, i] as const] : [];
    }),
  );

  test.concurrent.each(sampleOf('web-platform-tests', runnable, 10))('%s', async (_, { storage, parts }, turn) => {
    for (const part of parts) {
      const candidates = candidatesOf(part, storage, device.capabilities).map(kernelLabel);
      const chosen = candidates[turn % candidates.length];
      const outputs = await outputsOf(device, part, storage, { only: (kernel) => kernelLabel(kernel) === chosen });
      expect(outputs).toHaveLength(1);
      for (const { kernel, got } of outputs) {
        expect(got.length, kernel).toBe(part.expected.length);
        expect(deviations(got, part.expected, { storage, tolerance: part.tolerance }), kernel).toEqual([]);
      }
    }
  });

  test('the table in the README counts these cases', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    const rows = readme.split('\n').filter((line) => /^\| \w+ \| \d+ \| \d+ \|/.test(line));
    expect(rows).toEqual([...mapped].map(([file, cases]) => tableRow(file, cases)));
  });
});

/** `| file | cases | run | how many are left out, by reason |` */
function tableRow(file: string, cases: readonly (Mapped | string)[]): string {
  const reasons = new Map<string, number>();
  for (const one of cases) if (!isMapped(one)) reasons.set(one, (reasons.get(one) ?? 0) + 1);
  const leftOut = [...reasons].map(([reason, count]) => `${count}: ${reason}`).join('; ');
  return `| ${file} | ${cases.length} | ${cases.filter(isMapped).length} | ${leftOut || 'none'} |`;
}
