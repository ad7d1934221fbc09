import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files of minutes, the longest first: whichever comes last would keep one core waiting for it. */
const longest = [
  'cli/infer.system',
  'faults/faults.system',
  'cli/infer-x3d.system',
  'shaders/linear.gpu',
  'shaders/linear-f16.gpu',
  'model/x3d-parity.gpu',
  'shaders/matrices.gpu',
  'shaders/few-registers.gpu',
];

/** Those of one project come together, so that the workers of the GPU tests keep their devices from one file to the next. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const projects = ['system', 'gpu', 'unit'];
    const place = ({ moduleId, project }: TestSpecification) => {
      const found = longest.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
      return projects.indexOf(project.name) * (longest.length + 1) + (found < 0 ? longest.length : found);
    };
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
  }
}

export default defineConfig(({ mode }) => {
  // test/sample.ts reads it; a variable, since the projects are configured anew and in another mode
  if (mode === 'all') process.env['STAM_TESTS'] = 'all';
  return {
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
      globalSetup: ['test/install.ts', 'test/samples.ts'],
      reporters: ['default', './test/slowest-files.ts'],
      pool: 'forks', // Dawn ends with its process
      maxWorkers: 2, // two at a time fill two cores
      sequence: { sequencer: LongestFirst },
      // against hangs only: a software driver may take minutes to compile a model's kernels on a busy machine
      testTimeout: 600_000,
      hookTimeout: 600_000,
      projects: [
        {
          extends: true,
          // no device, browser or other process
          test: {
            name: 'unit',
            include: ['test/**/*.test.ts'],
            exclude: ['test/**/*.{gpu,system}.test.ts'],
          },
        },
        {
          extends: true,
          // a worker keeps its device from file to file, with what was compiled for it
          test: {
            name: 'gpu',
            include: ['test/**/*.gpu.test.ts'],
            isolate: false,
            setupFiles: ['test/leaks.ts'],
            maxConcurrency: 2, // while one test's kernels are compiled another's are
          },
        },
        {
          extends: true,
          // browsers, processes, the package, endurance: each file in a process of its own
          test: { name: 'system', include: ['test/**/*.system.test.ts'] },
        },
      ],
      // of what runs in the tests' own processes: commands that are started as such do not count
      coverage: {
        provider: 'v8',
        include: ['engine/**/*.ts', 'loaders/**/*.ts', 'model/**/*.ts'],
        reporter: ['text', 'json-summary'],
      },
    },
  };
});
