// The tests of one operator: each of its cases in every kernel that can run it, in f32 and f16.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import type { StorageType } from '../../engine/dtype.ts';
import type { Kernel } from '../../engine/kernel.ts';
import { kernelLabel } from '../../engine/kernel.ts';
import type { CaseResult, OperatorCase } from '../conformance.ts';
import { candidatesOf, runCase } from '../conformance.ts';
import { openTestDevice } from '../device.ts';
import { noteSample, runsAll } from '../sample.ts';
import { multipliesMatrices } from './emulated-matrices.ts';
import { operatorCases } from './index.ts';

/** Software adapters compile a large tile of these for minutes: few-registers and matrices test them, in tiles that are small or few. */
const isTestedElsewhere = (kernel: Kernel) => /^matmul-(outer|halves)$/.test(kernel.name) || multipliesMatrices(kernel);

/**
 * In a sample every case runs in one of its kernels, every other case in f16. An operator whose kernels take long to compile has a file for
 * each storage type, so that two workers share it.
 */
export function testOperator(operator: string, storageTypes: readonly StorageType[] = ['f32', 'f16']): void {
  const cases = operatorCases.filter((one) => one.operator === operator);
  let device: Device;
  beforeAll(async () => {
    device = await openTestDevice();
  });
  afterAll(() => device.dispose());
  if (!runsAll) noteSample(`${operator}: each of ${cases.length} cases in one kernel and one storage type`);

  describe.each(storageTypes)('every kernel against the reference, %s', (storage) => {
    const own = cases.map((one, index) => ({ one, index })).filter(({ index }) => runsAll || isTurnOf(storage, index));
    test.concurrent.each(own.map(({ one, index }) => [`${one.operator} ${one.name}`, one, index] as const))(
      '%s',
      async (_, one, index) => {
        const turn = Math.floor(index / 3); // of the steps tried, that at which fewest cases meet kernels of seconds to compile
        const results = await runItsKernels(device, one, storage, turn);
        expect(results.length).toBeGreaterThan(0);
        expect(results.filter(({ passed }) => !passed)).toEqual([]);
      },
    );
  });
}

const isTurnOf = (storage: StorageType, index: number) => (index % 2 === 0) === (storage === 'f32');

/** Runs a case in each of its kernels but those that have tests of their own; in a sample, in the one whose turn it is. */
export async function runItsKernels(
  device: Device,
  one: OperatorCase,
  storage: StorageType,
  turn: number,
): Promise<CaseResult[]> {
  const kernels = candidatesOf(one, storage, device.capabilities)
    .filter((kernel) => !isTestedElsewhere(kernel))
    .map(kernelLabel);
  const chosen = runsAll ? kernels : [kernels[turn % kernels.length]];
  return await runCase(device, one, storage, { only: (kernel) => chosen.includes(kernelLabel(kernel)) });
}
