// bench/README's table of what is chosen first on GPUs that are not here: a change of a rule has to show there.
import fs from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import type { Capabilities } from '../../engine/device.ts';
import { laneRegistersOf, unitsOf } from '../../engine/hardware.ts';
import { wayOf } from '../../engine/kernel.ts';
import type { Plan } from '../../engine/plan.ts';
import { createPlan } from '../../engine/plan.ts';
import { loadRanking } from '../../engine/ranking.ts';
import { namedConfig } from '../../model/config.ts';
import { stamGraph } from '../../model/stam.ts';
import { x3dGraph } from '../../model/x3d.ts';
import { x3dConfigs } from '../../model/x3d-config.ts';
import { loadGpuKernels } from '../../shaders/gpu-families.ts';
import { loadMatrixKernels } from '../../shaders/matrix-families.ts';
import { loadSubgroupKernels } from '../../shaders/subgroup-families.ts';
import { defaultCapabilities, withHalves, withMatrices, withSubgroups } from '../capabilities.ts';

beforeAll(async () => {
  await Promise.all([loadMatrixKernels(), loadGpuKernels(), loadSubgroupKernels(), loadRanking()]);
});

/** A GPU with halves, 32 KiB of workgroup memory and up to 1024 invocations, as all of these have. */
function gpu(vendor: string): Capabilities {
  const adapter = { vendor, architecture: '', device: '', description: '', software: false };
  const limits = { ...defaultCapabilities.limits, workgroupStorageBytes: 32768, workgroupInvocations: 1024 };
  const own = { adapter, limits, laneRegisters: laneRegistersOf(adapter), units: unitsOf(adapter) };
  return withHalves({ ...defaultCapabilities, ...own }, true);
}

const varying = (capabilities: Capabilities): Capabilities => ({ ...capabilities, subgroupSizeVaries: true });
const f16Matrices = { m: 16, n: 16, k: 16, component: 'f16' } as const;

/** As browsers give them: subgroups whose size varies cannot be asked for, and matrices are there for those who ask Dawn. */
const devices: Readonly<Record<string, Capabilities>> = {
  'Intel UHD 630 (Gen9)': varying(gpu('intel')),
  'Intel Xe, sizes asked for': withSubgroups(gpu('intel'), 16, true),
  'Apple M1': withSubgroups(gpu('apple'), 32),
  'Adreno 740': varying(gpu('qualcomm')),
  'Mali-G715': withSubgroups(gpu('arm'), 16),
  'AMD RDNA3': varying(gpu('amd')),
  NVIDIA: withSubgroups(gpu('nvidia'), 32),
  'NVIDIA, matrices': withMatrices(withSubgroups(gpu('nvidia'), 32), f16Matrices),
};

function waysOf({ commands }: Plan, wanted: Readonly<Record<string, RegExp>>): Record<string, string> {
  const named = Object.entries(wanted).map(([column, pattern]) => {
    const found = commands.find((command) => command.kind === 'dispatch' && pattern.test(command.name));
    return [column, found?.kind === 'dispatch' ? wayOf(found.kernel) : ''];
  });
  return Object.fromEntries(named);
}

function rowOf(name: string, capabilities: Capabilities): string {
  const stam = stamGraph(namedConfig('stam_16'), { videos: 1, storage: 'f16', framesPerPass: 16 });
  const options = {
    videos: 1,
    storage: 'f16',
    videosPerPass: 1,
    largestBytes: capabilities.limits.storageBufferBindingBytes,
  } as const;
  const config = x3dConfigs.get('x3d_m');
  if (!config) throw new Error('there is no x3d_m');
  const x3d = x3dGraph(config, options);
  const { fc1, attention, norm, temporal } = waysOf(createPlan(stam, capabilities), {
    fc1: /^blocks\.0\.mlp\.fc1$/,
    attention: /^blocks\.0\.attn$/,
    norm: /^blocks\.0\.norm1$/,
    temporal: /layers\.0\.linear1$/,
  });
  const { stem, depthwise, pointwise } = waysOf(createPlan(x3d, capabilities), {
    stem: /^blocks\.0\.conv\.conv_t$/,
    depthwise: /^blocks\.1\.res_blocks\.1\..*conv_b$/,
    pointwise: /^blocks\.1\.res_blocks\.1\..*conv_a$/,
  });
  const { laneRegisters, units } = capabilities;
  const registers = `${Number.isFinite(laneRegisters) ? laneRegisters : 'enough'}, ${units}`;
  return `| ${[name, registers, fc1, attention, norm, temporal, stem, pointwise, depthwise].join(' | ')} |`;
}

const readme = fs.readFileSync(new URL('../../bench/README.md', import.meta.url), 'utf8').split('\n');

test.each(Object.entries(devices))('%s', (name, capabilities) => {
  expect(readme.find((line) => line.startsWith(`| ${name} |`))).toBe(rowOf(name, capabilities));
});
