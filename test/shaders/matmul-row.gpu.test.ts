// matmul-row for more rows than a workgroup has, which only GPUs are offered: the kernels themselves run on any adapter.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Capabilities, Device } from '../../engine/device.ts';
import { runCase } from '../conformance.ts';
import { openTestDevice } from '../device.ts';
import { linearCase } from './matmul.cases.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

const cases = [
  linearCase({ m: 21, n: 45, k: 96, bias: true, residual: true }, 1),
  linearCase({ m: 65, n: 7, k: 50 }, 2),
];

test.each(cases.map((one) => [one.name, one] as const))('%s', async (_, one) => {
  const { adapter, ...rest } = device.capabilities;
  const capabilities: Capabilities = { ...rest, adapter: { ...adapter, software: false }, units: 128, matrices: [] };
  const results = await runCase(device, one, 'f32', { capabilities, only: ({ name }) => name === 'matmul-row' });
  expect(results.map(({ kernel }) => kernel.split(' ')[1])).toEqual(['8x16', '4x16']);
  expect(results.filter(({ passed }) => !passed)).toEqual([]);
});
