// Kernels that multiply subgroup matrices, with the matrices emulated: their own text but for the calls that load, multiply and store.
import type { Capabilities } from '../../engine/device.ts';
import type { Kernel } from '../../engine/kernel.ts';
import type { MatrixShape } from '../../engine/matrices.ts';
import { matrixFeatures } from '../../engine/matrices.ts';
import matrixEmulated from './matrix-emulated.wgsl';

/** A test adapter as a GPU that multiplies matrices of this shape. Its subgroups are its own: what they share is emulated by them. */
export function withEmulated(capabilities: Capabilities, shape: MatrixShape): Capabilities {
  const features = new Set([...capabilities.features].filter((name) => !(name in matrixFeatures)));
  return { ...capabilities, features, adapter: { ...capabilities.adapter, software: false }, matrices: [shape] };
}

export const multipliesMatrices = (kernel: Kernel): boolean => kernel.imports['matrix'] !== undefined;

const calls: readonly (readonly [string, string])[] = [
  ['subgroupMatrixLoad<LeftMatrix, row_major>(', 'load_left('],
  ['subgroupMatrixLoad<RightMatrix, col_major>(', 'load_right('],
  ['subgroupMatrixLoad<SumMatrix, row_major>(', 'load_sum('],
  ['subgroupMatrixMultiplyAccumulate(', 'multiply('],
  ['subgroupMatrixStore<row_major>(', 'store_sum('],
];

function emulated(text: string): string {
  const replaced = calls.reduce((before, [call, by]) => before.replaceAll(call, by), text);
  if (/subgroupMatrix(Load|Store|Multiply)/.test(replaced)) throw new Error('a call on matrices is not emulated');
  return replaced;
}

/** The kernel as an adapter without matrices can run it. */
export function emulate(kernel: Kernel): Kernel {
  if (!multipliesMatrices(kernel)) return kernel;
  const { component: _, matrix: __, ...imports } = kernel.imports;
  const memory = (text: string | undefined, variable: string) =>
    text?.includes(`&${variable},`)
      ? `ptr<storage, array<vec4u>, ${variable === 'weight' ? 'read' : 'read_write'}>`
      : undefined;
  // workgroup memory is of one type, or of one for each side: blocks of the right operand, and strips of all others
  const [block, strip] = kernel.source.includes('alias Strip =') ? ['Block', 'Strip'] : ['Region', 'Region'];
  const aliases = [
    `alias LeftMemory = ptr<workgroup, ${strip}>;`,
    `alias RightMemory = ${memory(imports['right'], 'weight') ?? `ptr<workgroup, ${block}>`};`,
    `alias SumMemory = ${memory(imports['sums'], 'partial') ?? `ptr<workgroup, ${strip}>`};`,
  ];
  const texts = Object.entries(imports).map(([name, text]) => [name, emulated(text)] as const);
  return {
    ...kernel,
    source: emulated(kernel.source),
    imports: { ...Object.fromEntries(texts), matrix: `${aliases.join('\n')}\n${matrixEmulated}` },
  };
}
