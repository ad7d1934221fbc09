// What the self-check knows of each operator: its definition against test/reference.ts, and every kernel against its definition.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../engine/device.ts';
import type { StorageType } from '../../engine/dtype.ts';
import type { GraphNode } from '../../engine/graph.ts';
import { Graph } from '../../engine/graph.ts';
import { kernelLabel } from '../../engine/kernel.ts';
import { SelfCheck } from '../../engine/self-check.ts';
import { elementCount, rowLength } from '../../engine/shape.ts';
import type { Axis } from '../../shaders/index.ts';
import { pictureBytes, resample, resampleTaps, resampleTexture, tapsInput } from '../../shaders/index.ts';
import { resampledRow, rgbOf } from '../../shaders/resample-definitions.ts';
import { defaultCapabilities, withSubgroups } from '../capabilities.ts';
import type { OperatorCase } from '../conformance.ts';
import { buildCase } from '../conformance.ts';
import { openOwnTestDevice, openTestDevice } from '../device.ts';
import { randomStream } from '../random.ts';
import * as reference from '../reference.ts';
import { sampleOf } from '../sample.ts';
import { operatorCases } from './index.ts';
import { toRgb } from './resample.cases.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

/** Pictures are of bytes, and their checks bring their own. */
const pictures = operatorCases.filter(({ operator }) => operator === 'resample');
const cases = operatorCases.filter((one) => !pictures.includes(one));

const lastNode = (one: OperatorCase, storage: StorageType): GraphNode => {
  const node = buildCase(one, storage).nodes.at(-1);
  if (!node) throw new Error(`${one.name} adds no node`);
  return node;
};

test('every operator of floats has a check', () => {
  expect(cases.filter((one) => !lastNode(one, 'f32').check).map(({ operator }) => operator)).toEqual([]);
  const operators = [...new Set(cases.map(({ operator }) => operator))].sort();
  const convolutions = ['averagePool', 'depthwise', 'frameConv', 'squeezeExcite'];
  expect(operators).toEqual(
    ['add', 'assembleTokens', 'attention', 'layerNorm', 'linear', 'patchEmbed', ...convolutions].sort(),
  );
});

/** Cases as small as the self-check's own problems, of which it takes all: what it knows of those can be compared. */
const whole = cases.filter((one) => {
  const { check, inputs } = lastNode(one, 'f32');
  const sizes = Object.entries(check?.shapes ?? {}).map(([name, shape]) =>
    [shape, inputs[name].shape].map(elementCount),
  );
  return sizes.every(([few, all]) => few === all) && !one.name.includes('cut at'); // a cut is made in other memory
});

test('every operator, and each way of its rows, has such a case', () => {
  expect([...new Set(whole.map(({ operator }) => operator))]).toEqual([
    ...new Set(cases.map(({ operator }) => operator)),
  ]);
  for (const rows of [/gate/, /pointwise \[2.*gate/, /every 2/])
    expect(whole.some(({ name }) => rows.test(name))).toBe(true);
});

test.each(whole.map((one) => [`${one.operator} ${one.name}`, one] as const))(
  'the definition is the reference: %s',
  (_, one) => {
    const { check, inputs, outputs } = lastNode(one, 'f32');
    // by the names of the bindings; the residual of a case is the sum of an operand and zeros, under the operand's name
    const operands = Object.fromEntries(
      Object.entries(inputs).map(([name, value]) => [name, one.operands[value.name].data]),
    );
    const expected = one.expected();
    const length = rowLength(Object.values(outputs)[0].shape);
    const largest = expected.reduce((peak, x) => Math.max(peak, Math.abs(x)), 0);
    for (let row = 0; row < expected.length / length; row++) {
      const got = check?.row(operands, row) ?? new Float64Array();
      expect(got.length).toBe(length);
      got.forEach((x, column) => {
        expect(Math.abs(x - expected[row * length + column])).toBeLessThanOrEqual(1e-6 * largest);
      });
    }
  },
);

/** One case of each operator, that with the most kernels. */
const widest = [...new Set(cases.map(({ operator }) => operator))].map((operator) => {
  const kernels = (one: OperatorCase) => lastNode(one, 'f32').candidates(withSubgroups(defaultCapabilities, 4)).length;
  return cases.filter((one) => one.operator === operator).toSorted((a, b) => kernels(b) - kernels(a))[0];
});

describe.each(['f32', 'f16'] as const)('%s', (storage) => {
  const each = widest.map((one) => [`${one.operator} ${one.name}`, one] as const);
  test.each(sampleOf(`operators whose kernels pass the self-check, ${storage}`, each, 2))(
    'no right kernel fails: %s',
    async (_, one) => {
      const capabilities = device.capabilities;
      const graph = buildCase(one, storage);
      const candidates = graph.nodes.at(-1)?.candidates(capabilities) ?? [];
      expect(candidates.length).toBeGreaterThan(0);
      for (const kernel of candidates) {
        const check = new SelfCheck(device);
        await check.rightPlan(graph, (_node, offered) => {
          return offered.find((other) => kernelLabel(other) === kernelLabel(kernel)) ?? offered[0];
        });
        expect(check.dropped).toEqual([]);
      }
    },
  );
});

describe('pictures', () => {
  const [across, down]: Axis[] = [
    { from: 13, to: 9, first: 1 },
    { from: 10, to: 8, first: -1 },
  ];
  const picture = { width: across.from, height: down.from, to: [across.to, down.to], size: 7, frames: 1 } as const;
  const corner = { left: across.first, top: down.first, size: picture.size };

  test.each([
    ['RGB', false],
    ['RGBA', false],
    ['BGRA', false],
    ['I420', false],
    ['I420', true],
    ['NV12', false],
    ['NV12', true],
  ] as const)('the definition is the reference: %s, full range: %s', (format, fullRange) => {
    const random = randomStream(3);
    const { width, height, to, size } = picture;
    const bytes = Uint8Array.from({ length: pictureBytes(format, width, height) }, () => random() * 256);
    const rgb = toRgb(bytes, { ...picture, ...corner, format, fullRange });
    const resized = reference.resizeBilinear(rgb, [width, height], to);
    const expected = reference.toTensor(reference.crop(resized, to, corner));
    const taps = [resampleTaps(across, size), resampleTaps(down, size)] as const;
    const row = resampledRow(rgbOf(bytes, { width, height, format, fullRange }), ...taps, size);
    const got = Array.from({ length: 3 * size }, (_, i) => [...row({}, i)]).flat();
    expect(Float32Array.from(got)).toEqual(Float32Array.from(expected));
  });

  /** A device that takes one text for another in the kernels of such a name. */
  async function miscompiling(name: string, right: string, wrong: string): Promise<Device> {
    const wrongDevice = await openOwnTestDevice();
    const { gpu } = wrongDevice;
    const compile = gpu.createShaderModule.bind(gpu);
    gpu.createShaderModule = (descriptor) => {
      if (!descriptor.label?.includes(name)) return compile(descriptor);
      if (!descriptor.code.includes(right)) throw new Error(`${name} has no ${right}`);
      return compile({ ...descriptor, code: descriptor.code.replace(right, wrong) });
    };
    return wrongDevice;
  }

  const each = pictures.map((one) => [one.name, one] as const);
  test.each(sampleOf('pictures whose kernels pass the self-check', each, 4))(
    'no right kernel fails: %s',
    async (_, one) => {
      const check = new SelfCheck(device);
      const graph = buildCase(one, 'f32');
      expect(graph.nodes.map((node) => node.check !== undefined)).toEqual([true, true]);
      await check.rightPlan(graph);
      expect(check.dropped).toEqual([]);
      expect(check.summary).toMatch(/^2 kernels right/);
    },
  );

  test.each([
    ['resample-rows', 'HALF = 2097152', 'HALF = 0'],
    ['resample-columns', 'vec4i(255)', 'vec4i(254)'],
    ['resample-texture', 'vec3i(HALF)', 'vec3i(0)'],
  ])('a wrong %s is found', async (name, right, wrong) => {
    const graph = new Graph();
    const table = (which: string, axis: Axis) => {
      const taps = resampleTaps(axis, 4 * Math.ceil(picture.size / 4));
      return { taps, table: tapsInput(graph, which, taps) };
    };
    const levels = graph.input('levels', [256], 'f32');
    const crop = { name: 'picture', across: table('across', across), down: table('down', down), levels };
    const { width, height, size } = picture;
    if (name === 'resample-texture') {
      const image = graph.texture('image', width, height);
      graph.keep('picture', resampleTexture(graph, image, { ...crop, size, external: false }));
    } else {
      const value = graph.activation('picture', [1, 3, size, size], 'f32');
      const into = { value, part: { start: 0, of: 1 } };
      const pixels = graph.input('pixels', [1, width * height], 'u32');
      resample(graph, pixels, { ...crop, format: 'RGBA', fullRange: false, width, height, into });
      graph.keep('picture', value);
    }
    const wrongDevice = await miscompiling(name, right, wrong);
    const check = new SelfCheck(wrongDevice);
    await expect(check.rightPlan(graph)).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/no kernel for resample is right .*resample-\w+ \w+: .*off by/),
    });
    // with bytes both kernels are meant: what lies between them is seen by the second alone
    expect(check.dropped.map(({ kernel }) => kernel.split(' ')[0])).toContain(name);
    wrongDevice.dispose();
  });
});
