// Subgroup matrices: which of the shapes that kernels know a device multiplies. WebGPU has them as an experiment
// (chromium-experimental-subgroup-matrix). A GPUDevice does not tell its shapes, so each is compiled once.
//
// Only the syntax of 2026 is known here, where a template parameter says how a matrix lies in memory. The one before loads matrices
// from arrays of their own element type alone, and compilers then move them two bytes at a time.

import { DeviceLoss } from './device-loss.ts';

/** One shape of multiplication: left [m, k] by right [k, n], added to a sum [m, n] in f32. */
export interface MatrixShape {
  /** Type of the elements of left and right. */
  readonly component: 'f16' | 'f32';
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** The shapes that kernels know, the largest of a component first: NVIDIA's and AMD's, Intel's, Apple's. */
export const matrixShapes: readonly MatrixShape[] = [
  { component: 'f16', m: 16, n: 16, k: 16 },
  { component: 'f16', m: 8, n: 16, k: 16 },
  { component: 'f32', m: 8, n: 8, k: 8 },
];

/** Those that the device compiles. */
export async function probeMatrices(device: GPUDevice): Promise<readonly MatrixShape[]> {
  if (!device.features.has('chromium-experimental-subgroup-matrix')) return [];
  const possible = matrixShapes.filter(({ component }) => component === 'f32' || device.features.has('shader-f16'));
  const compiled = await Promise.all(possible.map((shape) => compiles(device, probe(shape))));
  return possible.filter((_, i) => compiled[i]);
}

/** A pipeline that loads, multiplies and stores as kernels do. A workgroup of 128 is whole subgroups on every device. */
const probe = ({ component, m, n, k }: MatrixShape): string => `
  ${component === 'f16' ? 'enable f16;' : ''}
  enable chromium_experimental_subgroup_matrix;
  var<workgroup> memory: array<vec4u, 64>;
  @compute @workgroup_size(128) fn main() {
    let left = subgroupMatrixLoad<subgroup_matrix_left<${component}, ${k}, ${m}>, row_major>(&memory, 0, 4);
    let right = subgroupMatrixLoad<subgroup_matrix_right<${component}, ${n}, ${k}>, col_major>(&memory, 0, 4);
    let sum = subgroupMatrixMultiplyAccumulate(left, right, subgroup_matrix_result<f32, ${n}, ${m}>());
    subgroupMatrixStore<row_major>(&memory, 0, sum, 4);
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
