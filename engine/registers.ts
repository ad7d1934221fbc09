// What a kernel asks of a lane's registers, read off its text, and which candidates a device has enough of them for. A kernel that spills
// goes to memory in the midst of its arithmetic, and one that takes many leaves room for few lanes at a time.
import type { Capabilities } from './device.ts';
import { StamError } from './errors.ts';
import { evaluate } from './footprint.ts';
import type { Kernel } from './kernel.ts';
import { kernelLabel, kernelsOf } from './kernel.ts';

/**
 * Registers that a kernel takes beside its variables, for addresses, operands on their way and loops. By Mesa's compiler for Intel's Xe,
 * where a lane has 64, what has 40 in variables does not spill, and what has 44 does.
 */
const besideVariables = 24;

/** The candidates in their order, but those first that a lane has the registers for. */
export function byRegisters(candidates: readonly Kernel[], { laneRegisters }: Capabilities): readonly Kernel[] {
  const fits = new Set(candidates.filter((kernel) => registersOf(kernel) <= laneRegisters));
  return [...fits, ...candidates.filter((kernel) => !fits.has(kernel))];
}

/** An estimate of the registers of 32 bits that a lane fills. Throws shader for a variable whose type it cannot read. */
export function registersOf(kernel: Kernel): number {
  return besideVariables + Math.max(...kernelsOf(kernel).map(variableWords));
}

/** Words of all variables of the kernel's functions. Those that live one after another are counted as if at once. */
function variableWords(kernel: Kernel): number {
  const texts = [kernel.source, ...Object.values(kernel.imports)].map(declarationsOf);
  const values = new Map(texts.flatMap(({ constants }) => constants));
  const aliases = new Map(texts.flatMap(({ aliases }) => aliases));
  const fail = (what: string): never => {
    const where = kernelLabel(kernel);
    throw new StamError('shader', { where, problem: 'the size of a variable cannot be read', got: `'${what}'` });
  };
  const number = (expression: string): number =>
    evaluate(expression, (name) => kernel.constants[name] ?? number(values.get(name) ?? fail(name)));
  const words = (type: string): number => {
    const [, element, length] = /^array<(.+),([^,]+)>$/.exec(type) ?? [];
    if (element !== undefined) return words(element.trim()) * number(length);
    const [, component, columns, rows] = /^subgroup_matrix_\w+<([^,]+),([^,]+),([^,]+)>$/.exec(type) ?? [];
    // the lanes of a subgroup hold a matrix together
    if (component !== undefined) return (words(component.trim()) * number(columns) * number(rows)) / number('LANES');
    const alias = aliases.get(type);
    return alias === undefined ? (typeWords[type] ?? fail(type)) : words(alias);
  };
  return texts.flatMap(({ variables }) => variables).reduce((sum, type) => sum + words(type), 0);
}

interface Declarations {
  readonly constants: readonly (readonly [name: string, value: string])[];
  readonly aliases: readonly (readonly [name: string, type: string])[];
  /** Types of the variables of functions. */
  readonly variables: readonly string[];
}

/** By text: kernels share theirs. */
const known = new Map<string, Declarations>();

function declarationsOf(source: string): Declarations {
  const before = known.get(source);
  if (before) return before;
  const text = source.replace(/\/\/.*$/gm, '');
  const pairs = (pattern: RegExp) =>
    [...text.matchAll(pattern)].map(([, name, value]) => [name, value.trim()] as const);
  const declarations = {
    constants: pairs(/^const (\w+) = ([^;]+);/gm),
    aliases: pairs(/^alias (\w+) = ([^;]+);/gm),
    variables: [...text.matchAll(/^ +var \w+(?:: ([^=;]+)| = ((?:array|vec\d)[\w<>, *+]*)\(| = )/gm)].map(
      ([, declared, constructed]) => (declared ?? constructed ?? 'f32').trim(),
    ),
  };
  known.set(source, declarations);
  return declarations;
}

/** Registers of 32 bits; two halves share one. */
const typeWords: Readonly<Record<string, number>> = {
  bool: 1,
  f32: 1,
  u32: 1,
  i32: 1,
  f16: 0.5,
  vec2f: 2,
  vec2u: 2,
  vec3u: 3,
  vec4f: 4,
  vec4u: 4,
  mat4x4f: 16,
  vec2i: 2,
  vec4i: 4,
  'vec2<f16>': 1,
  'vec4<f16>': 2,
};
