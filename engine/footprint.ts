// What a kernel asks of a device's limits, read off its text: the text is what a device judges.
import type { Capabilities } from './device.ts';
import { StamError } from './errors.ts';
import type { ResolvedKernel } from './wgsl.ts';

/** What one workgroup takes. */
export interface Footprint {
  readonly invocations: number;
  /** Bytes of workgroup memory. */
  readonly workgroupBytes: number;
  readonly storageBuffers: number;
}

const footprints = new WeakMap<ResolvedKernel, Footprint>();

/** What a text takes, read off it once. Throws shader for what it cannot read. */
export function footprintOf(resolved: ResolvedKernel): Footprint {
  const known = footprints.get(resolved) ?? readFootprint(resolved);
  footprints.set(resolved, known);
  return known;
}

/** Reads `@workgroup_size` and every `var<workgroup>`; lengths are constants of the text. */
function readFootprint({ code, bindings }: ResolvedKernel): Footprint {
  const text = code.replace(/\/\/.*$/gm, '');
  const names = new Map([...text.matchAll(/^const (\w+) = ([^;]+);/gm)].map(([, name, value]) => [name, value]));
  const aliases = new Map([...text.matchAll(/^alias (\w+) = ([^;]+);/gm)].map(([, name, type]) => [name, type]));
  const fail = (what: string): never => {
    throw new StamError('shader', { where: 'workgroup memory', problem: 'its size cannot be read', got: `'${what}'` });
  };
  const number = (expression: string): number => evaluate(expression, (name) => number(names.get(name) ?? fail(name)));
  const bytes = (type: string): number => {
    const [, element, length] = /^array<(.+),([^,]+)>$/.exec(type) ?? [];
    if (element !== undefined) return bytes(element.trim()) * number(length);
    const alias = aliases.get(type);
    return alias === undefined ? (typeBytes[type] ?? fail(type)) : bytes(alias);
  };
  const [, size = fail('@workgroup_size')] = /@workgroup_size\(([^)]+)\)/.exec(text) ?? [];
  const memory = [...text.matchAll(/var<workgroup> \w+: ([^;]+);/g)].map(([, type]) => bytes(type.trim()));
  return {
    invocations: size.split(',').reduce((product, one) => product * number(one), 1),
    // each variable begins at a multiple of sixteen bytes
    workgroupBytes: memory.reduce((sum, one) => sum + Math.ceil(one / 16) * 16, 0),
    storageBuffers: bindings.filter(({ access }) => access === 'read' || access === 'read_write').length,
  };
}

/** Elements whose arrays have no gaps between them. */
const typeBytes: Readonly<Record<string, number>> = {
  f32: 4,
  u32: 4,
  f16: 2,
  'vec4<f16>': 8,
  vec2u: 8,
  vec2f: 8,
  vec4f: 16,
  vec4u: 16,
};

/** A limit that a kernel does not keep. */
export interface Excess {
  readonly limit: keyof GPUSupportedLimits;
  readonly needed: number;
  readonly given: number;
}

/** The first limit of the device that a workgroup exceeds. */
export function excessOf(footprint: Footprint, { limits }: Capabilities): Excess | undefined {
  const pairs: readonly Excess[] = [
    {
      limit: 'maxComputeInvocationsPerWorkgroup',
      needed: footprint.invocations,
      given: limits.workgroupInvocations,
    },
    {
      limit: 'maxComputeWorkgroupStorageSize',
      needed: footprint.workgroupBytes,
      given: limits.workgroupStorageBytes,
    },
    { limit: 'maxStorageBuffersPerShaderStage', needed: footprint.storageBuffers, given: limits.storageBuffers },
  ];
  return pairs.find(({ needed, given }) => needed > given);
}

/** Sums and products of integers, in which `value` knows the names. Division is that of integers. */
export function evaluate(expression: string, value: (name: string) => number): number {
  const words = expression.match(/\d+u?|\w+|[-+*/%()]/g) ?? [];
  let at = 0;
  const factor = (): number => {
    const word = words[at++] ?? '';
    if (word === '(') {
      const inner = sum();
      at++;
      return inner;
    }
    return /^\d/.test(word) ? Number.parseInt(word, 10) : value(word);
  };
  const product = (): number => {
    let result = factor();
    for (; /^[*/%]$/.test(words[at] ?? ''); ) {
      const [operator, operand] = [words[at++], factor()];
      if (operator === '*') result *= operand;
      else result = operator === '/' ? Math.trunc(result / operand) : result % operand;
    }
    return result;
  };
  const sum = (): number => {
    let result = product();
    for (; /^[-+]$/.test(words[at] ?? ''); ) {
      const [operator, operand] = [words[at++], product()];
      result += operator === '+' ? operand : -operand;
    }
    return result;
  };
  return sum();
}
