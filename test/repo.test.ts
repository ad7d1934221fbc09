// The architecture of DESIGN and CONTRIBUTING as a test. It reads files and runs nothing; imports are found by their spelling.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');

const lower = ['engine', 'shaders', 'model', 'loaders'];
const all = [...lower, 'index.ts', 'cli', 'demo', 'bench', 'build', 'test', 'package.json'];

/** What each room, and each file outside of all rooms, may import beside itself. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  engine: [],
  shaders: ['engine'],
  model: ['engine', 'shaders'],
  loaders: ['engine'],
  'index.ts': lower,
  cli: all,
  demo: ['index.ts'],
  bench: all,
  test: all,
  build: [],
  'build.mjs': ['build'],
  'vitest.config.ts': [],
};

const files = listFiles('');
const sources = files.filter((file) => /\.(ts|wgsl|mjs)$/.test(file));
const kernels = files.filter((file) => /^shaders\/[^/]+\.wgsl$/.test(file));
const imports = new Map(
  sources.filter((file) => !file.endsWith('.wgsl')).map((file) => [file, localImports(file)] as const),
);
const imported = new Set([...imports.values()].flat());

describe('sources', () => {
  test('no file has more than 400 lines', () => {
    const lengths = sources.map((file) => ({ file, lines: lineCount(file) }));
    expect(lengths.filter(({ lines }) => lines > 400)).toEqual([]);
  });

  test('no type is left open, nothing is left to do', () => {
    // `any` as a type stands before punctuation or the end of its line, as a word of prose it does not
    const openType = /(?::|\bas|<)\s*any(?:\[\])*(?=\s*(?:[;,)=\]}|&>{]|$))/m;
    const toBeDone = /\b(?:TO[D]O|FIX[M]E)\b/;
    expect(sources.filter((file) => openType.test(read(file)))).toEqual([]);
    expect(sources.filter((file) => toBeDone.test(read(file)))).toEqual([]);
  });

  test('no file is a drawer for what has no other place', () => {
    const isDrawer = (file: string) => /(?:^|[-.])(?:utils?|misc|helpers?)(?=[-.]|$)/i.test(path.basename(file));
    expect(files.filter(isDrawer)).toEqual([]);
  });

  test('no name carries a version', () => {
    const names = sources
      .filter((file) => [...lower, 'cli'].includes(roomOf(file)))
      .flatMap((file) => [path.parse(file).name, ...functionNames(read(file))].map((name) => ({ file, name })));
    // f16 and u32 are widths, matmul2 is history
    const hasVersion = ({ name }: { name: string }) => /\d$/.test(name) && !/\D(?:8|16|32|64)$/.test(name);
    expect(names.filter(hasVersion)).toEqual([]);
  });
});

describe('imports', () => {
  const edges = [...imports].flatMap(([from, targets]) => targets.map((to) => ({ from, to })));

  test('each names a file that exists', () => {
    expect(edges.filter(({ to }) => !files.includes(to))).toEqual([]);
  });

  test('each goes from a higher room to a lower one', () => {
    const isAllowed = ({ from, to }: { from: string; to: string }) =>
      roomOf(from) === roomOf(to) || mayImport[roomOf(from)]?.includes(roomOf(to));
    expect(edges.filter((edge) => !isAllowed(edge))).toEqual([]);
    // a room that the table does not know would be free to import nothing, which nobody meant
    expect([...imports.keys()].filter((file) => !(roomOf(file) in mayImport))).toEqual([]);
  });

  test('none of them form a cycle, those of types included', () => {
    expect(findCycle()).toEqual([]);
  });
});

describe('packages', () => {
  test('none is needed at run time', () => {
    const manifest: unknown = JSON.parse(read('package.json'));
    expect(manifest).not.toHaveProperty('optionalDependencies');
    expect(manifest).toMatchObject({ peerDependenciesMeta: { webgpu: { optional: true } } });
    const { dependencies = {}, peerDependencies } = manifest as Record<string, object | undefined>;
    expect(dependencies).toEqual({});
    expect(Object.keys(peerDependencies ?? {})).toEqual(['webgpu']);
  });

  test('the ones for development are exact versions, and locked by their hashes', () => {
    const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: Record<string, string> };
    expect(Object.entries(devDependencies).filter(([, wanted]) => !/^\d+\.\d+\.\d+$/.test(wanted))).toEqual([]);
    const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, { integrity?: string }> };
    const unlocked = Object.entries(packages).filter(
      ([name, { integrity }]) => name && !integrity?.startsWith('sha512-'),
    );
    expect(unlocked).toEqual([]);
  });

  test('all come from the registry', () => {
    const text = read('package-lock.json');
    const { packages } = JSON.parse(text) as { packages: Record<string, { resolved?: string; link?: boolean }> };
    // npm may be configured to leave `resolved` out for what the registry serves
    const isForeign = ([, { resolved, link }]: [string, { resolved?: string; link?: boolean }]) =>
      link || (resolved !== undefined && !/^https:.*\.tgz$/.test(resolved));
    expect(Object.entries(packages).filter(isForeign)).toEqual([]);
    expect(text.match(/"(?:git[+:@]|github:|gitlab:|bitbucket:|file:|http:).*"/g) ?? []).toEqual([]);
  });
});

describe('kernels', () => {
  test('each begins with a comment that says what it computes', () => {
    expect(kernels.filter((file) => !/^\/\/ \S/.test(read(file)))).toEqual([]);
  });

  test('each has a host half, and each shared snippet a kernel that takes it', () => {
    expect(kernels.length).toBeGreaterThan(0);
    expect(files.filter((file) => file.endsWith('.wgsl') && !imported.has(file))).toEqual([]);
    const host = (file: string) => [...imports].filter(([, targets]) => targets.includes(file)).map(([from]) => from);
    expect(kernels.filter((file) => !host(file).some((from) => roomOf(from) === 'shaders'))).toEqual([]);
  });

  test('each binding line ends with its shape', () => {
    const bindings = files
      .filter((file) => /^shaders\/.*\.wgsl$/.test(file))
      .flatMap((file) =>
        read(file)
          .split('\n')
          .map((line) => `${file}: ${line}`),
      )
      .filter((line) => /@binding\(/.test(line));
    expect(bindings.length).toBeGreaterThan(0);
    expect(bindings.filter((line) => !/var<uniform>/.test(line) && !/; *\/\/ \[[^\]]+\]/.test(line))).toEqual([]);
  });
});

describe('rooms', () => {
  test.each([...lower, 'cli', 'demo', 'bench', 'build', 'test'])(
    '%s has a README of at most 40 lines, tables aside',
    (room) => {
      const file = `${room}/README.md`;
      expect(existsSync(path.join(root, file)), `${file} is missing`).toBe(true);
      const prose = readFileSync(path.join(root, file), 'utf8')
        .split('\n')
        .filter((line) => !line.startsWith('|'));
      expect(prose.length).toBeLessThanOrEqual(40);
    },
  );
});

/** All files of the repository but for what is installed, built or hidden, as paths from its root. */
function listFiles(folder: string): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const file = path.posix.join(folder, entry.name);
    if (entry.name.startsWith('.') || ['node_modules', 'dist', 'coverage'].includes(file)) return [];
    return entry.isDirectory() ? listFiles(file) : [file];
  });
}

function lineCount(file: string): number {
  return read(file).trimEnd().split('\n').length;
}

/** The room, or the file itself where it stands outside of all. */
function roomOf(file: string): string {
  return file.split('/')[0];
}

/** The files of this repository that a file imports, of types or on demand too. */
function localImports(file: string): string[] {
  const spelling = /^(?:import|export)\b(?:[^'";]*\bfrom)?\s*'([^']+)'|\bimport\(\s*'([^']+)'/gm;
  return [...read(file).matchAll(spelling)]
    .map(([, atOnce, onDemand]) => atOnce ?? onDemand)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => path.posix.join(path.posix.dirname(file), specifier));
}

function functionNames(text: string): string[] {
  const spelling = /\bfunction\*?\s+(\w+)|\b(?:const|let)\s+(\w+)\s*=\s*(?:async\s*)?(?:\w+|\([^)]*\)[^=;]*?)\s*=>/g;
  return [...text.matchAll(spelling)].map(([, declared, assigned]) => declared ?? assigned);
}

/** The files of one cycle, in order; none where there is no cycle. */
function findCycle(): string[] {
  const finished = new Set<string>();
  const visit = (file: string, above: readonly string[]): string[] => {
    if (above.includes(file)) return [...above.slice(above.indexOf(file)), file];
    if (finished.has(file)) return [];
    for (const target of imports.get(file) ?? []) {
      const cycle = visit(target, [...above, file]);
      if (cycle.length > 0) return cycle;
    }
    finished.add(file);
    return [];
  };
  for (const file of imports.keys()) {
    const cycle = visit(file, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}
