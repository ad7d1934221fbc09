// The ceilings of an adapter's matrix units: subgroup matrices multiplied in registers, for each shape that the device has.
import type { Capabilities, Device } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import { StamError } from '../engine/errors.ts';
import type { MatrixShape } from '../engine/matrices.ts';
import { matrixFeature } from '../engine/matrices.ts';
import { subgroupsOf } from '../shaders/subgroups.ts';
import type { Form } from './ceiling.ts';
import { rates } from './ceiling.ts';
import source from './ceiling-matrix.wgsl';

export interface MatrixCeiling extends MatrixShape {
  /** Sums of a subgroup that do not wait for each other. */
  readonly accumulators: number;
  /** Billions of floating-point operations a second, multiply-adds counted as two. */
  readonly gflops: number;
}

/** Left and right matrices of a subgroup, whose products are its sums: 8 and 16. */
const blocks = [
  { down: 2, across: 4 },
  { down: 4, across: 4 },
] as const;

/** Of 16 bytes in memory: how many elements; the bits of a fraction and those of 0.5, as they lie in a word. */
const components = {
  f16: { chunk: 8, fraction: 0x03ff03ff, half: 0x38003800 },
  f32: { chunk: 4, fraction: 0x007fffff, half: 0x3f000000 },
} as const;

interface MatrixForm extends Form {
  readonly shape: MatrixShape;
  readonly accumulators: number;
}

/** What is measured on such a device: two forms for each of its shapes. Empty without matrices, or without a subgroup size to count on. */
export function matrixForms(capabilities: Capabilities): MatrixForm[] {
  const subgroups = subgroupsOf(capabilities);
  const feature = matrixFeature(capabilities.features);
  if (!subgroups || !feature) return [];
  const { software } = capabilities.adapter;
  const workgroups = software ? 64 : 8192;
  const turns = software ? 32 : 512;
  return capabilities.matrices.flatMap((shape) => {
    const { component, m, n, k } = shape;
    const { chunk, fraction, half } = components[component];
    return blocks.map(({ down, across }): MatrixForm => {
      const accumulators = down * across;
      return {
        name: `ceiling-matrix ${component} ${m}x${n}x${k}, ${accumulators} sums`,
        shape,
        accumulators,
        source,
        parts: {
          imports: { component: `alias Component = ${component};`, subgroup: subgroups.text },
          constants: {
            LANES: subgroups.lanes,
            MATRIX_M: m,
            MATRIX_N: n,
            MATRIX_K: k,
            CHUNK: chunk,
            DOWN: down,
            ACROSS: across,
            MEMORY: Math.max(((down * m + across * n) * k) / chunk, (m * n) / 4),
            FRACTION: fraction,
            HALF: half,
          },
          features: [...subgroups.features, feature, ...(component === 'f16' ? (['shader-f16'] as const) : [])],
        },
        params: { turns },
        workgroups,
        output: [workgroups * subgroups.lanes],
        work: workgroups * turns * accumulators * 2 * m * n * k,
      };
    });
  });
}

/** Measures them, in about a second a shape. One that the device refuses is told and left out. */
export async function measureMatrices(device: Device, onNotice: (text: string) => void): Promise<MatrixCeiling[]> {
  const measured: MatrixCeiling[] = [];
  for (const form of matrixForms(device.capabilities)) {
    try {
      const [rate] = await rates(device, [form], 500);
      measured.push({ ...form.shape, accumulators: form.accumulators, gflops: rate / 1e6 });
    } catch (error) {
      if (!(error instanceof StamError) || error.code === 'device-lost' || error.code === 'disposed') throw error;
      onNotice(`${form.name}: not measured; ${error.message}`);
    }
  }
  return measured;
}

/** The best that matrices of a component reach; undefined where none were measured. */
export function matrixGflops(ceilings: readonly MatrixCeiling[], component: StorageType): number | undefined {
  const gflops = ceilings.filter((one) => one.component === component).map((one) => one.gflops);
  return gflops.length > 0 ? Math.max(...gflops) : undefined;
}
