// The directives of our WGSL texts, and what the resolver reads out of them.
import { describe, expect, test } from 'vitest';
import type { Kernel } from '../../engine/kernel.ts';
import { resolveKernel } from '../../engine/wgsl.ts';
import { kernelOfText } from './small-program.ts';

function resolve(source: string, parts: Partial<Kernel> = {}) {
  return resolveKernel(kernelOfText(source, { name: 'sample', variant: 'plain', ...parts }));
}

/** The resolved text after the lines that the resolver puts before it. */
const body = (source: string, parts?: Partial<Kernel>) =>
  resolve(source, parts).code.split('\n\n').slice(1).join('\n\n');

const refusal = (message: RegExp) =>
  expect.objectContaining({ code: 'shader', message: expect.stringMatching(message) });

describe('#import', () => {
  test('puts the text in place of the line', () => {
    expect(body('a\n// #import x\nb', { imports: { x: 'X' } })).toBe('a\nX\nb');
  });

  test('puts it there once, wherever it is asked for again', () => {
    const imports = { x: '// #import shared\nX', y: '// #import shared\nY', shared: 'S' };
    expect(body('// #import x\n// #import y\n// #import x', { imports })).toBe('S\nX\n\nY\n');
  });

  test('follows imports of imports', () => {
    expect(body('// #import a', { imports: { a: '// #import b', b: '// #import c', c: 'deep' } })).toBe('deep');
  });

  test('ends where texts import each other', () => {
    expect(body('// #import a', { imports: { a: '// #import b\nA', b: '// #import a\nB' } })).toBe('\nB\nA');
  });

  test('takes the text as it is, without reading $ as a pattern', () => {
    expect(body('// #import a', { imports: { a: '$& $1' } })).toBe('$& $1');
  });

  test('refuses an import without a text, naming kernel and import', () => {
    expect(() => resolve('// #import a', { imports: { a: '// #import lost' } })).toThrow(
      refusal(/^sample plain: no text is given for the import 'lost'$/),
    );
  });

  test('refuses a text that nothing imports', () => {
    expect(() => resolve('a', { imports: { x: 'X', y: 'Y' } })).toThrow(refusal(/nothing imports x, y/));
  });
});

describe('#unroll', () => {
  const loop = (from: string, to: string, inner = 'use(i);') =>
    `// #unroll\nfor (var i = ${from}; i < ${to}; i++) {${inner}}`;

  test('writes each iteration as a block with a literal counter', () => {
    expect(body(loop('0u', '3'))).toBe('{use(0u);}\n{use(1u);}\n{use(2u);}\n');
  });

  test('takes bounds from the constants of the variant', () => {
    expect(body(loop('FIRST', 'LAST'), { constants: { FIRST: 2, LAST: 4 } })).toBe('{use(2u);}\n{use(3u);}\n');
  });

  test('writes nothing for an empty range', () => {
    expect(body(`a\n${loop('4', '4')}\nb`)).toBe('a\n\nb');
  });

  test('replaces the counter as a word only', () => {
    expect(body(loop('0u', '1', 'index[i] = xi + i2 + i;'))).toBe('{index[0u] = xi + i2 + 0u;}\n');
  });

  test('keeps the text around, braces inside the loop, and loops that are not marked', () => {
    const plain = 'for (var k = 0u; k < 2; k++) { if (k > 0) { use(k); } }';
    expect(body(`before {${loop('0u', '2', plain)}} after`)).toBe(`before {{${plain}}\n{${plain}}\n} after`);
  });

  test('unrolls inside what it has unrolled', () => {
    const inner = '\n// #unroll\nfor (var j = 0u; j < N; j++) { at(i * N + j); }\n';
    const calls = body(loop('0u', '2', inner), { constants: { N: 2 } }).match(/at\([^)]*\)/g);
    expect(calls).toEqual(['at(0u * N + 0u)', 'at(0u * N + 1u)', 'at(1u * N + 0u)', 'at(1u * N + 1u)']);
  });

  test('unrolls one loop after another, and in imported texts', () => {
    const imports = { x: loop('0u', '1', 'first(i);') };
    expect(body(`// #import x\n${loop('5u', '6u')}`, { imports })).toBe('{first(0u);}\n\n{use(5u);}\n');
  });

  test.each([
    ['a statement', '// #unroll\nlet i = 0;', /stands before no simple for loop/],
    ['a loop that steps otherwise', '// #unroll\nfor (var i = 0u; i < 4; i += 2) {}', /no simple for loop/],
    ['a loop over two counters', '// #unroll\nfor (var i = 0u; j < 4; j++) {}', /no simple for loop/],
    ['a bound nobody knows', loop('0u', 'N'), /'N' is neither an integer nor a constant/],
    ['a bound that is an expression', loop('0u', 'N + 1'), /'N \+ 1' is neither/],
    ['a loop without an end', '// #unroll\nfor (var i = 0u; i < 4; i++) { if (x) {', /the loop never ends/],
  ])('refuses %s', (_, source, message) => {
    expect(() => resolve(source)).toThrow(refusal(message));
  });
});

test('a loop whose bound is a variable of the text stays a loop, and the loops in it and after it are written out', () => {
  const inner = '// #unroll\nfor (var k = 0u; k < 2; k++) { inner(k); }';
  const { code } = resolve(
    `let N = f();\n// #unroll\nfor (var i = 0u; i < N; i++) { outer(i); ${inner.trim()} }\n${inner}`,
  );
  expect(code).toContain('for (var i = 0u; i < N; i++) { outer(i);');
  expect(code.match(/inner\(0u\)/g)).toHaveLength(2);
  expect(code).not.toContain('inner(k)');
});

describe('the head of the text', () => {
  test('has the enable lines before all else, then the label, then the constants', () => {
    const { code } = resolve('body', {
      features: ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix' as GPUFeatureName],
      constants: { WIDTH: 4, SCALE: 0.125 },
    });
    expect(code.split('\n')).toEqual([
      'enable f16;',
      'enable subgroups;',
      'enable chromium_experimental_subgroup_matrix;',
      'diagnostic(off, chromium.subgroup_matrix_uniformity);',
      '// sample plain',
      'const WIDTH = 4;',
      'const SCALE = 0.125;',
      '',
      'body',
    ]);
  });

  test('refuses a feature for which it knows no enable line', () => {
    expect(() => resolve('', { features: ['float32-filterable'] })).toThrow(refusal(/float32-filterable/));
  });

  test('writes numbers that WGSL can read back exactly', () => {
    const constants = { EPSILON: 1e-5, SCALE: 96 ** -0.5, TINY: 1e-30 };
    for (const [, name, text] of resolve('', { constants }).code.matchAll(/const (\w+) = (\S+);/g)) {
      expect(text).toMatch(/^\d+(\.\d+)?(e-?\d+)?$/);
      expect(Number(text)).toBe(new Map(Object.entries(constants)).get(name));
    }
  });
});

describe('bindings', () => {
  const read = '@group(0) @binding(2) var<storage, read> input: array<vec4f>;   // [N]';
  const write = '@group(0) @binding(0) var<storage, read_write> output: array<vec4f>; // [N]';
  const uniform = '@group(0) @binding(7) var<uniform> params: Params;';

  test('are read by name, index and access, in the order of the text and of its imports', () => {
    const { bindings } = resolve(`${read}\n// #import more\n${uniform}`, { imports: { more: write } });
    expect(bindings).toEqual([
      { name: 'input', index: 2, access: 'read' },
      { name: 'output', index: 0, access: 'read_write' },
      { name: 'params', index: 7, access: 'uniform' },
    ]);
  });

  test('must not clash, were it across imports', () => {
    const more = '@group(0) @binding(2) var<storage, read> bias: array<vec4f>;';
    expect(() => resolve(`${read}\n// #import more`, { imports: { more } })).toThrow(
      refusal(/bias and input both have binding 2/),
    );
  });

  test('may be textures, of the device or of a video', () => {
    const own = '@group(0) @binding(0) var image: texture_2d<f32>;   // [H, W]';
    expect(resolve(own).bindings).toEqual([{ name: 'image', index: 0, access: 'texture_2d' }]);
    const video = '@group(0) @binding(3) var frame: texture_external;';
    expect(resolve(video).bindings).toEqual([{ name: 'frame', index: 3, access: 'texture_external' }]);
  });

  test.each([
    '@group(1) @binding(0) var<storage, read> x: array<u32>;',
    '@binding(0) @group(0) var<storage, read> x: array<u32>;',
    '@group(0) @binding(0) var<storage,read> x: array<u32>;',
    '@group(0) @binding(0) var<storage> x: array<u32>;',
    '@group(0) @binding(0) var t: texture_2d<u32>;',
    '@group(0) @binding(0) var t: texture_storage_2d<rgba8unorm, write>;',
  ])('written otherwise are refused: %s', (line) => {
    expect(() => resolve(`${write.replace('binding(0)', 'binding(5)')}\n${line}`)).toThrow(refusal(/house style/));
  });
});

describe('Params', () => {
  test('gives names and types in order, comments aside', () => {
    const source = 'struct Params {\n  rows: u32,   // R, of all frames\n  scale: f32,\n  last: u32\n}';
    expect(resolve(source).params).toEqual([
      { name: 'rows', type: 'u32' },
      { name: 'scale', type: 'f32' },
      { name: 'last', type: 'u32' },
    ]);
  });

  test('may be missing', () => {
    expect(resolve('fn main() {}').params).toEqual([]);
  });

  test.each(['size: vec2u', 'count: i32', 'rows : u32'])('refuses the field %s', (field) => {
    expect(() => resolve(`struct Params { ${field} }`)).toThrow(refusal(/neither a u32 nor an f32/));
  });
});
