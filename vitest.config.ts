import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files of minutes, the longest first: whichever comes last would keep one core waiting for it. */
const longest = [
  'shaders/conformance',
  'cli/infer',
  'model/x3d-parity',
  'shaders/matrices',
  'cli/infer-x3d',
  'model/parity',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const found = longest.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
      return found < 0 ? longest.length : found;
    };
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
  }
}

export default defineConfig({
  plugins: [
    {
      // kernels are real .wgsl files, labels a .txt; esbuild reads them with its text loader, the tests with this
      name: 'texts',
      enforce: 'pre', // a .txt would be an asset, known by its address, otherwise
      load(id) {
        return /\.(wgsl|txt)$/.test(id) ? `export default ${JSON.stringify(readFileSync(id, 'utf8'))}` : null;
      },
    },
  ],
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/install.ts',
    // each file in a process of its own: Dawn ends with its process, and two files at a time fill two cores
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    // against hangs only: a software driver may take minutes to compile a model's kernels on a busy machine
    testTimeout: 600_000,
    hookTimeout: 600_000,
    // of what runs in the tests' own processes: commands that are started as such do not count
    coverage: {
      provider: 'v8',
      include: ['engine/**/*.ts', 'loaders/**/*.ts', 'model/**/*.ts'],
      reporter: ['text', 'json-summary'],
    },
  },
});
