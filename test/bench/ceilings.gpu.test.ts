// The ceilings of an adapter's units: their kernels compile wherever they might be asked for, and each kernel has the right one.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kernelOf } from '../../bench/ceiling.ts';
import { matrixForms, matrixGflops, measureMatrices } from '../../bench/ceiling-matrix.ts';
import { halvesForms, idleForm, measureOthers, workgroupForms } from '../../bench/ceiling-units.ts';
import { arithmeticCeiling, ceilingOf, unitOf } from '../../bench/kernel-units.ts';
import { nextRepeats } from '../../engine/clock.ts';
import type { Device } from '../../engine/device.ts';
import { excessOf, footprintOf } from '../../engine/footprint.ts';
import { matrixShapes } from '../../engine/probe-matrices.ts';
import { resolveKernel } from '../../engine/wgsl.ts';
import { defaultCapabilities, withMatrices, withSubgroups } from '../capabilities.ts';
import { openTestDevice } from '../device.ts';

let device: Device;
let compiler: Device;
beforeAll(async () => {
  device = await openTestDevice();
  compiler = await openTestDevice('null');
});
afterAll(() => {
  device.dispose();
  compiler.dispose();
});

test.each(matrixShapes.map((shape) => [`${shape.component} ${shape.m}x${shape.n}x${shape.k}`, shape] as const))(
  'the kernels of matrices of %s compile, and keep the limits that every device has',
  async (_, shape) => {
    for (const lanes of [8, 16, 32, 64]) {
      const capabilities = withMatrices(withSubgroups(defaultCapabilities, lanes, true), shape);
      const forms = matrixForms(capabilities);
      expect(forms.map(({ accumulators }) => accumulators)).toEqual([8, 16]);
      for (const form of forms) {
        const kernel = kernelOf(form);
        expect(excessOf(footprintOf(resolveKernel(kernel)), capabilities)).toBeUndefined();
        // one multiplication for each sum, all of them in one turn of the loop, each of another pair
        const products = resolveKernel(kernel).code.matchAll(/sums\[(.+)\] = .*Accumulate\((.+), sums\[(.+)\]\)/g);
        const [sums, pairs] = [new Set<string>(), new Set<string>()];
        for (const [, sum, pair, added] of products) {
          expect(added).toBe(sum);
          sums.add(sum);
          pairs.add(pair);
        }
        expect([sums.size, pairs.size]).toEqual([form.accumulators, form.accumulators]);
        await compiler.pipelines.compile(kernel);
      }
    }
  },
);

test('the other kernels compile', async () => {
  for (const software of [true, false]) {
    const capabilities = { ...defaultCapabilities, adapter: { ...defaultCapabilities.adapter, software } };
    for (const form of [...halvesForms(capabilities), ...workgroupForms(capabilities), idleForm]) {
      await compiler.pipelines.compile(kernelOf(form));
    }
  }
});

test('a device without matrices has no ceiling of them', async () => {
  expect(matrixForms(defaultCapabilities)).toEqual([]);
  expect(await measureMatrices(device, () => undefined)).toEqual([]);
});

test('the other ceilings are measured', async () => {
  const others = await measureOthers(device);
  const { halvesGflops, workgroupGbps, writeBufferGbps, mappedPoolGbps, dispatchMicroseconds } = others;
  expect(halvesGflops === null).toBe(!device.capabilities.features.has('shader-f16'));
  for (const rate of [workgroupGbps.padded, workgroupGbps.unpadded, writeBufferGbps, mappedPoolGbps]) {
    expect(rate).toBeGreaterThan(0);
  }
  expect(dispatchMicroseconds).toBeGreaterThanOrEqual(0);
});

test('a kernel is held against the unit that it keeps busy', () => {
  const matrix = 'chromium-experimental-subgroup-matrix' as GPUFeatureName;
  const busy = { flops: 1e9, bytes: 1e6 };
  expect(unitOf({ features: [] }, busy)).toBe('f32');
  expect(unitOf({ features: ['shader-f16'] }, busy)).toBe('f32');
  expect(unitOf({ features: ['shader-f16', 'subgroups', matrix] }, busy)).toBe('matrix f16');
  expect(unitOf({ features: ['subgroups', matrix] }, busy)).toBe('matrix f32');
  expect(unitOf({ features: [] }, { flops: 3e6, bytes: 1e6 })).toBe('memory');
});

test('the ceiling of matrices is the best of their shapes and sums', () => {
  const ceiling = (component: 'f16' | 'f32', accumulators: number, gflops: number) => ({
    ...matrixShapes[0],
    component,
    accumulators,
    gflops,
  });
  const matrices = [ceiling('f16', 8, 600), ceiling('f16', 16, 610), ceiling('f32', 8, 30)];
  const ceilings = { basic: { gflops: 50, gbps: 3 }, matrices };
  expect(matrixGflops(matrices, 'f16')).toBe(610);
  expect(matrixGflops([], 'f16')).toBeUndefined();
  expect(ceilingOf('matrix f16', ceilings)).toBe(610);
  expect(ceilingOf('memory', ceilings)).toBe(3);
  expect(ceilingOf('matrix f32', { ...ceilings, matrices: [] })).toBeUndefined();
  expect(arithmeticCeiling('f16', ceilings)).toBe(610);
  expect(arithmeticCeiling('f32', ceilings)).toBe(50);
});

test('a dispatch is repeated until its pass is long enough for a coarse clock', () => {
  expect(nextRepeats(0, 1, 2)).toBe(8);
  expect(nextRepeats(0.5, 1, 2)).toBe(5);
  expect(nextRepeats(0.001, 1, 2)).toBe(8);
  expect(nextRepeats(2, 40, 2)).toBe(40);
  expect(nextRepeats(1, 900, 2)).toBe(1024);
  expect(nextRepeats(1, 400, 2, 512)).toBe(512);
});
