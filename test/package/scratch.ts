// An app of somebody else's: an empty folder with the packed package installed in it, offline.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Scratch {
  readonly folder: string;
  /** What the tarball holds, by path, and its own size in bytes. */
  readonly packed: {
    readonly size: number;
    readonly files: readonly { readonly path: string; readonly size: number }[];
  };
  remove(): Promise<void>;
}

/** Packs the project as `npm publish` would, and installs that. `linked` are packages that the app has beside it. */
export async function createScratch(linked: readonly string[]): Promise<Scratch> {
  const folder = await mkdtemp(path.join(tmpdir(), 'stam-package-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    const answer = await run('npm', ['pack', '--json', '--pack-destination', folder], root);
    const [packed] = JSON.parse(answer.slice(answer.indexOf('['))) as [Scratch['packed'] & { filename: string }];
    await writeFile(path.join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
    await run('npm', ['install', '--offline', '--no-audit', '--no-fund', `./${packed.filename}`], folder);
    for (const name of linked) {
      const place = path.join(folder, 'node_modules', name);
      await mkdir(path.dirname(place), { recursive: true });
      await symlink(path.join(root, 'node_modules', name), place);
    }
    return { folder, packed, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Runs a program to its end and returns what it wrote to stdout. Throws, with all that it said, when it fails. */
export async function run(
  program: string,
  parameters: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const child = spawn(program, parameters, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data) => (stdout += data));
  child.stderr.on('data', (data) => (stderr += data));
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code === 0) return stdout;
  throw new Error(`${program} ${parameters.join(' ')}: exit ${code}\n${stdout}${stderr}`);
}

/** The code blocks of README.md that say in their first line which file they are, by that file. */
export async function documentedFiles(): Promise<Map<string, string>> {
  const readme = await readFile(path.join(root, 'README.md'), 'utf8');
  const blocks = readme.matchAll(/^```ts\n(\/\/ (\S+\.ts)\b.*\n[\s\S]*?)^```$/gm);
  return new Map([...blocks].map(([, code, file]) => [file, code]));
}
