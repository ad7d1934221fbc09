// npm run mutation: makes each error in a copy of the project, and runs the tests that have to notice it. Exit 1 if one does not.
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Mutation } from './mutations.ts';
import { mutations } from './mutations.ts';

const write = (line: string) => process.stdout.write(`${line}\n`);

/** A copy of what git has or would take, in a folder of its own beside which `shared` stands as it does here. */
function copyProject(): string {
  const beside = fs.mkdtempSync(path.join(tmpdir(), 'stam-mutation-'));
  const copy = path.join(beside, 'project');
  const list = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
    encoding: 'utf8',
  });
  for (const file of list.split('\0').filter((name) => name && fs.existsSync(name))) {
    fs.mkdirSync(path.dirname(path.join(copy, file)), { recursive: true });
    fs.copyFileSync(file, path.join(copy, file));
  }
  fs.symlinkSync(path.resolve('node_modules'), path.join(copy, 'node_modules'));
  if (fs.existsSync('../shared')) fs.symlinkSync(fs.realpathSync('../shared'), path.join(beside, 'shared'));
  return copy;
}

/** Whether the tests fail as tests do, and not for want of one. */
function failsIn(copy: string, { tests, only }: Pick<Mutation, 'tests' | 'only'>): boolean {
  const { status, stdout, error } = spawnSync(
    'npx',
    ['vitest', 'run', '--mode', 'all', '--bail', '1', ...(only ? ['-t', only] : []), ...tests],
    { cwd: copy, encoding: 'utf8', env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' } },
  );
  if (error) throw error;
  if (!/Tests +[1-9]\d* (failed|passed)/.test(stdout)) throw new Error(`no test ran: ${stdout.slice(-2000)}`);
  return status !== 0;
}

function apply(copy: string, { file, right, wrong }: Mutation): () => void {
  const place = path.join(copy, file);
  const text = fs.readFileSync(place, 'utf8');
  if (text.split(right).length !== 2) throw new Error(`${file} does not have exactly one '${right}'`);
  fs.writeFileSync(
    place,
    text.replace(right, () => wrong),
  );
  return () => fs.writeFileSync(place, text);
}

const copy = copyProject();
try {
  let caught = 0;
  for (const mutation of mutations) {
    if (failsIn(copy, mutation)) throw new Error(`${mutation.tests} fail without any error made`);
    const undo = apply(copy, mutation);
    const found = failsIn(copy, mutation);
    undo();
    caught += found ? 1 : 0;
    write(`${found ? 'caught' : 'MISSED'}: ${mutation.file}: ${mutation.error}`);
  }
  write(`${caught} of ${mutations.length} caught`);
  process.exitCode = caught === mutations.length ? 0 : 1;
} finally {
  fs.rmSync(path.dirname(copy), { recursive: true });
}
