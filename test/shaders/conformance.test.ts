import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import type { Kernel } from '../../engine/kernel.ts';
import { runCase } from '../conformance.ts';
import { openTestDevice } from '../device.ts';
import { operatorCases } from './index.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

/** Those that GPUs of few registers get first have a test of their own: software adapters compile a large tile for a minute or two. */
const isTestedElsewhere = ({ name }: Kernel) => name === 'matmul-outer' || name === 'matmul-halves';

describe.each(['f32', 'f16'] as const)('every kernel against the reference, %s', (storage) => {
  test.each(
    operatorCases.map((operatorCase) => [`${operatorCase.operator} ${operatorCase.name}`, operatorCase] as const),
  )('%s', async (_, operatorCase) => {
    const results = await runCase(device, operatorCase, storage, { only: (kernel) => !isTestedElsewhere(kernel) });
    expect(results.length).toBeGreaterThan(0);
    expect(results.filter(({ passed }) => !passed)).toEqual([]);
  });
});
