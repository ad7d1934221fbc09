// Every kernel variant on random shapes. A few, the same at each run; for more, or others:
//   STAM_RANDOM_CASES=300 STAM_RANDOM_SEED=2 npx vitest run --mode all test/shaders/random-cases
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import { openTestDevice } from '../device.ts';
import { sampleOf } from '../sample.ts';
import { runItsKernels } from './operator.ts';
import { randomCases } from './random-cases.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

const count = Number(process.env['STAM_RANDOM_CASES'] ?? 14);
const seed = Number(process.env['STAM_RANDOM_SEED'] ?? 1);

describe.each(['f32', 'f16'] as const)(`seed ${seed}, %s`, (storage) => {
  const cases = randomCases(seed, count).map((one) => [`${one.operator} ${one.name}`, one] as const);
  test.concurrent.each(sampleOf(`random cases, ${storage}`, cases, 1))('%s', async (_, one) => {
    const results = await runItsKernels(device, one, storage, 0);
    expect(results.length).toBeGreaterThan(0);
    expect(results.filter(({ passed }) => !passed)).toEqual([]);
  });
});
