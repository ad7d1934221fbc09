// Small checkpoints of torch.save, byte by byte: a writer of pickles and one of zip archives, both able to lie.

/** Bytes of a pickle, or a part of one. */
export type Bytes = readonly number[];

const utf8 = (text: string) => [...new TextEncoder().encode(text)];
const littleEndian = (value: number | bigint, bytes: number) =>
  Array.from({ length: bytes }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 0xffn));

// ---- pickles

export const op = (character: string): Bytes => [character.charCodeAt(0)];
export const none = op('N');
export const yes: Bytes = [0x88];
export const no: Bytes = [0x89];
export const text = (value: string): Bytes => [...op('X'), ...littleEndian(utf8(value).length, 4), ...utf8(value)];
/** BININT, or LONG1 for what does not fit. */
export const int = (value: number): Bytes =>
  value === Math.trunc(value) && Math.abs(value) < 2 ** 31
    ? [...op('J'), ...littleEndian(value, 4)]
    : [0x8a, 8, ...littleEndian(value, 8)];
export const tuple = (...items: Bytes[]): Bytes => [...op('('), ...items.flat(), ...op('t')];
export const list = (...items: Bytes[]): Bytes => [...op(']'), ...op('('), ...items.flat(), ...op('e')];
const setItems = (pairs: readonly (readonly [string, Bytes])[]) => [
  ...op('('),
  ...pairs.flatMap(([key, value]) => [...text(key), ...value]),
  ...op('u'),
];
export const dict = (...pairs: (readonly [string, Bytes])[]): Bytes => [...op('}'), ...setItems(pairs)];
export const named = (name: string): Bytes => [...op('c'), ...utf8(`${name.replace(' ', '\n')}\n`)];
export const call = (name: string, ...args: Bytes[]): Bytes => [...named(name), ...tuple(...args), ...op('R')];
export const orderedDict = (...pairs: (readonly [string, Bytes])[]): Bytes => [
  ...call('collections OrderedDict'),
  ...setItems(pairs),
];
export const pickle = (...body: Bytes[]): Bytes => [0x80, 2, ...body.flat(), ...op('.')];

export interface StorageOptions {
  readonly type?: string;
  readonly key?: string;
  readonly elements?: number;
  /** The sixth item of the id, which legacy files have. */
  readonly view?: Bytes;
}

export const storage = ({ type = 'torch FloatStorage', key = '0', elements = 6, view }: StorageOptions = {}): Bytes => [
  ...tuple(text('storage'), named(type), text(key), text('cpu'), int(elements), ...(view ? [view] : [])),
  ...op('Q'),
];

export interface TensorOptions extends StorageOptions {
  readonly offset?: number;
  readonly size?: readonly number[];
  readonly stride?: readonly number[];
  /** With one, `_rebuild_tensor_v3`. */
  readonly dtype?: string;
}

const ints = (values: readonly number[]) => tuple(...values.map(int));

/** By default six float32 elements, [2, 3]. */
export function tensor({ offset = 0, size = [2, 3], stride = [3, 1], dtype, ...options }: TensorOptions = {}): Bytes {
  const args = [storage(options), int(offset), ints(size), ints(stride), no, call('collections OrderedDict')];
  return dtype === undefined
    ? call('torch._utils _rebuild_tensor_v2', ...args)
    : call('torch._utils _rebuild_tensor_v3', ...args, named(dtype));
}

// ---- zip archives

const crcTable = Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc >>> 0;
});
const crc32 = (bytes: Uint8Array) =>
  ~bytes.reduce((crc, byte) => (crc >>> 8) ^ crcTable[(crc ^ byte) & 0xff], 0xffffffff) >>> 0;

interface HeaderFields {
  readonly signature: number;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly compressed: number;
  readonly size: number;
  readonly name: string | Bytes;
  readonly extra: Bytes;
}

interface CentralFields extends HeaderFields {
  readonly offset: number;
  readonly disk: number;
  readonly comment: Bytes;
}

export interface ZipFile {
  readonly name: string;
  readonly data: Bytes | Uint8Array;
  /** What to write in place of what is true. */
  readonly local?: Partial<HeaderFields> | undefined;
  readonly central?: Partial<CentralFields> | undefined;
}

interface EndFields {
  readonly disk: number;
  readonly countHere: number;
  readonly count: number;
  readonly bytes: number;
  readonly offset: number;
}

export interface ZipOptions {
  /** Whether the zip64 records are written, as torch.save always does. */
  readonly zip64?: boolean;
  /** Bytes before the first entry, between the last one and the directory, at the end of the directory, and of the file. */
  readonly before?: Bytes;
  readonly gap?: Bytes;
  readonly directoryTail?: Bytes;
  readonly after?: Bytes;
  readonly end?: Partial<EndFields & { commentBytes: number }>;
  readonly end64?: Partial<EndFields & { signature: number; recordBytes: number }>;
  readonly locator?: Partial<{ disk: number; offset: number; disks: number }>;
}

/** Stored entries with streamed headers, as torch.save writes them. */
export function zip(files: readonly ZipFile[], options: ZipOptions = {}): Uint8Array<ArrayBuffer> {
  const { zip64 = true, before = [], gap = [], directoryTail = [], after = [], end, end64, locator } = options;
  const chunks: (Bytes | Uint8Array)[] = [before];
  const directory: Bytes[] = [];
  let position = before.length;
  const nameBytes = (name: string | Bytes) => (typeof name === 'string' ? utf8(name) : name);
  for (const { name, data, local, central } of files) {
    const bytes = Uint8Array.from(data);
    const streamed = {
      signature: 0x04034b50,
      flags: 0x0808,
      method: 0,
      crc: 0,
      compressed: 0,
      size: 0,
      name,
      extra: [],
    };
    const header = { ...streamed, ...local };
    const written = [
      ...littleEndian(header.signature, 4),
      ...[0, 0],
      ...littleEndian(header.flags, 2),
      ...littleEndian(header.method, 2),
      ...[0, 0, 0, 0],
      ...littleEndian(header.crc, 4),
      ...littleEndian(header.compressed, 4),
      ...littleEndian(header.size, 4),
      ...littleEndian(nameBytes(header.name).length, 2),
      ...littleEndian(header.extra.length, 2),
      ...nameBytes(header.name),
      ...header.extra,
    ];
    const sizes = { crc: crc32(bytes), compressed: bytes.length, size: bytes.length };
    const record = { ...streamed, signature: 0x02014b50, ...sizes, offset: position, disk: 0, comment: [], ...central };
    directory.push([
      ...littleEndian(record.signature, 4),
      ...[0, 0, 0, 0],
      ...littleEndian(record.flags, 2),
      ...littleEndian(record.method, 2),
      ...[0, 0, 0, 0],
      ...littleEndian(record.crc, 4),
      ...littleEndian(record.compressed, 4),
      ...littleEndian(record.size, 4),
      ...littleEndian(nameBytes(record.name).length, 2),
      ...littleEndian(record.extra.length, 2),
      ...littleEndian(record.comment.length, 2),
      ...littleEndian(record.disk, 2),
      ...[0, 0, 0, 0, 0, 0],
      ...littleEndian(record.offset, 4),
      ...nameBytes(record.name),
      ...record.extra,
      ...record.comment,
    ]);
    chunks.push(written, bytes);
    position += written.length + bytes.length;
  }
  position += gap.length;
  const records = [...directory.flat(), ...directoryTail];
  const truth = { disk: 0, countHere: files.length, count: files.length, bytes: records.length, offset: position };
  chunks.push(
    gap,
    records,
    ...(zip64 ? [endRecords64(truth, end64, locator)] : []),
    endRecord({ ...truth, ...end }),
    after,
  );
  return concatenated(chunks);
}

function endRecords64(truth: EndFields, end64: ZipOptions['end64'], locator: ZipOptions['locator']): Bytes {
  const record = { signature: 0x06064b50, recordBytes: 44, ...truth, ...end64 };
  const pointer = { disk: 0, offset: truth.offset + truth.bytes, disks: 1, ...locator };
  return [
    ...littleEndian(record.signature, 4),
    ...littleEndian(record.recordBytes, 8),
    ...[0, 0, 0, 0],
    ...littleEndian(record.disk, 4),
    ...littleEndian(record.disk, 4),
    ...littleEndian(record.countHere, 8),
    ...littleEndian(record.count, 8),
    ...littleEndian(record.bytes, 8),
    ...littleEndian(record.offset, 8),
    ...littleEndian(0x07064b50, 4),
    ...littleEndian(pointer.disk, 4),
    ...littleEndian(pointer.offset, 8),
    ...littleEndian(pointer.disks, 4),
  ];
}

function endRecord(record: EndFields & { commentBytes?: number }): Bytes {
  return [
    ...littleEndian(0x06054b50, 4),
    ...littleEndian(record.disk, 2),
    ...littleEndian(record.disk, 2),
    ...littleEndian(record.countHere, 2),
    ...littleEndian(record.count, 2),
    ...littleEndian(record.bytes, 4),
    ...littleEndian(record.offset, 4),
    ...littleEndian(record.commentBytes ?? 0, 2),
  ];
}

// ---- files of torch.save

export type Storages = Readonly<Record<string, Bytes | Uint8Array>>;

/** The six floats 0 to 5, which the default `tensor` is of. */
export const sixFloats = new Uint8Array(Float32Array.of(0, 1, 2, 3, 4, 5).buffer);

/** The entries of a checkpoint in the zip form. */
export function zipFiles(root: Bytes, storages: Storages = { 0: sixFloats }): ZipFile[] {
  return [
    { name: 'x/data.pkl', data: pickle(root) },
    { name: 'x/byteorder', data: utf8('little') },
    ...Object.entries(storages).map(([key, data]) => ({ name: `x/data/${key}`, data })),
    { name: 'x/version', data: utf8('3\n') },
  ];
}

export interface LegacyOptions {
  readonly magic?: Bytes;
  readonly version?: Bytes;
  readonly machine?: Bytes;
  readonly keys?: Bytes;
  /** Elements that each storage claims to have. */
  readonly counts?: Readonly<Record<string, number>>;
  readonly after?: Bytes;
}

/** A checkpoint in the legacy form; the elements of `storages` are taken to be `elementBytes` wide. */
export function legacyFile(
  root: Bytes,
  storages: Storages = { 0: sixFloats },
  elementBytes = 4,
  options: LegacyOptions = {},
): Uint8Array<ArrayBuffer> {
  const magic = [0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
  return concatenated([
    pickle(options.magic ?? magic),
    pickle(options.version ?? int(1001)),
    pickle(options.machine ?? dict(['protocol_version', int(1001)], ['little_endian', yes])),
    pickle(root),
    pickle(options.keys ?? list(...Object.keys(storages).map(text))),
    ...Object.entries(storages).flatMap(([key, data]) => {
      return [littleEndian(options.counts?.[key] ?? data.length / elementBytes, 8), data];
    }),
    options.after ?? [],
  ]);
}

/** The byte order that the machine of a legacy file had. */
export const machine = (isLittleEndian: Bytes): Bytes => dict(['little_endian', isLittleEndian]);

function concatenated(chunks: readonly (Bytes | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let position = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, position);
    position += chunk.length;
  }
  return bytes;
}
