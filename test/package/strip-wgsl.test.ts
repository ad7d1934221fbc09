// The library is published with stripped kernels, and tested with those of the sources: they have to be the same.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { stripWgsl } from '../../build/strip-wgsl.mjs';
import type { Kernel } from '../../engine/kernel.ts';
import { resolveKernel } from '../../engine/wgsl.ts';
import { defaultCapabilities, withHalves, withMatrices, withSubgroups } from '../capabilities.ts';
import { candidatesOf } from '../conformance.ts';
import { sampleOf } from '../sample.ts';
import { operatorCases } from '../shaders/index.ts';

const devices = [
  defaultCapabilities,
  withSubgroups(withHalves(defaultCapabilities, true), 8),
  withSubgroups(withHalves(defaultCapabilities, true), 32, true),
  withMatrices(withSubgroups(withHalves(defaultCapabilities, true), 32), { component: 'f16', m: 16, n: 16, k: 16 }),
  withMatrices(withSubgroups(defaultCapabilities, 32), { component: 'f32', m: 8, n: 8, k: 8 }),
];

test('every kernel keeps its tokens and its interface', () => {
  for (const kernel of kernels()) {
    const [plain, published] = [resolveKernel(kernel), resolveKernel(strip(kernel))];
    const label = `${kernel.name} ${kernel.variant}`;
    expect(tokens(published.code), label).toEqual(tokens(plain.code));
    expect({ ...published, code: '' }, label).toEqual({ ...plain, code: '' });
    expect(published.code.length, label).toBeLessThan(plain.code.length);
  }
});

test('every file keeps its tokens and its directives', () => {
  const files = wgslFiles();
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) {
    const text = readFileSync(file, 'utf8');
    const stripped = stripWgsl(text, file);
    expect(tokens(stripped), file).toEqual(tokens(text));
    expect(stripped.match(directives), file).toEqual(text.match(directives));
  }
});

/** As engine/wgsl.ts looks for them. */
const directives = /^\/\/ #import \S+$|\/\/ #unroll\b/gm;

/** One kernel of each text that some case leads to on some device. */
function kernels(): Iterable<Kernel> {
  const byText = new Map<string, Kernel>();
  for (const operator of sampleOf('operators whose kernels are published as they are', operatorCases, 20)) {
    for (const device of devices) {
      for (const storage of ['f32', 'f16'] as const) {
        for (const kernel of candidatesOf(operator, storage, device)) byText.set(resolveKernel(kernel).code, kernel);
      }
    }
  }
  return byText.values();
}

function wgslFiles(): string[] {
  const folder = fileURLToPath(new URL('../../shaders', import.meta.url));
  const entries = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return entries.filter((name) => name.endsWith('.wgsl')).map((name) => path.join(folder, name));
}

function strip(kernel: Kernel): Kernel {
  const imports = Object.entries(kernel.imports).map(([name, text]) => [name, stripWgsl(text, name)]);
  return { ...kernel, source: stripWgsl(kernel.source, kernel.name), imports: Object.fromEntries(imports) };
}

/** Words, numbers and every other character that is no blank, comments aside: whether they stood apart is part of it. */
function tokens(code: string): string[] {
  const withoutComments = code.replace(/\/\/[^\n]*|\/\*(?:[^*]|\*(?!\/))*\*\//g, ' ');
  return withoutComments.match(/[\p{L}\p{N}_.]+|[^\s\p{L}\p{N}_.]+/gu) ?? [];
}

describe('stripWgsl', () => {
  test('leaves code and directives, each line of them', () => {
    const text =
      '// what it computes\n// #import storage\n\nfn f(a: u32) -> u32 {  // a comment\n' +
      '    /* why */ var   b = a / 2; /** and\n    more */\n  // #unroll\n  for (var i = 0u; i < 4; i++) { b += i; }\n}\n';
    expect(stripWgsl(text, 'x')).toBe(
      '// #import storage\nfn f(a: u32) -> u32 {\nvar b = a / 2;\n// #unroll\nfor (var i = 0u; i < 4; i++) { b += i; }\n}\n',
    );
  });

  test('keeps words apart that a comment keeps apart', () => {
    expect(stripWgsl('let/**/a = b/* / */- 1;', 'x')).toBe('let a = b - 1;\n');
  });

  test.each([
    ['an import that is indented, which is a comment', '  // #import storage'],
    ['an import behind code, which is a comment', 'x(); // #import storage'],
    ['an import of two', '// #import storage rows'],
    ['an unroll behind code', 'x(); // #unroll'],
    ['a directive that is misspelt', '//#unroll'],
    ['a directive that nobody knows', '// #include storage'],
    ['blocks of comments inside one another', '/* a /* b */ c */'],
  ])('refuses %s', (_, text) => {
    expect(() => stripWgsl(text, 'shaders/x.wgsl')).toThrow('shaders/x.wgsl: cannot be stripped');
  });
});
