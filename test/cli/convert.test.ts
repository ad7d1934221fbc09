import fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { convert } from '../../cli/convert.ts';
import { inspect } from '../../cli/inspect.ts';
import type { Checkpoint } from '../../loaders/checkpoint.ts';
import { createFileSink, fileSource } from '../../loaders/node-source.ts';
import { openCheckpoint } from '../../loaders/open-checkpoint.ts';
import { openSafetensors } from '../../loaders/safetensors.ts';
import { writeSafetensors } from '../../loaders/safetensors-writer.ts';
import { dict, int, legacyFile, none, tensor, zip, zipFiles } from '../loaders/pytorch/torch-files.ts';
import { call } from './call.ts';

const mixed = fileURLToPath(new URL('../fixtures/mixed.pth', import.meta.url));
let folder: string;
let output: string;

beforeAll(async () => {
  folder = await fs.mkdtemp(path.join(tmpdir(), 'stam-convert-'));
});
afterAll(() => fs.rm(folder, { recursive: true }));
beforeEach(async () => {
  for (const name of await fs.readdir(folder)) await fs.rm(path.join(folder, name));
  output = path.join(folder, 'out.safetensors');
});

async function write(name: string, bytes: Uint8Array): Promise<string> {
  const file = path.join(folder, name);
  await fs.writeFile(file, bytes);
  return file;
}

async function withOutput(check: (written: Checkpoint) => Promise<void>): Promise<void> {
  const written = await openSafetensors(await fileSource(output));
  await check(written);
  await written.close();
}

describe('a .pth file', () => {
  test('keeps every dtype, shape and element; tied tensors are written twice', async () => {
    const { code, stdout, stderr } = await call([convert], ['convert', mixed, output]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toContain(`${output}: 16 tensors (9 F32, 1 F16, 1 BF16, 1 F64, 1 I64, 1 I32, 1 U8, 1 BOOL)`);
    const original = await openCheckpoint(await fileSource(mixed));
    await withOutput(async (written) => {
      expect([...written.tensors.keys()].sort()).toEqual([...original.tensors.keys()].sort());
      for (const [name, { dtype, shape, bytes }] of original.tensors) {
        expect(written.tensors.get(name)).toMatchObject({ dtype, shape, bytes });
        expect(await written.readBytes(name), name).toEqual(await original.readBytes(name));
      }
      expect(await written.read('tied_a')).toEqual(await written.read('tied_b'));
    });
    await original.close();
  });

  test.each([
    ['f32', 'F32', 4],
    ['f16', 'F16', 2],
    ['bf16', 'BF16', 2],
  ])('with --dtype %s has its floats as %s and the others as they are', async (option, dtype, width) => {
    const { code } = await call([convert], ['convert', mixed, output, '--dtype', option]);
    expect(code).toBe(0);
    await withOutput(async (written) => {
      for (const name of ['f32', 'transposed', 'slice', 'f16', 'bf16', 'f64', 'param']) {
        const { shape } = written.tensors.get(name) ?? { shape: [] };
        const bytes = width * shape.reduce((product, size) => product * size, 1);
        expect(written.tensors.get(name), name).toMatchObject({ dtype, bytes });
      }
      expect([...(await written.read('transposed'))].slice(0, 5)).toEqual([0, 6, 12, 18, 1]);
      expect([...(await written.read('f64'))]).toEqual(Array.from({ length: 24 }, (_, i) => i));
      const kept = ['i64', 'i32', 'u8', 'bool'].map((name) => written.tensors.get(name)?.dtype);
      expect(kept).toEqual(['I64', 'I32', 'U8', 'BOOL']);
    });
  });

  test('of the legacy form, and what is left out is told', async () => {
    const root = dict(['model', dict(['w', tensor()], ['n\u001b', int(1)])], ['epoch', none]);
    const input = await write('old.pth', legacyFile(root));
    const { code, stderr } = await call([convert], ['convert', input, output]);
    expect(code).toBe(0);
    expect(stderr).toContain(`${input}: left out, for it is no tensor of the model: epoch, model.n\\u001b\n`);
    await withOutput(async (written) => expect([...(await written.read('w'))]).toEqual([0, 1, 2, 3, 4, 5]));
  });

  test('without anything in its tensors', async () => {
    const empty = tensor({ elements: 0, size: [0], stride: [1] });
    const input = await write('empty.pth', zip(zipFiles(dict(['w', empty]), { 0: [] })));
    expect(await call([convert], ['convert', input, output, '--dtype', 'f16'])).toMatchObject({ code: 0 });
    await withOutput(async (written) => expect(written.tensors.get('w')).toMatchObject({ dtype: 'F16', shape: [0] }));
  });
});

test('a safetensors file keeps its metadata', async () => {
  const input = path.join(folder, 'in.safetensors');
  const metadata = new Map([
    ['format', 'pt'],
    ['heads', '4'],
  ]);
  const w = { name: 'w', dtype: 'F32' as const, shape: [2], data: () => Float32Array.of(1, -2) };
  await writeSafetensors(await createFileSink(input), [w], metadata);
  expect(await call([convert], ['convert', input, output, '--dtype', 'bf16'])).toMatchObject({ code: 0 });
  await withOutput(async (written) => {
    expect(written.metadata).toEqual(metadata);
    expect(written.tensors.get('w')).toMatchObject({ dtype: 'BF16' });
    expect([...(await written.read('w'))]).toEqual([1, -2]);
  });
});

describe('nothing is written', () => {
  const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

  test.each([
    ['evil.pth', 'needs posix system'],
    ['evil_legacy.pth', 'needs posix system'],
  ])('for %s', async (name, message) => {
    const { code, stdout, stderr } = await call([convert], ['convert', fixture(name), output]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(message);
    expect(await fs.readdir(folder)).toEqual([]);
  });

  test.each<[string, () => Uint8Array, RegExp]>([
    ['a truncated file', () => zip(zipFiles(dict(['w', tensor()]))).slice(0, -1), /the file is truncated/],
    [
      'a type that safetensors lacks',
      () =>
        zip(
          zipFiles(dict(['w', tensor({ type: 'torch ComplexDoubleStorage', elements: 1, size: [1], stride: [1] })]), {
            0: new Uint8Array(16),
          }),
        ),
      /w \(C128 \[1\]\): safetensors has no such element type/,
    ],
    [
      'values beyond F16',
      () => zip(zipFiles(dict(['w', tensor()]), { 0: new Uint8Array(Float32Array.of(0, 1, 2, 3, 1e5, 5).buffer) })),
      /w \(F16 \[2, 3\]\): element 4 is too large for F16; got 100000/,
    ],
  ])('for %s, even where a file was', async (_, bytes, message) => {
    const input = await write('in.pth', bytes());
    await fs.writeFile(output, 'what was here');
    const { code, stderr } = await call([convert], ['convert', input, output, '--dtype', 'f16']);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    expect(await fs.readFile(output, 'utf8')).toBe('what was here');
    expect((await fs.readdir(folder)).sort()).toEqual(['in.pth', 'out.safetensors']);
  });

  test('when it would replace the input, under whatever name', async () => {
    const bytes = zip(zipFiles(dict(['w', tensor()])));
    const input = await write('in.pth', bytes);
    const link = path.join(folder, 'link');
    await fs.symlink(input, link);
    for (const name of [input, link, `${folder}/./in.pth`]) {
      const { code, stderr } = await call([convert], ['convert', input, name]);
      expect(code).toBe(2);
      expect(stderr).toBe(`stam convert: OUT: would replace the input; got '${name}', expected another file\n`);
    }
    expect(new Uint8Array(await fs.readFile(input))).toEqual(bytes);
  });

  test('when it is interrupted', async () => {
    const { code } = await call([convert], ['convert', mixed, output], { signal: AbortSignal.abort() });
    expect(code).toBe(130);
    expect(await fs.readdir(folder)).toEqual([]);
  });
});

test('inspect reads .pth, and says what it leaves out', async () => {
  const root = dict(
    ['model', dict(['w', tensor()])],
    ...Array.from({ length: 25 }, (_, i) => [`k${i}`, none] as const),
  );
  const input = await write('in.pth', zip(zipFiles(root)));
  const { code, stdout, stderr } = await call([inspect], ['inspect', input, '--json']);
  expect(code).toBe(0);
  expect(stderr).toMatch(/left out, for it is no tensor of the model: k0, k1, .*, k19 and 5 more\n$/);
  expect(JSON.parse(stdout)).toMatchObject({
    totals: { tensors: 1, elements: 6, bytes: 24 },
    leftOut: Array.from({ length: 25 }, (_, i) => `k${i}`),
    tensors: [{ name: 'w', dtype: 'F32', shape: [2, 3], bytes: 24 }],
  });
});
