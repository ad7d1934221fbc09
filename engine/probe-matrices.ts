// Which shapes of subgroup matrices a device multiplies. An adapter may list them (subgroupMatrixConfigs), a GPUDevice does not, and neither
// says what its compiler takes: so each shape that is known or listed is compiled once.
//
// Only the syntax of 2026 is known here, where a template parameter says how a matrix lies in memory. The one before loads matrices
// from arrays of their own element type alone, and compilers then move them two bytes at a time.
import { DeviceLoss } from './device-loss.ts';
import type { MatrixShape } from './matrices.ts';
import { matrixFeatures } from './matrices.ts';

const shape = (component: MatrixShape['component'], m: number, n: number, k: number) => ({ component, m, n, k });

/**
 * Shapes of present devices, of each component the one that kernels like best first: NVIDIA's and AMD's, which use every lane of a
 * load; NVIDIA's other one; Intel's; llvmpipe's; Metal 4's on Apple's M5; and Apple's older ones.
 */
export const matrixShapes: readonly MatrixShape[] = [
  shape('f16', 16, 16, 16),
  shape('f16', 16, 8, 16),
  shape('f16', 8, 16, 16),
  shape('f16', 32, 32, 16),
  shape('f16', 8, 8, 16),
  shape('f16', 8, 8, 8),
  shape('f32', 16, 16, 16),
  shape('f32', 8, 8, 8),
];

/** What an adapter lists of one shape. */
interface MatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** The shapes that an adapter lists and kernels can use: whole chunks of 16 bytes of k, sums in f32, at least eight columns. */
function listedShapes(info: GPUAdapterInfo): MatrixShape[] {
  const configs = (info as { subgroupMatrixConfigs?: Iterable<MatrixConfig> }).subgroupMatrixConfigs ?? [];
  const isPower = (size: number) => size > 0 && (size & (size - 1)) === 0;
  return [...configs].flatMap(({ componentType: component, resultComponentType: result, M: m, N: n, K: k }) => {
    if ((component !== 'f16' && component !== 'f32') || result !== 'f32') return [];
    const fits = [m, n, k].every(isPower) && n >= 8 && m >= 8 && m <= 32 && n <= 32 && k <= 16;
    return fits && k >= (component === 'f16' ? 8 : 4) ? [shape(component, m, n, k)] : [];
  });
}

/** What came of a GPUDevice's probes: a second model on it compiles nothing. */
const probed = new WeakMap<GPUDevice, Promise<readonly MatrixShape[]>>();

/** Those that the device compiles, of the known ones and of what the adapter lists; devices of today list none. */
export async function probeMatrices(
  device: GPUDevice,
  feature: GPUFeatureName,
  info: GPUAdapterInfo,
): Promise<readonly MatrixShape[]> {
  const shapes = probed.get(device) ?? compiledShapes(device, feature, info);
  probed.set(device, shapes);
  return await shapes;
}

async function compiledShapes(
  device: GPUDevice,
  feature: GPUFeatureName,
  info: GPUAdapterInfo,
): Promise<readonly MatrixShape[]> {
  const names = new Set<string>();
  const possible = [...matrixShapes, ...listedShapes(info)].filter((one) => {
    const name = Object.values(one).join(' ');
    if (names.has(name) || (one.component === 'f16' && !device.features.has('shader-f16'))) return false;
    names.add(name);
    return true;
  });
  const compiled = await Promise.all(possible.map((one) => compiles(device, probe(one, feature))));
  return possible.filter((_, i) => compiled[i]);
}

/** A pipeline that loads, multiplies and stores as kernels do. A workgroup of 128 is whole subgroups on every device. */
const probe = ({ component, m, n, k }: MatrixShape, feature: GPUFeatureName): string => `
  ${component === 'f16' ? 'enable f16;' : ''}
  enable ${matrixFeatures[feature as keyof typeof matrixFeatures].extension};
  var<workgroup> memory: array<vec4u, 1024>;
  @compute @workgroup_size(128) fn main() {
    let left = subgroupMatrixLoad<subgroup_matrix_left<${component}, ${k}, ${m}>, row_major>(&memory, 0, 8);
    let right = subgroupMatrixLoad<subgroup_matrix_right<${component}, ${n}, ${k}>, col_major>(&memory, 0, 8);
    let sum = subgroupMatrixMultiplyAccumulate(left, right, subgroup_matrix_result<f32, ${n}, ${m}>());
    subgroupMatrixStore<row_major>(&memory, 0, sum, 8);
  }`;

async function compiles(device: GPUDevice, code: string): Promise<boolean> {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ label: 'stam: matrix probe', code });
  const scope = device.popErrorScope();
  try {
    const compiling = device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
    await DeviceLoss.of(device).settle(compiling, () => new Error('the device is lost'));
    return true;
  } catch {
    return false;
  } finally {
    await scope.catch(() => undefined); // lost devices answer nothing; whoever uses this one next will hear of it
  }
}
