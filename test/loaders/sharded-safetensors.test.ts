// Checkpoints in several files: the index, what it may name, and how it and the shards must agree.
import { describe, expect, test } from 'vitest';
import { openShardedSafetensors, type ShardedSafetensorsOptions } from '../../loaders/sharded-safetensors.ts';
import { bufferSource, rangedSource } from '../../loaders/source.ts';
import { dict, legacyFile, none, tensor, zip, zipFiles } from './pytorch/torch-files.ts';

/** A shard: every tensor F32 [1], with this value. */
function shard(tensors: Readonly<Record<string, number>>, metadata?: Readonly<Record<string, string>>) {
  const names = Object.keys(tensors);
  const infos = names.map((name, i) => [name, { dtype: 'F32', shape: [1], data_offsets: [4 * i, 4 * i + 4] }]);
  const header = { ...(metadata && { __metadata__: metadata }), ...Object.fromEntries(infos) };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + 4 * names.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  for (const [i, name] of names.entries()) view.setFloat32(8 + json.length + 4 * i, tensors[name], true);
  return bytes;
}

const a = 'model-00001-of-00002.safetensors';
const b = 'model-00002-of-00002.safetensors';
const twoShards = { [a]: shard({ 'x.weight': 1, 'x.bias': 2 }), [b]: shard({ 'y.weight': 3 }) };
const twoMap = { 'y.weight': b, 'x.weight': a, 'x.bias': a };

/** Opens an index over these shards; `opened` and `closed` name the files, the index included. */
function open(
  index: string | object,
  shards: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = twoShards,
  options?: ShardedSafetensorsOptions,
) {
  const opened: string[] = [];
  const closed: string[] = [];
  const source = (name: string, bytes: Uint8Array<ArrayBuffer>) =>
    rangedSource({
      name,
      size: bytes.length,
      readRange: async (start, end) => bytes.slice(start, end),
      release: async () => void closed.push(name),
    });
  const openShard = async (file: string) => {
    if (!(file in shards)) throw new Error(`${file}: no such file`);
    opened.push(file);
    return source(file, shards[file]);
  };
  const text = typeof index === 'string' ? index : JSON.stringify(index);
  const opening = openShardedSafetensors(source('i.json', new TextEncoder().encode(text)), openShard, options);
  return { opening, opened, closed };
}

const badCheckpoint = (message: RegExp) =>
  expect.objectContaining({ name: 'StamError', code: 'bad-checkpoint', message: expect.stringMatching(message) });

describe('two shards', () => {
  test('are one checkpoint, read shard by shard, each from front to back', async () => {
    const { opening, opened, closed } = open({ metadata: { total_size: 12 }, weight_map: twoMap });
    const checkpoint = await opening;
    expect(opened).toEqual([b, a]);
    expect(closed).toEqual(['i.json']);
    expect(checkpoint.name).toBe('i.json');
    expect(checkpoint.order()).toEqual(['y.weight', 'x.weight', 'x.bias']);
    expect(checkpoint.tensors.get('x.bias')).toMatchObject({ name: 'x.bias', dtype: 'F32', shape: [1], bytes: 4 });
    const values: number[] = [];
    for (const name of checkpoint.order()) values.push(...(await checkpoint.read(name)));
    expect(values).toEqual([3, 1, 2]);
    await checkpoint.close();
    await checkpoint.close();
    expect(closed).toEqual(['i.json', b, a]);
    await expect(checkpoint.read('x.bias')).rejects.toMatchObject({ code: 'disposed' });
  });

  test('pass on signal and memory, and refuse names that no shard has', async () => {
    const checkpoint = await open({ weight_map: twoMap }).opening;
    await expect(checkpoint.read('x.bias', AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' });
    for (const name of ['z', '__proto__', a]) {
      await expect(checkpoint.read(name)).rejects.toMatchObject({ code: 'missing-tensor' });
      await expect(checkpoint.read(name)).rejects.toThrow(`i.json: ${name}: there is no such tensor in the index`);
    }
    const asked: number[] = [];
    const bytes = shard({ x: 7 });
    const lending = await openShardedSafetensors(
      bufferSource(new TextEncoder().encode(JSON.stringify({ weight_map: { x: a } }))),
      async () =>
        rangedSource({
          name: a,
          size: bytes.length,
          async readRange(start, end, _, allocate) {
            const memory = allocate(end - start);
            memory.set(bytes.subarray(start, end));
            return memory;
          },
        }),
    );
    const allocate = (count: number) => {
      asked.push(count);
      return new Uint8Array(count);
    };
    expect([...(await lending.read('x', undefined, allocate))]).toEqual([7]);
    expect(asked).toEqual([4]);
  });

  test.each([
    ['no metadata', { weight_map: twoMap }, {}],
    ['metadata that are null', { metadata: null, weight_map: twoMap }, {}],
    [
      'a total_size that is wrong, or no integer',
      { metadata: { total_size: 1.5 }, weight_map: twoMap },
      { total_size: '1.5' },
    ],
    [
      'metadata of all kinds, and fields that mean nothing',
      { metadata: { heads: '6', depth: 3, list: [1], object: {}, yes: true }, other: [{}], weight_map: twoMap },
      { heads: '6', depth: '3', yes: 'true' },
    ],
  ])('may have %s', async (_, index, metadata) => {
    expect(Object.fromEntries((await open(index).opening).metadata)).toEqual(metadata);
  });

  test('give the metadata on which they agree; the index has the last word', async () => {
    const checkpoint = await open(
      { metadata: { heads: '6' }, weight_map: { x: a, y: b } },
      {
        [a]: shard({ x: 1 }, { format: 'pt', part: '1', heads: '3', own: 'a' }),
        [b]: shard({ y: 1 }, { format: 'pt', part: '2', heads: '3' }),
      },
    ).opening;
    expect(Object.fromEntries(checkpoint.metadata)).toEqual({ format: 'pt', own: 'a', heads: '6' });
  });

  test('a tensor may be called like anything', async () => {
    const checkpoint = await open(`{"weight_map":{"__proto__":"${a}","":"${a}"}}`, {
      [a]: shard(JSON.parse('{"__proto__":5,"":6}')),
    }).opening;
    expect([...(await checkpoint.read('__proto__'))]).toEqual([5]);
    expect([...(await checkpoint.read(''))]).toEqual([6]);
  });
});

describe('an index is refused', () => {
  test.each([
    [
      'nothing',
      '',
      /^i\.json: not the JSON of the index \(byte 0 of the file\); got the end of the index, expected \{/,
    ],
    ['an array', '[]', /got "\[", expected \{ at the start of the index object/],
    ['a byte order mark', '\ufeff{"weight_map":{}}', /^i\.json: begins with a byte order mark \(byte 0 of the file\)/],
    ['no weight_map', '{"metadata":{}}', /^i\.json: weight_map is missing/],
    ['weight_map twice', '{"weight_map":{},"weight_map":{}}', /weight_map is there twice \(byte 30 of the file\)/],
    ['metadata twice', '{"metadata":{},"metadata":{},"weight_map":{}}', /metadata is there twice/],
    ['a weight_map that is none', '{"weight_map":[]}', /got "\[", expected \{ at the start of weight_map/],
    ['metadata that are none', '{"metadata":[]}', /got "\[", expected \{ at the start of metadata/],
    ['a shard that is no string', '{"weight_map":{"x":1}}', /\(byte 19 of the file\); got "1", expected a file name/],
    ['a tensor twice', `{"weight_map":{"x":"${a}","\\u0078":"${a}"}}`, /weight_map: x is there twice/],
    ['a tensor in two shards', `{"weight_map":{"x":"${a}","x":"${b}"}}`, /weight_map: x is there twice/],
    ['two objects', '{"weight_map":{}}{}', /characters after the index object \(byte 17 of the file\); got "\{"/],
    ['metadata that are no JSON', '{"metadata":{"n":01}}', /got "1", expected , or \}/],
    ['deep nesting', `{"x":${'['.repeat(40)}`, /nested too deeply/],
  ])('with %s', async (_, text, message) => {
    const { opening, opened, closed } = open(text);
    await expect(opening).rejects.toEqual(badCheckpoint(message));
    expect(opened).toEqual([]);
    expect(closed).toEqual(['i.json']);
  });

  test('for bytes that are not UTF-8', async () => {
    const source = bufferSource(Uint8Array.of(0x7b, 0xff), 'i.json');
    const opening = openShardedSafetensors(source, async () => bufferSource(new Uint8Array()));
    await expect(opening).rejects.toEqual(badCheckpoint(/^i\.json: not valid UTF-8/));
  });

  test.each([
    '',
    '.',
    '..',
    '../x.safetensors',
    'a/b.safetensors',
    '/etc/passwd',
    'a\\b.safetensors',
    'a..b',
    '.hidden',
    'C:x',
    'http:x',
    '%2e%2e%2fx',
    'x?y',
    'x#y',
    'a b',
    'a\u0000',
    '-x',
    'x\n',
    'x'.repeat(256),
  ])('for the file name %j', async (file) => {
    const { opening, opened } = open({ weight_map: { 'x.weight': file } });
    await expect(opening).rejects.toEqual(
      badCheckpoint(/^i\.json: x\.weight: the shard has no plain file name; got ".*", expected letters, digits, /),
    );
    expect(opened).toEqual([]);
  });
});

describe('index and shards that do not agree', () => {
  test.each([
    [
      'a tensor that its shard lacks',
      { ...twoMap, 'y.bias': b },
      /^model-00002-of-00002\.safetensors: y\.bias: the shard lacks a tensor that the index has there; i\.json and/,
    ],
    [
      'a tensor that the index does not know',
      { 'x.weight': a, 'y.weight': b },
      /^model-00001-of-00002\.safetensors: x\.bias \(F32 \[1\]\): the index does not know this tensor; got model-00001/,
    ],
    [
      'a tensor in another shard than the index says',
      { ...twoMap, 'x.bias': b },
      /: x\.bias \(F32 \[1\]\): the index has this tensor in another shard; got model-00001-.*, expected model-00002-/,
    ],
  ])('%s', async (_, weightMap, message) => {
    const { opening, opened, closed } = open({ weight_map: weightMap });
    await expect(opening).rejects.toEqual(badCheckpoint(message));
    expect(closed.sort()).toEqual(['i.json', ...opened].sort());
  });

  test('a tensor in two shards', async () => {
    const shards = { [a]: shard({ x: 1, z: 2 }), [b]: shard({ y: 3, z: 2 }) };
    const { opening, closed } = open({ weight_map: { x: a, z: a, y: b } }, shards);
    await expect(opening).rejects.toEqual(
      badCheckpoint(new RegExp(`^${b}: z .*in another shard; got ${b}, expected ${a}`)),
    );
    expect(closed.sort()).toEqual(['i.json', a, b]);
  });

  test('a shard that is broken, or not there: what was open is closed', async () => {
    const broken = { ...twoShards, [a]: twoShards[a].slice(0, -1) };
    const { opening, closed } = open({ weight_map: twoMap }, broken);
    await expect(opening).rejects.toEqual(
      badCheckpoint(/^model-00001-of-00002\.safetensors: data: the file is truncated/),
    );
    expect(closed.sort()).toEqual(['i.json', a, b]);
    const missing = open({ weight_map: twoMap }, { [b]: twoShards[b] });
    await expect(missing.opening).rejects.toThrow(`${a}: no such file`);
    expect(missing.closed.sort()).toEqual(['i.json', b]);
  });
});

describe('shards of torch.save', () => {
  const [first, second] = ['pytorch_model-00001-of-00002.bin', 'pytorch_model-00002-of-00002.bin'];
  const shards = {
    [first]: zip(zipFiles(dict(['net.a', tensor()], ['step', none]))),
    [second]: legacyFile(dict(['net.b', tensor({ offset: 4, size: [2], stride: [1] })], ['c', tensor()])),
  };
  const index = { weight_map: { 'net.a': first, 'net.b': second, c: second } };

  test('are one checkpoint, whatever else they hold is left out', async () => {
    const checkpoint = await open(index, shards).opening;
    expect([...checkpoint.tensors.keys()].sort()).toEqual(['c', 'net.a', 'net.b']);
    expect([...(await checkpoint.read('net.b'))]).toEqual([4, 5]);
    expect(checkpoint.leftOut).toEqual(['step']);
  });

  test('give what lies under a key', async () => {
    const { opening, closed } = open(index, shards, { key: 'net' });
    const checkpoint = await opening;
    expect([...checkpoint.tensors.keys()].sort()).toEqual(['a', 'b']);
    expect([...(await checkpoint.read('b'))]).toEqual([4, 5]);
    expect(checkpoint.leftOut).toEqual(['step', 'c']);
    await checkpoint.close();
    expect(closed.sort()).toEqual(['i.json', first, second]);
  });

  test('are closed where there is nothing under the key', async () => {
    const { opening, closed } = open(index, shards, { key: 'none' });
    await expect(opening).rejects.toMatchObject({ code: 'bad-input' });
    expect(closed.sort()).toEqual(['i.json', first, second]);
  });

  test('must have what the index says', async () => {
    const { opening } = open({ weight_map: { 'net.a': first, 'net.b': second } }, shards);
    await expect(opening).rejects.toEqual(
      badCheckpoint(/00002-of-00002\.bin: c .*: the index does not know this tensor/),
    );
  });
});

describe('limits', () => {
  const index = JSON.stringify({ weight_map: twoMap });
  test('of the index, inclusive', async () => {
    const { opening, closed } = open(index, twoShards, { maxIndexBytes: index.length - 1 });
    await expect(opening).rejects.toEqual(
      badCheckpoint(/^i\.json: the index is too long; got 152 bytes, expected at most 151; raise maxIndexBytes/),
    );
    expect(closed).toEqual(['i.json']);
    expect((await open(index, twoShards, { maxIndexBytes: index.length }).opening).tensors.size).toBe(3);
  });

  test('of the shards, inclusive', async () => {
    const { opening, opened } = open(index, twoShards, { maxShards: 1 });
    await expect(opening).rejects.toEqual(badCheckpoint(/^i\.json: too many shards .*; expected at most 1, or /));
    expect(opened).toEqual([]);
    expect((await open(index, twoShards, { maxShards: 2 }).opening).tensors.size).toBe(3);
  });

  test('of 512 shards unless told', async () => {
    const map = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`t${i}`, `s${i}`]));
    await expect(open({ weight_map: map(513) }).opening).rejects.toEqual(badCheckpoint(/too many shards/));
    await expect(open({ weight_map: map(512) }).opening).rejects.toThrow('s0: no such file');
  });

  test('of the headers reach the shards', async () => {
    const opening = open(index, twoShards, { maxHeaderBytes: 10 }).opening;
    await expect(opening).rejects.toEqual(badCheckpoint(/^model-00002.*the header is too long/));
  });

  test.each(['maxIndexBytes', 'maxShards'])('%s must be a positive integer', async (option) => {
    for (const value of [0, -1, 1.5, Number.NaN]) {
      const { opening, closed } = open(index, twoShards, { [option]: value });
      await expect(opening).rejects.toMatchObject({ name: 'StamError', code: 'bad-input' });
      expect(closed).toEqual(['i.json']);
    }
  });

  test('a signal that was aborted opens nothing', async () => {
    const { opening, opened, closed } = open(index, twoShards, { signal: AbortSignal.abort() });
    await expect(opening).rejects.toMatchObject({ name: 'AbortError' });
    expect(opened).toEqual([]);
    expect(closed).toEqual(['i.json']);
  });
});
