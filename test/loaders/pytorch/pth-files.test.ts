// PyTorch checkpoints that PyTorch itself has written.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { fileSource } from '../../../loaders/node-source.ts';
import { openPth } from '../../../loaders/pytorch/pth.ts';
import { openSafetensors } from '../../../loaders/safetensors.ts';

const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
const golden = fileURLToPath(new URL('../../../../shared/golden/', import.meta.url));

describe('mixed.pth, with the values that PyTorch printed', async () => {
  interface Expected {
    readonly shape: number[];
    readonly dtype: string;
    readonly values: number[];
  }
  const expected: Record<string, Expected> = JSON.parse(readFileSync(fixture('mixed.json'), 'utf8'));
  const open = async () => openPth(await fileSource(fixture('mixed.pth')), { verifyChecksums: true });
  const spelling: Record<string, string> = {
    ...{ float32: 'F32', float16: 'F16', bfloat16: 'BF16', float64: 'F64' },
    ...{ int64: 'I64', int32: 'I32', uint8: 'U8', bool: 'BOOL' },
  };

  test('holds these tensors', async () => {
    const checkpoint = await open();
    expect([...checkpoint.tensors.keys()].sort()).toEqual(Object.keys(expected).sort());
    expect(checkpoint.leftOut).toEqual([]);
    expect(checkpoint.metadata.size).toBe(0);
    await checkpoint.close();
  });

  test.each(Object.keys(expected))('%s', async (name) => {
    const { shape, dtype, values } = expected[name];
    const checkpoint = await open();
    expect(checkpoint.tensors.get(name)).toMatchObject({ name, shape, dtype: spelling[dtype] });
    const bytes = await checkpoint.readBytes(name);
    expect(bytes.byteLength).toBe(checkpoint.tensors.get(name)?.bytes);
    if (dtype.includes('float')) expect([...(await checkpoint.read(name))]).toEqual(values);
    else {
      await expect(checkpoint.read(name)).rejects.toMatchObject({ code: 'unsupported' });
      const arrays = { int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array, bool: Uint8Array };
      const type = arrays[dtype as keyof typeof arrays];
      expect([...new type(bytes.buffer)].map(Number)).toEqual(values);
    }
    await checkpoint.close();
  });
});

describe('files that try to run code', () => {
  test.each([
    ['evil.pth', /evil\.pth: evil\/data\.pkl \(byte 185\): the checkpoint needs posix system, which is not allowed/],
    [
      'evil_legacy.pth',
      /evil_legacy\.pth: object \(byte 331\): the checkpoint needs posix system, which is not allowed/,
    ],
  ])('%s is refused by the name of what it calls', async (name, message) => {
    const opening = openPth(await fileSource(fixture(name)));
    await expect(opening).rejects.toMatchObject({ name: 'StamError', code: 'bad-checkpoint' });
    await expect(opening).rejects.toThrow(message);
    expect(existsSync('PWNED')).toBe(false);
  });
});

// the larger files of PyTorch stay outside of the repository
const hasGolden = existsSync(`${golden}pth`);
if (!hasGolden)
  process.stderr.write(`pth-files.test.ts: ${golden}pth is not there; its checkpoints are not compared\n`);
describe.runIf(hasGolden)('checkpoints of a small STAM', () => {
  test.each([
    ['zip.pth', []],
    ['legacy.pth', []],
    ['bare_state_dict.pth', []],
    ['training.pth', ['epoch', 'optimizer', 'args']],
  ])('%s holds the weights, bit for bit', async (name, leftOut) => {
    const truth = await openSafetensors(await fileSource(`${golden}tiny-a.weights.safetensors`));
    const checkpoint = await openPth(await fileSource(`${golden}pth/${name}`));
    expect(checkpoint.leftOut).toEqual(leftOut);
    expect(checkpoint.tensors.size).toBe(38);
    for (const tensor of checkpoint.order()) {
      expect(checkpoint.tensors.get(tensor)).toMatchObject({ dtype: 'F32', shape: truth.tensors.get(tensor)?.shape });
      const bytes = await checkpoint.readBytes(tensor);
      expect(Buffer.compare(bytes, await truth.readBytes(tensor)), tensor).toBe(0);
    }
    await Promise.all([checkpoint.close(), truth.close()]);
  });

  test('a truncated one is refused', async () => {
    const opening = openPth(await fileSource(`${golden}pth/truncated.pth`));
    await expect(opening).rejects.toMatchObject({ code: 'bad-checkpoint' });
    await expect(opening).rejects.toThrow(
      /truncated\.pth: end of the archive: there is no end record; the file is truncated/,
    );
  });
});
