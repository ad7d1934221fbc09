// Before all tests: a file for what the samples are of. After them: says it, so that nobody takes a part for the whole.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

export async function setup(): Promise<() => Promise<void>> {
  const folder = await mkdtemp(path.join(tmpdir(), 'stam-samples-'));
  const file = path.join(folder, 'samples');
  await writeFile(file, '');
  process.env['STAM_SAMPLES'] = file;
  return async () => {
    const lines = (await readFile(file, 'utf8')).split('\n').filter(Boolean);
    const samples = [...new Set(lines)].sort(); // an operator may have two files of tests
    await rm(folder, { recursive: true });
    if (samples.length > 0) {
      process.stdout.write(
        `Of these suites a sample was run; \`npm run test:all\` runs everything:\n  ${samples.join('\n  ')}\n`,
      );
    }
  };
}
