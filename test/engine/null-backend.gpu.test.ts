// Every kernel that any device might be given compiles. Dawn's null backend checks the WGSL and generates no code, so that this takes
// seconds, and it offers every feature, so that nothing is left out for want of an adapter.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Capabilities, Device } from '../../engine/device.ts';
import { kernelLabel, kernelsOf, wayOf } from '../../engine/kernel.ts';
import { matrixShapes } from '../../engine/probe-matrices.ts';
import { resolveKernel } from '../../engine/wgsl.ts';
import { withHalves, withMatrices, withSubgroups } from '../capabilities.ts';
import { candidatesOf } from '../conformance.ts';
import { openTestDevice } from '../device.ts';
import { sampleOf } from '../sample.ts';
import { operatorCases } from '../shaders/index.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice('null');
});
afterAll(() => device.dispose());

/**
 * Every device that kernels tell apart: software or not, with and without halves, no subgroups or one of the sizes in use; subgroup
 * matrices in every shape.
 */
function everyDevice(): Capabilities[] {
  const { capabilities } = device;
  return [...devicesWithoutMatrices(capabilities), ...devicesWithMatrices(capabilities)];
}

function devicesWithMatrices(capabilities: Capabilities): Capabilities[] {
  return matrixShapes.map((shape) => withMatrices(withSubgroups(capabilities, 32, true), shape));
}

function devicesWithoutMatrices(capabilities: Capabilities): Capabilities[] {
  return [true, false].flatMap((software) =>
    [true, false].flatMap((halves) => {
      const plain = withHalves(
        { ...capabilities, matrices: [], adapter: { ...capabilities.adapter, software } },
        halves,
      );
      return [
        { ...plain, subgroupSize: undefined },
        ...[4, 8, 16, 32, 64].map((lanes) => withSubgroups(plain, lanes)),
        withSubgroups(plain, 32, true),
      ];
    }),
  );
}

test('the backend has every feature that kernels ask for', () => {
  expect([...device.capabilities.features]).toEqual(
    expect.arrayContaining(['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix']),
  );
});

describe.each(['f32', 'f16'] as const)('every kernel compiles, %s', (storage) => {
  const each = operatorCases.map((one) => [`${one.operator} ${one.name}`, one] as const);
  test.each(sampleOf(`operators whose every kernel compiles, ${storage}`, each, 5))('%s', async (_, operatorCase) => {
    const kernels = everyDevice()
      .flatMap((capabilities) => candidatesOf(operatorCase, storage, capabilities))
      .flatMap(kernelsOf);
    expect(kernels.length).toBeGreaterThanOrEqual(everyDevice().length);
    const results = await Promise.allSettled(kernels.map((kernel) => device.pipelines.compile(kernel)));
    const refused = results.flatMap((result, i) =>
      result.status === 'rejected' ? [`${kernelLabel(kernels[i])}: ${result.reason}`] : [],
    );
    expect(refused).toEqual([]);
  });
});

test('kernels of one label on one device are one text, so that a profile tells them apart', () => {
  for (const capabilities of sampleOf('devices whose kernels are labelled', everyDevice(), 4)) {
    const texts = new Map<string, string>();
    for (const operatorCase of operatorCases) {
      for (const kernel of [
        ...candidatesOf(operatorCase, 'f32', capabilities),
        ...candidatesOf(operatorCase, 'f16', capabilities),
      ]) {
        const { code } = resolveKernel(kernel);
        expect(texts.get(kernelLabel(kernel)) ?? code, kernelLabel(kernel)).toBe(code);
        texts.set(kernelLabel(kernel), code);
      }
    }
  }
});

test('candidates for one problem differ in their ways, so that a tuning names one', () => {
  for (const capabilities of everyDevice()) {
    for (const operatorCase of operatorCases) {
      for (const storage of ['f32', 'f16'] as const) {
        const ways = candidatesOf(operatorCase, storage, capabilities).map(wayOf);
        expect(new Set(ways).size, ways.join(', ')).toBe(ways.length);
      }
    }
  }
});

test('the backend refuses what is wrong, so that silence means something', async () => {
  const kernel = candidatesOf(operatorCases[0], 'f32', device.capabilities)[0];
  const broken = { ...kernel, source: kernel.source.replace('fn main', 'fn main_of_nothing') };
  await expect(device.pipelines.compile(broken)).rejects.toMatchObject({ code: 'shader' });
  const wrong = { ...kernel, constants: { ...kernel.constants, K: -1 } };
  await expect(device.pipelines.compile(wrong)).rejects.toMatchObject({ code: 'shader' });
});
