// STAM's own plans at full size, without a GPU: what they cost, what they hold in memory, and that they fit a device of WebGPU's
// default limits.
import { describe, expect, test } from 'vitest';
import type { Capabilities } from '../../engine/device.ts';
import type { StorageType } from '../../engine/dtype.ts';
import type { Dispatch, Plan } from '../../engine/plan.ts';
import { createPlan, valueBytes } from '../../engine/plan.ts';
import { resolveKernel } from '../../engine/wgsl.ts';
import { configs, namedConfig } from '../../model/config.ts';
import { framesPerPass, stamGraph } from '../../model/stam.ts';
import { defaultCapabilities, withHalves, withSubgroups } from '../capabilities.ts';

function planOf(
  name: string,
  capabilities: Capabilities,
  { videos = 1, storage = 'f32', wanted = 16 }: { videos?: number; storage?: StorageType; wanted?: number } = {},
): Plan {
  const config = namedConfig(name);
  const pass = framesPerPass(config, { videos, storage, wanted }, capabilities);
  return createPlan(stamGraph(config, { videos, storage, framesPerPass: pass }), capabilities);
}

const dispatches = (plan: Plan): Dispatch[] =>
  plan.commands.flatMap((command) => (command.kind === 'dispatch' ? [command] : []));

const devices: readonly (readonly [string, Capabilities])[] = [
  ['default limits', defaultCapabilities],
  ['4 lanes, no halves', withSubgroups(defaultCapabilities, 4)],
  ['32 lanes and halves', withHalves(withSubgroups(defaultCapabilities, 32), true)],
];

describe.each(devices)('on a device of %s', (_, capabilities) => {
  // the arithmetic of the published model: matmuls and attention only, a multiply-add counted as two
  test.each([
    ['stam_8', 281.6],
    ['stam_16', 563.1],
    ['stam_32', 1126.2],
    ['stam_64', 2252.4],
  ])('%s takes %s GFLOP a video', (name, expected) => {
    const counted = new Set(['linear', 'patchEmbed', 'attention']);
    const flops = dispatches(planOf(name, capabilities))
      .filter(({ operator }) => counted.has(operator))
      .reduce((sum, dispatch) => sum + dispatch.flops, 0);
    expect(Math.abs(flops / 1e9 - expected)).toBeLessThan(0.1);
  });

  test('the norms and token sums that stand beside those take less than a hundredth', () => {
    const plan = planOf('stam_16', capabilities);
    expect(plan.flops / 1e9).toBeGreaterThan(563.1);
    expect(plan.flops / 1e9).toBeLessThan(563.1 * 1.01);
  });

  describe.each(['f32', 'f16'] as const)('in %s', (storage) => {
    test.each([...configs.keys()])('every binding of %s is within the limits', (name) => {
      const { limits } = capabilities;
      const plan = planOf(name, capabilities, { storage });
      for (const { bindings, kernel, resolved } of dispatches(plan)) {
        for (const place of Object.values(bindings)) {
          expect(place.size).toBeLessThanOrEqual(limits.storageBufferBindingBytes);
          if (place.kind === 'slot') expect(place.size).toBeLessThanOrEqual(plan.slots[place.slot]);
        }
        const storageBindings = resolved.bindings.filter(({ access }) => access !== 'uniform');
        expect(storageBindings.length).toBeLessThanOrEqual(limits.storageBuffers);
        expect(Math.max(...kernel.workgroups)).toBeLessThanOrEqual(65535);
      }
      expect(Math.max(...plan.slots, ...[...plan.weights.values()].map(valueBytes))).toBeLessThanOrEqual(
        limits.bufferBytes,
      );
    });

    test('frames that do not fit one binding go in more passes', () => {
      const wanted = 100;
      const plan = planOf('stam_64', capabilities, { storage, wanted });
      const passes = dispatches(plan).filter(({ operator }) => operator === 'patchEmbed');
      const widest = 197 * 3072 * (storage === 'f32' ? 4 : 2);
      expect(passes.length).toBe(Math.ceil(64 / Math.floor(capabilities.limits.storageBufferBindingBytes / widest)));
    });
  });

  test('a pass takes the memory of its hidden layer and two token tensors, pixels included, however many passes there are', () => {
    const slotBytes = (name: string, storage: StorageType) =>
      planOf(name, capabilities, { storage, wanted: 16 }).slots.reduce((sum, size) => sum + size, 0);
    for (const name of ['stam_16', 'stam_64']) {
      expect(slotBytes(name, 'f32')).toBeLessThanOrEqual(60e6);
      expect(slotBytes(name, 'f16')).toBeLessThanOrEqual(30e6);
    }
  });

  test('a whole stam_16 is at most 25 pipelines', () => {
    const plan = planOf('stam_16', capabilities);
    expect(new Set(dispatches(plan).map(({ resolved }) => resolved.code)).size).toBeLessThanOrEqual(25);
  });

  // the best tile of a matmul depends on how many rows there are; the texts among which it is chosen must not
  test('passes and videos change parameters, not the pipelines to choose from', () => {
    const texts = (name: string, framesPerPass: number) => {
      const { nodes } = stamGraph(namedConfig(name), { videos: 1, storage: 'f32', framesPerPass });
      const kernels = nodes.flatMap((node) => node.candidates(capabilities));
      return new Set(kernels.map((kernel) => resolveKernel(kernel).code));
    };
    const one = texts('stam_16', 16);
    expect(texts('stam_16', 4)).toEqual(one);
    expect(texts('stam_64', 16).size).toBe(one.size);
  });
});

test('every norm of a STAM adds 1e-5 to the variance, as the official code does', () => {
  const norms = dispatches(planOf('stam_16', defaultCapabilities)).filter(({ operator }) => operator === 'layerNorm');
  expect(norms.length).toBe(12 * 2 + 1 + 6 * 2 + 1);
  expect(new Set(norms.map(({ kernel }) => kernel.constants['EPSILON']))).toEqual(new Set([1e-5]));
});

describe('framesPerPass', () => {
  const tiny = { ...namedConfig('stam_16'), imageSize: 36, patchSize: 4, channels: 64, heads: 4, mlp: 256, frames: 7 };
  const per = (wanted: number, parts: Partial<Capabilities['limits']> = {}) =>
    framesPerPass(
      tiny,
      { videos: 1, storage: 'f32', wanted },
      { ...defaultCapabilities, limits: { ...defaultCapabilities.limits, ...parts } },
    );

  test('is what was wanted, or all frames where those are fewer', () => {
    const config = { ...tiny, imageSize: 32 };
    const wanted = (count: number, videos: number) =>
      framesPerPass(config, { videos, storage: 'f32', wanted: count }, defaultCapabilities);
    expect([wanted(1, 1), wanted(5, 1), wanted(7, 1), wanted(100, 1), wanted(100, 3)]).toEqual([1, 5, 7, 7, 21]);
  });

  test('is fewer where the widest activation would not fit a binding or a buffer', () => {
    const widest = 82 * 256 * 4;
    expect(per(7, { storageBufferBindingBytes: 5 * widest - 1 })).toBe(4);
    expect(per(7, { bufferBytes: 4 * widest })).toBe(4);
  });
});
