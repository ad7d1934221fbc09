// Every model on every device that one could think of, without a GPU: its plan keeps each limit, by what the WGSL itself says, or one error
// names the kernel, the adapter, what is needed and what is given. Dawn is the judge of how the WGSL is read.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Capabilities, Device } from '../../engine/device.ts';
import type { StorageType } from '../../engine/dtype.ts';
import { StamError } from '../../engine/errors.ts';
import { footprintOf } from '../../engine/footprint.ts';
import type { Kernel } from '../../engine/kernel.ts';
import { kernelLabel } from '../../engine/kernel.ts';
import type { Dispatch, Plan } from '../../engine/plan.ts';
import { createPlan } from '../../engine/plan.ts';
import { matrixShapes } from '../../engine/probe-matrices.ts';
import { resolveKernel } from '../../engine/wgsl.ts';
import type { StamConfig } from '../../model/config.ts';
import { configs } from '../../model/config.ts';
import { framesPerPass, spatialGraph, stamGraph, temporalGraph } from '../../model/stam.ts';
import { defaultCapabilities, withHalves, withMatrices, withSubgroups } from '../capabilities.ts';
import { openTestDevice } from '../device.ts';
import { longTest, sampleOf } from '../sample.ts';
import { openFixture, smallestConfig } from './fixtures.ts';

type Limits = Partial<Capabilities['limits']>;
const mebibyte = 2 ** 20;

/** What a device may be short of, or have more of than it must. */
const limitSets: Readonly<Record<string, Limits>> = {
  'default limits': {},
  '64 invocations': { workgroupInvocations: 64 },
  '32 KiB, 1024 invocations, large buffers': {
    workgroupStorageBytes: 32768,
    workgroupInvocations: 1024,
    storageBufferBindingBytes: 1024 * mebibyte,
    bufferBytes: 1024 * mebibyte,
  },
  '32 MiB bindings': { storageBufferBindingBytes: 32 * mebibyte, bufferBytes: 32 * mebibyte },
  '8 KiB and 64 invocations': { workgroupStorageBytes: 8192, workgroupInvocations: 64 },
};

const withLimits = (capabilities: Capabilities, limits: Limits): Capabilities => ({
  ...capabilities,
  limits: { ...capabilities.limits, ...limits },
});

const withSoftware = (capabilities: Capabilities): Capabilities => ({
  ...capabilities,
  adapter: { ...capabilities.adapter, software: true },
});

/** With and without subgroups of every size in use, halves and a clock. */
const allFeatureSets: readonly (readonly [string, Capabilities])[] = [false, true].flatMap((halves) =>
  [undefined, 4, 8, 16, 32, 64, 128].map((lanes): readonly [string, Capabilities] => {
    const plain = withHalves(defaultCapabilities, halves);
    const name = `${lanes ? `${lanes} lanes` : 'no subgroups'}${halves ? ', halves' : ''}`;
    return [name, lanes ? withSubgroups(plain, lanes) : plain];
  }),
);

const featureSets = sampleOf('devices on which every model has a plan', allFeatureSets, 2);
const shapes = sampleOf('shapes of matrices for which every model has a plan', matrixShapes, 1);
const kernels = new Map<string, Kernel>();
const fixtureNames = ['tiny-a', 'tiny-b', 'tiny-c'];
let fixtures: readonly (readonly [string, StamConfig])[];
let device: Device;

beforeAll(async () => {
  device = await openTestDevice('null');
  fixtures = await Promise.all(
    fixtureNames.map(async (name) => {
      const { truth, config } = await openFixture(name);
      await truth.close();
      return [name, config] as const;
    }),
  );
});
afterAll(() => device.dispose());

const dispatches = (plan: Plan): Dispatch[] =>
  plan.commands.flatMap((command) => (command.kind === 'dispatch' ? [command] : []));

function planOf(config: StamConfig, videos: number, storage: StorageType, capabilities: Capabilities): Plan {
  const pass = framesPerPass(config, { videos, storage, wanted: 16 }, capabilities);
  return createPlan(stamGraph(config, { videos, storage, framesPerPass: pass }), capabilities);
}

/** What the device cannot take of a plan; and keeps the kernels for the compiler. */
function excessesOf(plan: Plan, { limits }: Capabilities): string[] {
  const seen = new Set<string>();
  const excesses: string[] = [];
  for (const { kernel, resolved, bindings } of dispatches(plan)) {
    const sizes = Object.values(bindings).map(({ size }) => size);
    if (Math.max(...sizes) > limits.storageBufferBindingBytes) excesses.push(`${kernelLabel(kernel)}: ${sizes}`);
    if (Math.max(...kernel.workgroups) > 65535) excesses.push(`${kernelLabel(kernel)}: ${kernel.workgroups}`);
    if (seen.has(resolved.code)) continue;
    seen.add(resolved.code);
    kernels.set(resolved.code, kernel);
    const { invocations, workgroupBytes, storageBuffers } = footprintOf(resolved);
    const keeps =
      invocations <= limits.workgroupInvocations &&
      workgroupBytes <= limits.workgroupStorageBytes &&
      storageBuffers <= limits.storageBuffers;
    if (!keeps) excesses.push(`${kernelLabel(kernel)}: ${[invocations, workgroupBytes, storageBuffers]}`);
  }
  if (Math.max(...plan.slots) > limits.bufferBytes) excesses.push(`slots: ${plan.slots}`);
  return excesses;
}

describe.each(Object.entries(limitSets))('with %s', (limitsName, limits) => {
  // the largest plans take long to make: they need to be made for few devices, for which they do not differ from the next smaller
  const small = [...fixtureNames, 'stam_8'];
  test.each(featureSets)('and %s, every model has a plan within the limits', (features, plain) => {
    const capabilities = withLimits(plain, limits);
    const isFull = limitsName === 'default limits' && /^(no|32)/.test(features);
    for (const [name, config] of [...fixtures, ...configs]) {
      for (const videos of small.includes(name) || isFull ? [1, 6] : [1]) {
        if (name === 'stam_64' && !isFull) continue;
        for (const storage of ['f32', 'f16'] as const) {
          expect(excessesOf(planOf(config, videos, storage, capabilities), capabilities), name).toEqual([]);
        }
      }
    }
  });

  test('a software adapter and one with subgroup matrices do, too', () => {
    const plain = withLimits(withHalves(withSubgroups(defaultCapabilities, 32, true), true), limits);
    for (const capabilities of [withSoftware(plain), ...shapes.map((shape) => withMatrices(plain, shape))]) {
      for (const [, config] of [...fixtures, ...configs].filter(([name]) => !/16|32|64/.test(name))) {
        for (const storage of ['f32', 'f16'] as const) {
          expect(excessesOf(planOf(config, 1, storage, capabilities), capabilities), limitsName).toEqual([]);
        }
      }
    }
  });
});

test('a stream of the largest model has plans, too', () => {
  for (const [, capabilities] of featureSets) {
    for (const graph of [spatialGraph, temporalGraph].map((make) =>
      make(configs.get('stam_64') ?? smallestConfig, 'f32'),
    )) {
      expect(excessesOf(createPlan(graph, capabilities), capabilities)).toEqual([]);
    }
  }
});

test('what cannot be is refused by one error that names the kernel, the adapter, what is needed and what is given', () => {
  const refuse = (limits: Limits): StamError => {
    try {
      planOf(smallestConfig, 1, 'f32', withLimits(defaultCapabilities, limits));
    } catch (error) {
      if (error instanceof StamError) return error;
      throw error;
    }
    throw new Error('it was planned');
  };
  expect(refuse({ workgroupInvocations: 16 })).toMatchObject({
    code: 'limit',
    message: expect.stringMatching(
      /^[\w-]+ .*: patch_embed\S* has no kernel that keeps the maxComputeInvocationsPerWorkgroup of test default limits; got 16, expected \d+; ask for more/,
    ),
  });
  expect(refuse({ workgroupStorageBytes: 64 })).toMatchObject({
    code: 'limit',
    message: expect.stringMatching(
      /keeps the maxComputeWorkgroupStorageSize of test default limits; got 64, expected \d+/,
    ),
  });
  expect(refuse({ storageBuffers: 2 })).toMatchObject({
    code: 'limit',
    message: expect.stringMatching(/keeps the maxStorageBuffersPerShaderStage of .*; got 2, expected [3-8]/),
  });
  expect(refuse({ storageBufferBindingBytes: 1024, bufferBytes: 1024 })).toMatchObject({
    code: 'limit',
    message: expect.stringMatching(/does not fit one binding of this device; got \d+ bytes, expected at most 1024/),
  });
});

longTest('Dawn takes just those kernels whose footprints keep its limits', async () => {
  expect(kernels.size).toBeGreaterThan(100);
  const { workgroupInvocations, workgroupStorageBytes } = device.capabilities.limits;
  const judged = await Promise.all(
    [...kernels.values()].map(async (kernel) => {
      const { invocations, workgroupBytes } = footprintOf(resolveKernel(kernel));
      const fits = invocations <= workgroupInvocations && workgroupBytes <= workgroupStorageBytes;
      const why = await device.pipelines.compile(kernel).then(() => '', String);
      const isAgreed = fits ? why === '' : /use of workgroup storage|invocations per workgroup/.test(why);
      return { fits, wrong: isAgreed ? [] : [`${kernelLabel(kernel)}: fits ${fits}; ${why}`] };
    }),
  );
  expect(judged.flatMap(({ wrong }) => wrong)).toEqual([]);
  const refused = judged.filter(({ fits }) => !fits).length;
  expect(refused).toBeGreaterThan(0);
  process.stdout.write(
    `${judged.length} distinct kernels: ${judged.length - refused} compiled, ${refused} are too large here\n`,
  );
});

test('footprints are those of the text', () => {
  const footprint = (code: string) => footprintOf({ code, bindings: [], params: [] });
  const text = [
    'const LANES = 8 * (ROWS - 2) / 3; // 16',
    'const ROWS = 8u;',
    'alias Quad = vec4<f16>;',
    'var<workgroup> a: array<array<Quad, LANES>, 3>;  // 384 bytes',
    'var<workgroup> b: array<f32, 5 % 3>;             // 8, rounded up',
    '@compute @workgroup_size(LANES, 2)',
  ];
  expect(footprint(text.join('\n'))).toEqual({ invocations: 32, workgroupBytes: 384 + 16, storageBuffers: 0 });
  const unreadable = { code: 'shader' };
  for (const code of ['@workgroup_size(NONE)', 'fn main() {}', 'var<workgroup> a: mat4x4f; @workgroup_size(1)']) {
    expect(() => footprint(code), code).toThrow(expect.objectContaining(unreadable));
  }
});
