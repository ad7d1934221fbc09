// What a load does on the app's main thread: the network is built and planned once, each distinct text is written out once, and a second
// model on the same device finds what the first has compiled and checked.
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { requiredDevice } from '../../engine/device.ts';
import { createPlan } from '../../engine/plan.ts';
import { resolveKernel } from '../../engine/wgsl.ts';
import { loadStam } from '../../model/load.ts';
import { stamGraph } from '../../model/stam.ts';
import { requestTestAdapter } from '../device.ts';
import { smallestConfig, smallestWeights } from './fixtures.ts';

vi.mock('../../model/stam.ts', { spy: true });
vi.mock('../../engine/plan.ts', { spy: true });
vi.mock('../../engine/wgsl.ts', { spy: true });

let device: GPUDevice;
beforeAll(async () => {
  const adapter = await requestTestAdapter();
  device = await adapter.requestDevice(requiredDevice(adapter));
});
afterAll(() => device.destroy());

/** How often a load does what, beside its model. */
async function load() {
  const source = smallestWeights();
  vi.clearAllMocks();
  const compile = vi.spyOn(device, 'createShaderModule');
  const stam = await loadStam(source, { device, dtype: 'f32', tune: 'off' });
  const graphs = vi.mocked(stamGraph).mock.results.map(({ value }) => value);
  const plans = vi.mocked(createPlan).mock.calls.filter(([graph]) => graphs.includes(graph));
  const texts = vi.mocked(resolveKernel).mock.results.map(({ value }) => value.code);
  const made = {
    graphs: graphs.length,
    plans: plans.length,
    checks: vi.mocked(createPlan).mock.calls.length - plans.length,
    texts: texts.length,
    distinct: new Set(texts).size,
    compiled: compile.mock.calls.filter(([{ label }]) => label !== 'stam: matrix probe').length,
  };
  vi.restoreAllMocks();
  return { stam, made };
}

test('a load plans once, and a second one on the same device compiles and checks nothing', async () => {
  const first = await load();
  const kernels = first.stam.info().kernels.length;
  expect(first.made).toMatchObject({ graphs: 1, plans: 1, checks: kernels });
  expect(first.made.texts).toBe(first.made.distinct);
  expect(first.made.compiled).toBe(first.made.texts);
  const second = await load();
  expect(second.made).toEqual({ graphs: 1, plans: 1, checks: 0, texts: 0, distinct: 0, compiled: 0 });
  expect(second.stam.info().selfCheck).toMatch(new RegExp(`^${kernels} kernels right`));
  first.stam.dispose();
  const frames = new Float32Array(smallestConfig.frames * 3 * smallestConfig.imageSize ** 2);
  expect(await second.stam.logits(frames)).toHaveLength(smallestConfig.classes);
  second.stam.dispose();
  // with the last model everything has gone
  const third = await load();
  expect(third.made).toEqual(first.made);
  third.stam.dispose();
});
