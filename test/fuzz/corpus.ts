// What the fuzzer begins with: the fixtures, and small files that have what the fixtures lack.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import {
  type Bytes,
  call,
  dict,
  int,
  legacyFile,
  list,
  named,
  no,
  none,
  op,
  orderedDict,
  storage,
  tensor,
  text,
  tuple,
  yes,
  type ZipFile,
  zip,
  zipFiles,
} from '../loaders/pytorch/torch-files.ts';

export interface SeedFile {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Relative to the repository's root, where npm runs its scripts. */
const fixtures = 'test/fixtures';

export function seedFiles(): SeedFile[] {
  const names = readdirSync(fixtures).filter((name) => /\.(pth|safetensors)$/.test(name));
  const read = (name: string) => ({ name, bytes: Uint8Array.from(readFileSync(path.join(fixtures, name))) });
  return [
    ...names.sort().map(read),
    { name: 'kinds.zip.pth', bytes: zip(zipFiles(kinds, storages)) },
    { name: 'kinds.classic-zip.pth', bytes: zip(zipFiles(kinds, storages), { zip64: false }) },
    { name: 'kinds.zip64-fields.pth', bytes: zip(zip64Fields()) },
    { name: 'kinds.legacy.pth', bytes: legacyFile(oneType, { a: floats, b: floats.slice(0, 8) }) },
    { name: 'dtypes.safetensors', bytes: safetensors(dtypes, 61) },
    { name: 'odd.safetensors', bytes: safetensors(odd, 4) },
  ];
}

const floats = new Uint8Array(Float32Array.from({ length: 24 }, (_, i) => i - 7.5).buffer);
const storages = { 0: floats, 1: floats.slice(0, 16), 2: floats.slice(0, 12), 3: floats.slice(0, 4), 4: [] };

const parts: Record<string, Bytes> = {
  plain: tensor({ elements: 24, size: [4, 6], stride: [6, 1] }),
  transposed: tensor({ elements: 24, size: [6, 4], stride: [1, 6] }),
  sliced: tensor({ elements: 24, offset: 3, size: [2, 2, 2], stride: [12, 4, 1] }),
  expanded: tensor({ elements: 24, offset: 23, size: [100], stride: [0] }),
  wide: tensor({ key: '1', type: 'torch DoubleStorage', elements: 2, size: [2], stride: [1] }),
  half: tensor({ key: '2', type: 'torch HalfStorage', elements: 6 }),
  byte: tensor({
    key: '3',
    type: 'torch.storage UntypedStorage',
    elements: 4,
    size: [2],
    stride: [1],
    dtype: 'torch uint16',
  }),
  empty: tensor({ key: '4', type: 'torch LongStorage', elements: 0, size: [0, 3], stride: [3, 1] }),
};
const others: [string, Bytes][] = [
  ['epoch', int(3)],
  ['best', [...op('G'), 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]],
  ['big', int(2 ** 40)],
  ['flags', tuple(yes, no, none)],
  ['size', call('torch Size', tuple(int(2), int(3)))],
  ['dtype', named('torch float16')],
  ['seen', call('__builtin__ set', list(int(1), text('a')))],
  ['memo', [...text('kept'), ...op('q'), 5, ...op('h'), 5, 0x86]],
  ['far memo', [...none, ...op('r'), 0, 0, 0, 1, ...op('j'), 0, 0, 0, 1, 0x86]],
];
const state = [...orderedDict(...Object.entries(parts)), ...dict(['_metadata', dict()]), ...op('b')];
const kinds = dict(['model', state], ...others);

/** Sizes and an offset where only files of 4 GiB have them, behind a field of another kind. */
function zip64Fields(): ZipFile[] {
  const ones = 2 ** 32 - 1;
  const eight = (value: number) => [value & 0xff, value >> 8, 0, 0, 0, 0, 0, 0];
  return zipFiles(kinds, storages).map((file, i) => {
    const { length } = file.data;
    const values = i === 0 ? [length, length, 0] : [length, length];
    const extra = [0x55, 0x54, 1, 0, 7, 1, 0, 8 * values.length, 0, ...values.flatMap(eight)];
    return { ...file, central: { size: ones, compressed: ones, extra, ...(i === 0 ? { offset: ones } : {}) } };
  });
}

const view = tuple(text('v'), int(2), int(20));
const oneType = dict(
  ['module.a', tensor({ key: 'a', elements: 24, size: [4], stride: [5], view })],
  [
    'module.b',
    call(
      'torch._utils _rebuild_parameter',
      tensor({ key: 'b', elements: 2, size: [2], stride: [1], view: none }),
      yes,
      none,
    ),
  ],
  [
    'module.c',
    call(
      'torch._utils _rebuild_tensor_v2',
      storage({ key: 'b', elements: 2, view: none }),
      int(0),
      tuple(),
      tuple(),
      no,
      dict(),
    ),
  ],
);

const dtypes = {
  __metadata__: { format: 'pt' },
  f64: { dtype: 'F64', shape: [2], data_offsets: [0, 16] },
  i64: { dtype: 'I64', shape: [1, 1], data_offsets: [16, 24] },
  f32: { dtype: 'F32', shape: [3], data_offsets: [24, 36] },
  bf16: { dtype: 'BF16', shape: [2, 2], data_offsets: [36, 44] },
  f16: { dtype: 'F16', shape: [4], data_offsets: [44, 52] },
  u8: { dtype: 'U8', shape: [5], data_offsets: [52, 57] },
  f8: { dtype: 'F8_E4M3', shape: [2, 1], data_offsets: [57, 59] },
  bool: { dtype: 'BOOL', shape: [1], data_offsets: [59, 60] },
  f4: { dtype: 'F4', shape: [2], data_offsets: [60, 61] },
  empty: { dtype: 'F32', shape: [0, 7], data_offsets: [61, 61] },
};
const odd = {
  a: { x: [{ y: [null, true, -1.5e3] }], data_offsets: [0, 4], shape: [], dtype: 'F32' },
  __metadata__: null,
  '\u00e9\n"\\': { dtype: 'U8', shape: [0], data_offsets: [4, 4] },
};

function safetensors(header: object, dataBytes: number): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  for (let i = 0; i < dataBytes; i++) bytes[8 + json.length + i] = 37 * i;
  return bytes;
}
