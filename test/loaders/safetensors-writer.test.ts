// What is written is read back, rounded as promised, and never left half done.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createFileSink, fileSource } from '../../loaders/node-source.ts';
import { openSafetensors } from '../../loaders/safetensors.ts';
import { dtypeBits } from '../../loaders/safetensors-header.ts';
import { type FloatsToWrite, type TensorToWrite, writeSafetensors } from '../../loaders/safetensors-writer.ts';
import { type ByteSink, bufferSource } from '../../loaders/source.ts';
import { randomStream } from '../random.ts';

/** Keeps what is written, and says how it ended. */
function memorySink(): ByteSink & { bytes: number[]; ended: string[] } {
  const bytes: number[] = [];
  const ended: string[] = [];
  return {
    name: 'out.safetensors',
    bytes,
    ended,
    async write(chunk) {
      bytes.push(...chunk);
    },
    async finish() {
      ended.push('finish');
    },
    async abort() {
      ended.push('abort');
      bytes.length = 0;
    },
  };
}

const tensor = (name: string, dtype: FloatsToWrite['dtype'], shape: number[], values: number[]): FloatsToWrite => ({
  name,
  dtype,
  shape,
  data: () => Float32Array.from(values),
});

async function roundTrip(tensors: TensorToWrite[], metadata?: ReadonlyMap<string, string>) {
  const sink = memorySink();
  await writeSafetensors(sink, tensors, metadata);
  expect(sink.ended).toEqual(['finish']);
  return openSafetensors(bufferSource(Uint8Array.from(sink.bytes)));
}

describe('round trips', () => {
  test('the exact bytes of a small file', async () => {
    const sink = memorySink();
    await writeSafetensors(sink, [tensor('a', 'F32', [2], [1, -2])], new Map([['k', 'v']]));
    const json = '{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}';
    expect(Buffer.from(sink.bytes).toString('latin1')).toBe(
      `\x50\0\0\0\0\0\0\0${json.padEnd(80)}\0\0\x80\x3f\0\0\0\xc0`,
    );
  });

  test('nothing at all', async () => {
    expect((await roundTrip([])).tensors.size).toBe(0);
  });

  test('all dtypes, scalars, empty tensors, odd names and metadata', async () => {
    const names = ['', '0', '__proto__', 'a"\\\n\u0000', '重み𝄞'];
    const metadata = new Map([
      ['__proto__', 'x'],
      ['format', 'pt'],
    ]);
    const checkpoint = await roundTrip(
      [
        tensor(names[0], 'F16', [3], [1, 2, 3]),
        tensor(names[1], 'F32', [], [4]),
        tensor(names[2], 'BF16', [1, 1], [5]),
        tensor(names[3], 'F32', [2, 0], []),
        tensor(names[4], 'F32', [1, 2], [6, 7]),
      ],
      metadata,
    );
    expect(checkpoint.metadata).toEqual(metadata);
    const shapes = names.map((name) => checkpoint.tensors.get(name)?.shape);
    expect(shapes).toEqual([[3], [], [1, 1], [2, 0], [1, 2]]);
    const read = await Promise.all(names.map(async (name) => [...(await checkpoint.read(name))]));
    expect(read).toEqual([[1, 2, 3], [4], [5], [], [6, 7]]);
  });

  test('a hundred checkpoints of random names, shapes and bytes', async () => {
    const random = randomStream(5);
    const below = (count: number) => Math.floor(random() * count);
    const dtypes = [...dtypeBits];
    for (let round = 0; round < 100; round++) {
      const tensors = Array.from({ length: below(9) }, (_, i) => {
        const [dtype, bits] = dtypes[below(dtypes.length)];
        // eight elements of any type are whole bytes
        const shape = [...Array.from({ length: below(4) }, () => below(4)), 8];
        const count = shape.reduce((product, size) => product * size, 1);
        const bytes = Uint8Array.from({ length: (count * bits) / 8 }, () => below(256));
        return { name: `${i}${String.fromCodePoint(below(0xd800))}`, dtype, shape, bytes: () => bytes };
      });
      const checkpoint = await roundTrip(tensors);
      expect(checkpoint.tensors.size).toBe(tensors.length);
      for (const { name, dtype, shape, bytes } of tensors) {
        expect(checkpoint.tensors.get(name)).toMatchObject({ dtype, shape });
        expect(await checkpoint.readBytes(name)).toEqual(bytes());
      }
    }
  });

  test('wide elements come first, so that everything is aligned; else the given order', async () => {
    const checkpoint = await roundTrip([
      tensor('z', 'F16', [1], [1]),
      tensor('y', 'F32', [1], [2]),
      tensor('x', 'BF16', [1], [3]),
      tensor('w', 'F32', [1], [4]),
    ]);
    expect(checkpoint.order()).toEqual(['y', 'w', 'z', 'x']);
    expect([...(await checkpoint.read('x'))]).toEqual([3]);
  });

  test('any dtype as it is, aligned among the others', async () => {
    const bytes = (dtype: string, shape: number[], values: number[]): TensorToWrite => ({
      name: dtype,
      dtype,
      shape,
      bytes: () => Uint8Array.from(values),
    });
    const checkpoint = await roundTrip([
      bytes('BOOL', [3], [0, 1, 1]),
      tensor('F32', 'F32', [1], [1]),
      bytes('I64', [1], [1, 2, 3, 4, 5, 6, 7, 8]),
      bytes('F4', [2], [0x21]),
      bytes('I16', [2, 1], [1, 2, 3, 4]),
    ]);
    expect(checkpoint.order()).toEqual(['I64', 'F32', 'I16', 'BOOL', 'F4']);
    expect([...(await checkpoint.readBytes('I64'))]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect([...(await checkpoint.readBytes('BOOL'))]).toEqual([0, 1, 1]);
    expect([...(await checkpoint.readBytes('F4'))]).toEqual([0x21]);
  });

  test.each([
    ['F32', [1 / 3, 1e-45, 3.4e38, Number.NEGATIVE_INFINITY], [1 / 3, 1e-45, 3.4e38, Number.NEGATIVE_INFINITY]],
    [
      'F16',
      [1 + 2 ** -11, 1 + 3 * 2 ** -11, 65519, 2.5 * 2 ** -24, -(2 ** -25), Number.POSITIVE_INFINITY],
      [1, 1 + 4 * 2 ** -11, 65504, 2 * 2 ** -24, -0, Number.POSITIVE_INFINITY],
    ],
    [
      'BF16',
      [1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 / 3, 3.4028234e38, -1e-45],
      [1, 1 + 4 * 2 ** -8, 0.333984375, Number.POSITIVE_INFINITY, -0],
    ],
  ] as const)('%s rounds to nearest, ties to even', async (dtype, values, expected) => {
    const checkpoint = await roundTrip([tensor('a', dtype, [values.length], [...values])]);
    expect(await checkpoint.read('a')).toEqual(Float32Array.from(expected));
  });

  test.each(['F32', 'F16', 'BF16'] as const)('%s keeps NaN', async (dtype) => {
    const checkpoint = await roundTrip([tensor('a', dtype, [1], [Number.NaN])]);
    expect((await checkpoint.read('a'))[0]).toBeNaN();
  });

  test('through a file, one tensor at a time', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stam-writer-'));
    const path = join(folder, 'out.safetensors');
    const steps: string[] = [];
    const sink = await createFileSink(path);
    const watched: ByteSink = {
      ...sink,
      async write(bytes) {
        await sink.write(bytes);
        steps.push(`wrote ${bytes.byteLength}`);
      },
    };
    const lazily = (name: string, count: number): FloatsToWrite => ({
      name,
      dtype: 'F32',
      shape: [count],
      async data() {
        steps.push(`made ${name}`);
        return new Float32Array(count).fill(count);
      },
    });
    await writeSafetensors(watched, [lazily('a', 10), lazily('b', 20)]);
    expect(steps.slice(1)).toEqual(['made a', 'wrote 40', 'made b', 'wrote 80']);
    const checkpoint = await openSafetensors(await fileSource(path));
    expect(await checkpoint.read('b')).toEqual(new Float32Array(20).fill(20));
    await checkpoint.close();
    await rm(folder, { recursive: true });
  });
});

describe('refused, and the sink aborted', () => {
  const good = tensor('a', 'F32', [1], [1]);
  const raw = (dtype: string, shape: number[], bytes: number[]): TensorToWrite => ({
    name: 'r',
    dtype,
    shape,
    bytes: () => Uint8Array.from(bytes),
  });
  test.each<[string, TensorToWrite[], string, RegExp]>([
    ['a name twice', [good, good], 'bad-input', /out\.safetensors: a \(F32 \[1\]\): this name is already taken/],
    ['the name of the metadata', [tensor('__metadata__', 'F32', [1], [1])], 'bad-input', /already taken/],
    ['a lone surrogate', [tensor('\ud800', 'F32', [1], [1])], 'bad-input', /lone surrogate/],
    ['a negative size', [tensor('a', 'F32', [-1], [])], 'bad-input', /a \(F32 \[-1\]\): bad shape/],
    ['a broken size', [tensor('a', 'F32', [0.5, 2], [1])], 'bad-input', /bad shape/],
    ['a size beyond all files', [tensor('a', 'F32', [2 ** 30, 2 ** 30], [])], 'bad-input', /bad shape/],
    ['too few elements', [good, tensor('b', 'F16', [2, 2], [1])], 'shape-mismatch', /got 1, expected 4/],
    ['too few bytes', [good, raw('I16', [2], [1, 2, 3])], 'shape-mismatch', /r \(I16 \[2\]\): .*got 1.5, expected 2/],
    ['a dtype that the format lacks', [raw('C128', [0], [])], 'bad-input', /r \(C128 \[0\]\): the format has no such/],
    ['four-bit elements that fill no byte', [raw('F4', [1], [1])], 'bad-input', /r \(F4 \[1\]\): bad shape/],
    ['overflow of F16', [tensor('b', 'F16', [2], [1, -65520])], 'bad-input', /b \(F16 \[2\]\): element 1 is too large/],
  ])('%s', async (_, tensors, code, message) => {
    const sink = memorySink();
    const writing = writeSafetensors(sink, tensors);
    await expect(writing).rejects.toMatchObject({ name: 'StamError', code });
    await expect(writing).rejects.toThrow(message);
    expect(sink.ended).toEqual(['abort']);
  });

  test('metadata with a lone surrogate', async () => {
    const sink = memorySink();
    await expect(writeSafetensors(sink, [], new Map([['k', '\udc00']]))).rejects.toMatchObject({ code: 'bad-input' });
    expect(sink.ended).toEqual(['abort']);
  });

  test('a source that fails leaves no file behind', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stam-writer-'));
    const failure = new Error('the disk fell down');
    const failing: FloatsToWrite = { ...good, name: 'b', data: () => Promise.reject(failure) };
    const sink = await createFileSink(join(folder, 'out.safetensors'));
    await expect(writeSafetensors(sink, [good, failing])).rejects.toBe(failure);
    expect(await readdir(folder)).toEqual([]);
    await rm(folder, { recursive: true });
  });

  test('an aborted signal', async () => {
    const controller = new AbortController();
    const sink = memorySink();
    const aborting: FloatsToWrite = {
      ...good,
      data() {
        controller.abort();
        return new Float32Array(1);
      },
    };
    const writing = writeSafetensors(sink, [aborting, tensor('b', 'F32', [1], [1])], undefined, controller.signal);
    await expect(writing).rejects.toMatchObject({ name: 'AbortError' });
    expect(sink.ended).toEqual(['abort']);
  });
});
