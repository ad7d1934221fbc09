// What a command tells people to do must be something that it can be told.
import { readdirSync, readFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commands } from '../../cli/commands.ts';
import { convert } from '../../cli/convert.ts';
import { inspect } from '../../cli/inspect.ts';
import { StamError } from '../../engine/errors.ts';
import { call } from './call.ts';

let folder: string;
beforeAll(async () => {
  folder = await fs.mkdtemp(path.join(tmpdir(), 'stam-hints-'));
});
afterAll(() => fs.rm(folder, { recursive: true }));

const ofCheckpoints = ['bench', 'classify', 'convert', 'infer', 'inspect', 'run'];
/** Those for which the configuration may be read off the checkpoint. */
const ofAnyConfiguration = ['classify', 'infer', 'run'];

test('each command that takes a checkpoint is told where in it the weights are, and each that runs any model its heads', () => {
  const having = (option: string) => commands.filter(({ options }) => option in options).map(({ name }) => name);
  expect(having('key').sort()).toEqual(ofCheckpoints);
  expect(having('heads').sort()).toEqual(ofAnyConfiguration);
});

describe('hints of the library', () => {
  /** No command asks for what they are about. */
  const ofLibraryAlone = ['verifyChecksums'];

  test('name options that commands have', () => {
    const root = fileURLToPath(new URL('../../', import.meta.url));
    const named = ['loaders', 'model', 'engine'].flatMap((room) =>
      readdirSync(path.join(root, room), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts'))
        .flatMap((file) => [...readFileSync(path.join(root, room, file), 'utf8').matchAll(/the option \\?`(\w+)\\?`/g)])
        .map(([, option]) => option),
    );
    expect(new Set(named)).toEqual(new Set(['key', 'heads', 'dtype', ...ofLibraryAlone]));
  });

  test('are spelled as the command has them', async () => {
    const failing = {
      ...inspect,
      run: async ({ log }: Parameters<typeof inspect.run>[0]) => {
        log('a notice of the option `heads`');
        throw new StamError('bad-input', { where: 'x', problem: 'y', hint: 'name one by the option `key`' });
      },
    };
    const { stderr } = await call([failing], ['inspect', 'x']);
    expect(stderr).toBe('a notice of --heads\nstam inspect: x: y; name one by --key\n');
  });
});

test('a header that apps have to allow first is read by a command, which has no option for it', async () => {
  const length = 16 * 1024 * 1024 + 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set([0x7b, 0x7d], 8);
  const file = path.join(folder, 'long.safetensors');
  await fs.writeFile(file, bytes);
  expect(await call([inspect], ['inspect', file])).toMatchObject({ code: 0, stderr: '' });
  // one of more than the format allows is refused without a way out that a command lacks
  new DataView(bytes.buffer).setBigUint64(0, 100_000_001n, true);
  await fs.writeFile(file, bytes);
  const { stderr } = await call([convert], ['convert', file, path.join(folder, 'out')]);
  expect(stderr).toMatch(/the header is too long; got 100000001 bytes, .*; this may be no safetensors file\n$/);
});
