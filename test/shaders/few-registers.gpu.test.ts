// What GPUs of few registers are offered first, Intel's and Apple's: the kernels themselves run on any adapter.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Capabilities, Device } from '../../engine/device.ts';
import type { Kernel } from '../../engine/kernel.ts';
import { kernelLabel } from '../../engine/kernel.ts';
import { candidatesOf, runCase } from '../conformance.ts';
import { openTestDevice } from '../device.ts';
import { sampleOf } from '../sample.ts';
import { operatorCases } from './index.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

function as(vendor: string, { adapter, ...rest }: Capabilities): Capabilities {
  return { ...rest, adapter: { ...adapter, vendor, software: false }, laneRegisters: 64, units: 16 };
}

/** Those tiles of matmul-halves that large GPUs are not offered: 4x4 an invocation. */
const smallHalves = (labels: readonly string[]) =>
  labels.filter((label) => /^matmul-halves (64x64 by 256|32x32 by 64) /.test(label));

/** Operators of which software adapters and large GPUs are offered something else first, and are not tested with it elsewhere. */
const cases = operatorCases.filter(({ operator }) => /^(linear|patchEmbed|attention)$/.test(operator));

// half of the cases as on each; of every case one kernel: the first, or of the tiles that larger problems get first one in turn; where there is
// shader-f16, also one of matmul-halves
describe.each([
  ['intel', 'f32', 0],
  ['apple', 'f16', 1],
] as const)('on a GPU of %s, %s', (vendor, storage, half) => {
  const own = cases.filter((_, index) => index % 2 === half);
  const some = sampleOf(
    `cases in kernels for GPUs of few registers, ${storage}`,
    own.map((one, index) => [`${one.operator} ${one.name}`, one, index] as const),
    3,
  );
  test.concurrent.each(some)('%s', async (_, one, index) => {
    const capabilities = as(vendor, device.capabilities);
    const [first, ...others] = candidatesOf(one, storage, capabilities).map(kernelLabel);
    const outer = others.filter((label) => label.startsWith('matmul-outer'));
    const turns = [[first, ...outer], smallHalves(others)].filter(({ length }) => length > 0);
    const chosen = turns.map((kernels) => kernels[index % kernels.length]);
    const only = (kernel: Kernel) => chosen.includes(kernelLabel(kernel));
    const results = await runCase(device, one, storage, { capabilities, only });
    expect(results).toHaveLength(chosen.length);
    expect(results.filter(({ passed }) => !passed)).toEqual([]);
  });
});
