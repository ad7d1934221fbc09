import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test, vi } from 'vitest';
import { inspect } from '../../cli/inspect.ts';
import type { ByteSource } from '../../loaders/source.ts';
import { call } from './call.ts';

// which models are known is not the subject here
const identify = vi.hoisted(() => vi.fn<() => string | undefined>());
vi.mock('../../model/config.ts', () => ({ identify }));
// the same module for as long as it does not exist: then it goes by the name it is imported by
vi.mock('../model/config.ts', () => ({ identify }));

const opened = vi.hoisted((): Promise<ByteSource>[] => []);
vi.mock('../../loaders/node-source.ts', async (original) => {
  const { fileSource } = await original<typeof import('../../loaders/node-source.ts')>();
  return {
    fileSource(file: string) {
      const source = fileSource(file);
      opened.push(source);
      return source;
    },
  };
});

const folder = mkdtempSync(join(tmpdir(), 'stam-inspect-'));
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => {
  identify.mockReset();
  opened.length = 0;
});

function safetensors(name: string, header: Record<string, unknown>, bytes: number): string {
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const path = join(folder, name);
  writeFileSync(path, Buffer.concat([length, text, Buffer.alloc(bytes)]));
  return path;
}

const path = safetensors(
  'two.safetensors',
  {
    __metadata__: { format: 'pt', note: 'a\u001b[2Jb' },
    'head.weight': { dtype: 'F32', shape: [400, 2], data_offsets: [0, 3200] },
    'head.bias': { dtype: 'F16', shape: [400], data_offsets: [3200, 4000] },
  },
  4000,
);

test('lists tensors, metadata, totals and the model', async () => {
  identify.mockReturnValue('stam_16');
  const { code, stdout, stderr } = await call([inspect], ['inspect', path]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout.split('\n').map((line) => line.trimEnd())).toEqual([
    'tensor       dtype  shape        size',
    '-----------  -----  --------  -------',
    'head.weight  F32    [400, 2]  3.20 kB',
    'head.bias    F16    [400]       800 B',
    '',
    'metadata  value',
    '--------  -----------',
    'format    pt',
    'note      a\\u001b[2Jb',
    '',
    '2 tensors (1 F32, 1 F16), 1,200 elements, 4.00 kB',
    'model: stam_16',
    '',
  ]);
});

test('--json says the same to programs', async () => {
  const { code, stdout } = await call([inspect], ['inspect', '--json', path]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    file: path,
    model: null,
    totals: { tensors: 2, elements: 1200, bytes: 4000, tensorsByDtype: { F32: 1, F16: 1 } },
    metadata: { format: 'pt', note: 'a\u001b[2Jb' },
    leftOut: [],
    otherKeys: [],
    tensors: [
      { name: 'head.weight', dtype: 'F32', shape: [400, 2], bytes: 3200 },
      { name: 'head.bias', dtype: 'F16', shape: [400], bytes: 800 },
    ],
  });
});

test('a file without tensors is still a file', async () => {
  const { stdout } = await call([inspect], ['inspect', safetensors('none.safetensors', {}, 0)]);
  expect(stdout).toBe('0 tensors, 0 elements, 0 B\nmodel: none that is known here\n');
});

test('a missing or broken file is exit 1 and one line that names it', async () => {
  const missing = join(folder, 'nowhere');
  const broken = join(folder, 'broken');
  writeFileSync(broken, 'no header');
  for (const file of [missing, broken]) {
    const { code, stdout, stderr } = await call([inspect], ['inspect', file]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.startsWith(`stam inspect: ${file}: `)).toBe(true);
    expect(stderr.trimEnd()).not.toContain('\n');
  }
});

test('the file is closed, even when the report fails', async () => {
  identify.mockImplementation(() => {
    throw new Error('oh');
  });
  expect(await call([inspect], ['inspect', path])).toMatchObject({ code: 1, stderr: 'stam inspect: oh\n' });
  expect(opened).toHaveLength(1);
  const source = await opened[0];
  await expect(source.read(0, 1)).rejects.toMatchObject({ code: 'disposed' });
});
