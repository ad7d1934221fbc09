// From a kernel to the WGSL text that a device compiles, and what that text says about its own bindings.
//
// A kernel's .wgsl file is WGSL plus two directives, both of them comments, so that editors can read the file as it stands:
//   // #import NAME     puts the text that the kernel variant has under NAME here, once
//   // #unroll          writes the `for` loop that follows out in full, unless a variant makes its bound a variable
//                    of the text (`let BOUND = ...`) and no integer or constant
// The variant's constants and `enable` lines come first. Bindings and the fields of `Params` are read from the text, by name.
import { StamError } from './errors.ts';
import type { Kernel } from './kernel.ts';
import { kernelLabel } from './kernel.ts';
import { matrixFeatures } from './matrices.ts';

export interface Binding {
  readonly name: string;
  readonly index: number;
  readonly access: 'read' | 'read_write' | 'uniform' | TextureAccess;
}

/** A texture that a kernel loads texels of: one of the device's own, or a frame of video that the browser holds. */
export type TextureAccess = 'texture_2d' | 'texture_external';

/** A kernel's text in full, and its interface. */
export interface ResolvedKernel {
  readonly code: string;
  readonly bindings: readonly Binding[];
  /** Fields of `struct Params`, four bytes each, in order. */
  readonly params: readonly { readonly name: string; readonly type: 'u32' | 'f32' }[];
}

/** The name under which every kernel binds its uniform. */
export const paramsBinding = 'params';

const enableNames: Readonly<Record<string, string>> = {
  'shader-f16': 'f16',
  subgroups: 'subgroups',
  'subgroup-size-control': 'subgroup_size_control',
  ...Object.fromEntries(Object.entries(matrixFeatures).map(([feature, { extension }]) => [feature, extension])),
};

/** Expands a kernel. Throws `shader` for an import without text, a malformed loop, a constant missing, or a clash of bindings. */
export function resolveKernel(kernel: Kernel): ResolvedKernel {
  const fail = (problem: string): never => {
    throw new StamError('shader', { where: kernelLabel(kernel), problem });
  };
  const body = expandImports(kernel, fail);
  const enables = kernel.features.map(
    (feature) => `enable ${enableNames[feature] ?? fail(`no enable line for ${feature}`)};`,
  );
  // matrices are asked to be uniform over a workgroup; uniform over a subgroup, as they have to be, the compiler cannot prove
  for (const [feature, { diagnostic }] of Object.entries(matrixFeatures)) {
    if (kernel.features.includes(feature as GPUFeatureName)) enables.push(`diagnostic(off, ${diagnostic});`);
  }
  const constants = Object.entries(kernel.constants).map(([name, value]) => `const ${name} = ${value};`);
  const unrolled = unrollLoops(body, kernel.constants, fail);
  const code = `${[...enables, `// ${kernelLabel(kernel)}`, ...constants].join('\n')}\n\n${unrolled}`;
  return { code, bindings: readBindings(code, fail), params: readParams(code, fail) };
}

type Fail = (problem: string) => never;

function expandImports(kernel: Kernel, fail: Fail): string {
  const done = new Set<string>();
  const expand = (text: string): string =>
    text.replace(/^\/\/ #import (\S+)$/gm, (_, name: string) => {
      if (done.has(name)) return '';
      done.add(name);
      return expand(kernel.imports[name] ?? fail(`no text is given for the import '${name}'`));
    });
  const text = expand(kernel.source);
  const unused = Object.keys(kernel.imports).filter((name) => !done.has(name));
  if (unused.length) fail(`nothing imports ${unused.join(', ')}`);
  return text;
}

const loopHeader = /^\/\/ #unroll\s*\n\s*for \(var (\w+) = ([^;]+); \1 < ([^;]+); \1\+\+\) \{/;

/** Replaces each marked loop by its iterations, blocks in which the counter is a literal; inner loops are next. */
function unrollLoops(text: string, constants: Readonly<Record<string, number>>, fail: Fail): string {
  const mark = text.search(/\/\/ #unroll\b/);
  if (mark < 0) return text;
  const rest = text.slice(mark);
  const header = loopHeader.exec(rest) ?? fail(`#unroll stands before no simple for loop: ${rest.slice(0, 80)}`);
  const [whole, counter, from, to] = header;
  const bound = (word: string): number | undefined => {
    const value = /^\d+u?$/.test(word) ? Number.parseInt(word, 10) : constants[word];
    if (value !== undefined || text.includes(`let ${word} = `)) return value;
    return fail(`#unroll: '${word}' is neither an integer nor a constant of the variant nor a variable of the text`);
  };
  const [first, last] = [bound(from), bound(to)];
  if (first === undefined || last === undefined) {
    return text.slice(0, mark) + unrollLoops(rest.replace('// #unroll', '// a loop'), constants, fail);
  }
  const end = closingBrace(rest, whole.length) ?? fail('#unroll: the loop never ends');
  const body = rest.slice(whole.length, end);
  const word = new RegExp(`\\b${counter}\\b`, 'g');
  let iterations = '';
  for (let i = first; i < last; i++) iterations += `{${body.replace(word, `${i}u`)}}\n`;
  return text.slice(0, mark) + unrollLoops(`${iterations}${rest.slice(end + 1)}`, constants, fail);
}

function closingBrace(text: string, start: number): number | undefined {
  let depth = 1;
  for (let i = start; i < text.length; i++) {
    if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth === 0) return i;
  }
  return undefined;
}

function readBindings(code: string, fail: Fail): Binding[] {
  const bindings: Binding[] = [];
  const declaration =
    /@group\(0\) @binding\((\d+)\) var(?:<(uniform|storage, read|storage, read_write)> (\w+)|\s+(\w+): (texture_2d<f32>|texture_external);)/g;
  const accesses: Readonly<Record<string, Binding['access']>> = {
    uniform: 'uniform',
    'storage, read': 'read',
    'storage, read_write': 'read_write',
    'texture_2d<f32>': 'texture_2d',
    texture_external: 'texture_external',
  };
  for (const [, index, space, buffer, image, texture] of code.matchAll(declaration)) {
    const name = buffer ?? image;
    const access = accesses[space ?? texture];
    const clash = bindings.find((other) => other.index === Number(index));
    if (clash) fail(`${name} and ${clash.name} both have binding ${index}`);
    bindings.push({ name, index: Number(index), access });
  }
  if (bindings.length !== (code.match(/@binding\(/g) ?? []).length) fail('a binding is not written in the house style');
  return bindings;
}

function readParams(code: string, fail: Fail): ResolvedKernel['params'] {
  const struct = /struct Params \{([^}]*)\}/.exec(code);
  if (!struct) return [];
  const fields = struct[1]
    .replace(/\/\/.*$/gm, '')
    .split(',')
    .map((field) => field.trim())
    .filter(Boolean);
  return fields.map((field) => {
    const [, name, type] = /^(\w+): (u32|f32)$/.exec(field) ?? fail(`Params: '${field}' is neither a u32 nor an f32`);
    return { name, type: type as 'u32' | 'f32' };
  });
}

/** The bytes of a `Params` uniform: its fields in order, padded to whole quads. */
export function packParams(fields: ResolvedKernel['params'], values: Kernel['params']): ArrayBuffer {
  const data = new ArrayBuffer(Math.ceil(fields.length / 4) * 16);
  const view = new DataView(data);
  fields.forEach(({ name, type }, i) => {
    if (type === 'u32') view.setUint32(i * 4, values[name], true);
    else view.setFloat32(i * 4, values[name], true);
  });
  return data;
}
