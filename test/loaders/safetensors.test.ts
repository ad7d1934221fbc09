// What a well-formed safetensors file gives: the reference implementation's accepted cases, with literal bytes.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { fileSource } from '../../loaders/node-source.ts';
import { openSafetensors } from '../../loaders/safetensors.ts';
import { dtypeBits } from '../../loaders/safetensors-header.ts';
import { bufferSource } from '../../loaders/source.ts';
import { recordedSource } from './recorded-source.ts';

function safetensors(header: string, data: readonly number[] = []): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

const open = (header: string, data?: readonly number[]) => openSafetensors(bufferSource(safetensors(header, data)));

const one = [0, 0, 0x80, 0x3f]; // 1.0 in float32
const two = [0, 0, 0, 0x40];

describe('a file', () => {
  test('of literal bytes', async () => {
    const bytes = [
      ...[59, 0, 0, 0, 0, 0, 0, 0],
      ...new TextEncoder().encode('{"test":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}'),
      ...[...one, ...two],
    ];
    const checkpoint = await openSafetensors(bufferSource(Uint8Array.from(bytes), 'literal.safetensors'));
    expect(checkpoint.name).toBe('literal.safetensors');
    expect([...checkpoint.tensors.keys()]).toEqual(['test']);
    expect(checkpoint.tensors.get('test')).toMatchObject({ name: 'test', dtype: 'F32', shape: [2, 1], bytes: 8 });
    expect(checkpoint.metadata.size).toBe(0);
    expect([...(await checkpoint.read('test'))]).toEqual([1, 2]);
  });

  test('is read front to back in the order of its data, whatever the order of its header', async () => {
    const checkpoint = await open(
      `{"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"__metadata__":{"k":"v","w":""},
        "a":{"data_offsets":[0,4],"shape":[],"dtype":"F32"}}`,
      [...one, ...two],
    );
    expect(checkpoint.order()).toEqual(['a', 'b']);
    expect([...checkpoint.metadata]).toEqual([
      ['k', 'v'],
      ['w', ''],
    ]);
    expect([...(await checkpoint.read('a'))]).toEqual([1]);
    expect([...(await checkpoint.read('b'))]).toEqual([2]);
  });

  test('decodes F16 and BF16, aligned or not', async () => {
    const checkpoint = await open(
      `{"byte":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
        "half":{"dtype":"F16","shape":[2],"data_offsets":[1,5]},
        "brain":{"dtype":"BF16","shape":[2],"data_offsets":[5,9]},
        "single":{"dtype":"F32","shape":[1],"data_offsets":[9,13]}}`,
      [7, 0x00, 0x3c, 0x01, 0x80, 0x80, 0x3f, 0x49, 0xc0, ...two],
    );
    expect([...(await checkpoint.read('half'))]).toEqual([1, -(2 ** -24)]);
    expect([...(await checkpoint.read('brain'))]).toEqual([1, -3.140625]);
    expect([...(await checkpoint.read('single'))]).toEqual([2]);
  });

  test('gives every element type as bytes, and F64 as the nearest float32', async () => {
    const third = [0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xd5, 0x3f]; // 1/3 in float64
    const checkpoint = await open(
      `{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F64","shape":[1],"data_offsets":[1,9]},
        "c":{"dtype":"I16","shape":[2],"data_offsets":[9,13]}}`,
      [7, ...third, 1, 2, 3, 4],
    );
    expect([...(await checkpoint.read('b'))]).toEqual([Math.fround(1 / 3)]);
    expect([...(await checkpoint.readBytes('b'))]).toEqual(third);
    expect([...(await checkpoint.readBytes('c'))]).toEqual([1, 2, 3, 4]);
    await expect(checkpoint.readBytes('d')).rejects.toMatchObject({ code: 'missing-tensor' });
    expect(checkpoint.leftOut).toEqual([]);
  });

  test('is asked only for what is needed', async () => {
    const bytes = safetensors(
      `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`,
      [...one, ...two],
    );
    const { source, ranges } = recordedSource(bytes);
    const checkpoint = await openSafetensors(source);
    await checkpoint.read('b');
    const dataStart = bytes.length - 8;
    expect(ranges).toEqual([
      [0, 8],
      [8, dataStart],
      [dataStart + 4, dataStart + 8],
    ]);
  });

  test('keeps no hold on what it handed out', async () => {
    const checkpoint = await open('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', one);
    (await checkpoint.read('a')).fill(9);
    expect([...(await checkpoint.read('a'))]).toEqual([1]);
  });
});

describe('accepted, as by the reference implementation', () => {
  test.each([
    ['no tensors', '{}', []],
    ['whitespace before and after', ' \t\r\n{ } \n  ', []],
    ['metadata only', '{"__metadata__":{"format":"pt"}}', []],
    ['__metadata__: null', '{"__metadata__":null}', []],
    ['a scalar', '{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', one],
    ['a tensor without elements', '{"a":{"dtype":"F32","shape":[2,0],"data_offsets":[0,0]}}', []],
    [
      'tensors without elements between others',
      `{"a":{"dtype":"F32","shape":[0],"data_offsets":[4,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
        "c":{"dtype":"I8","shape":[0],"data_offsets":[0,0]},"d":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`,
      [...one, ...two],
    ],
    ['an empty product that begins with zero', shaped('F32', '[0,4294967296,4294967296]', 0), []],
    ['elements of four bits', shaped('F4', '[1,2]', 1), [0x12]],
    ['elements of six bits', shaped('F6_E2M3', '[4]', 3), [1, 2, 3]],
    ['a BOOL that is neither 0 nor 1', shaped('BOOL', '[1]', 1), [7]],
    [
      'fields that mean nothing',
      `{"a":{"x":-1.5e3,"dtype":"U8","y":[{"z":[true,false,null,"\\u00e9",0,{}]},[]],"shape":[1],"data_offsets":[0,1]}}`,
      [1],
    ],
  ])('%s', async (_, header, data) => {
    const checkpoint = await open(header, data);
    expect(checkpoint.order()).toHaveLength(checkpoint.tensors.size);
  });

  test('of two equal keys in __metadata__ the last', async () => {
    expect([...(await open('{"__metadata__":{"a":"1","a":"2"}}')).metadata]).toEqual([['a', '2']]);
  });

  test.each([
    ['', '""'],
    ['__proto__', '"__proto__"'],
    ['constructor', '"constructor"'],
    ['0', '"0"'],
    ['a\u0000', '"a\\u0000"'],
    ['𝄞/"\\', '"\\ud834\\udd1e\\/\\"\\\\"'],
    ['重み', '"重み"'],
  ])('the name %j', async (name, literal) => {
    const checkpoint = await open(`{${literal}:{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, one);
    expect(checkpoint.order()).toEqual([name]);
    expect([...(await checkpoint.read(name))]).toEqual([1]);
  });

  test.each([...dtypeBits])('%s has %i bits', async (dtype, bits) => {
    const checkpoint = await open(shaped(dtype, '[8]', bits), new Array(bits).fill(1));
    expect(checkpoint.tensors.get('a')).toMatchObject({ dtype, bytes: bits });
    if (['F64', 'F32', 'F16', 'BF16'].includes(dtype)) expect(await checkpoint.read('a')).toHaveLength(8);
    else await expect(checkpoint.read('a')).rejects.toMatchObject({ name: 'StamError', code: 'unsupported' });
  });
});

describe('reading', () => {
  test('an unknown name: missing-tensor with the file and the name', async () => {
    const checkpoint = await openSafetensors(bufferSource(safetensors('{}'), 'm.safetensors'));
    for (const name of ['head.weight', '__proto__', '__metadata__']) {
      await expect(checkpoint.read(name)).rejects.toMatchObject({ name: 'StamError', code: 'missing-tensor' });
      await expect(checkpoint.read(name)).rejects.toThrow(`m.safetensors: ${name}`);
    }
  });

  test('a type that is no float: names tensor, dtype and shape', async () => {
    const checkpoint = await open(shaped('I64', '[1,1]', 8), new Array(8).fill(0));
    await expect(checkpoint.read('a')).rejects.toThrow(
      'buffer: a (I64 [1, 1]): the elements cannot be read as float32; got I64, expected F64, F32, F16 or BF16',
    );
  });

  test('stops for a signal, and after close', async () => {
    const bytes = safetensors(shaped('F32', '[1]', 4), one);
    const signal = AbortSignal.abort();
    await expect(openSafetensors(bufferSource(bytes), { signal })).rejects.toMatchObject({ name: 'AbortError' });
    const checkpoint = await openSafetensors(bufferSource(bytes));
    await expect(checkpoint.read('a', signal)).rejects.toMatchObject({ name: 'AbortError' });
    await checkpoint.close();
    await checkpoint.close();
    await expect(checkpoint.read('a')).rejects.toMatchObject({ name: 'StamError', code: 'disposed' });
  });
});

describe('a file that PyTorch data was written to', () => {
  const path = fileURLToPath(new URL('../../../shared/golden/tiny-a.weights.safetensors', import.meta.url));
  const present = existsSync(path);
  if (!present) process.stderr.write(`skipped: reading a real checkpoint, for want of ${path}\n`);

  test.skipIf(!present)('opens from disk', async () => {
    const checkpoint = await openSafetensors(await fileSource(path));
    expect(checkpoint.metadata.get('layer_norm_eps')).toBe('1e-05');
    expect(checkpoint.order()[0]).toBe('cls_token');
    expect(checkpoint.tensors.get('head.weight')).toMatchObject({ dtype: 'F32', shape: [10, 64], bytes: 2560 });
    expect(await checkpoint.read('head.weight')).toHaveLength(640);
    await checkpoint.close();
  });
});

function shaped(dtype: string, shape: string, bytes: number): string {
  return `{"a":{"dtype":"${dtype}","shape":${shape},"data_offsets":[0,${bytes}]}}`;
}
