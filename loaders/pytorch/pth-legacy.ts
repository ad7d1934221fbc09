// The form that torch.save wrote before 1.6, and writes still when asked: five pickles one after another (a magic number, a
// version, the machine's byte order, the object, the keys of the storages), then each storage: int64 number of elements,
// elements. Where the storages lie follows from the pickles, so only those are read to open a file.
import { StamError } from '../../engine/errors.ts';
import { describeTensor } from '../safetensors-header.ts';
import type { ByteSource } from '../source.ts';
import { type PickleRules, type PickleValue, unpickle } from './pickle.ts';
import { resaveHint } from './pickle-protocol.ts';
import type { StoredBytes, TorchFile, TorchFileOptions } from './torch-file.ts';
import { defaultMaxPickleBytes, pickleHint } from './torch-file.ts';
import { collectStorages, type TorchStorage } from './torch-pickle.ts';

const magic = 0x1950a86a20f9469cfc6cn;
const version = 1001;

/** How much is read at first; the rest of the pickles follows in growing steps. */
const firstBytes = 64 * 1024;

/** Before each storage: its number of elements. */
const countBytes = 8;

/** For pickles that name nothing. */
const noNames: PickleRules = {
  globals: new Set(),
  reduce(global, _, refuse) {
    throw refuse('a call where plain data belongs', global);
  },
  persistent(_, refuse) {
    throw refuse('a storage where plain data belongs');
  },
};

/** Throws bad-checkpoint for a damaged or hostile file, unsupported for what torch.save writes and this cannot read. */
export async function openLegacyFile(source: ByteSource, options: TorchFileOptions): Promise<TorchFile> {
  const { maxPickleBytes = defaultMaxPickleBytes, signal } = options;
  const pickles = new PickleSequence(source, maxPickleBytes, signal);
  if ((await pickles.next('magic number', noNames)) !== magic)
    throw refusal(source, 'a pickle that torch.save did not write', 'another magic number', undefined, resaveHint);
  const found = await pickles.next('version', noNames);
  if (found !== version) throw refusal(source, 'another version of the format', `${found}`, `${version}`);
  checkByteOrder(source, await pickles.next('machine', noNames));
  const { rules, storages } = collectStorages();
  const root = await pickles.next('object', rules);
  const keys = await pickles.next('storage keys', noNames);
  return { root, storages: layOut(source, pickles.position, keys, storages) };
}

/** Reads pickles one after another without knowing how long they are. */
class PickleSequence {
  position = 0;
  private readonly source: ByteSource;
  private readonly maxBytes: number;
  private readonly signal: AbortSignal | undefined;
  private bytes: Uint8Array<ArrayBuffer> | undefined;

  constructor(source: ByteSource, maxBytes: number, signal: AbortSignal | undefined) {
    this.source = source;
    this.maxBytes = maxBytes;
    this.signal = signal;
  }

  async next(what: string, rules: PickleRules): Promise<PickleValue> {
    const { source, signal } = this;
    const most = Math.min(source.size, this.maxBytes);
    for (;;) {
      this.bytes ??= await source.read(0, Math.min(firstBytes, most), signal);
      const unpickled = unpickle(this.bytes, this.position, `${source.name}: ${what}`, rules);
      if (unpickled) {
        this.position = unpickled.end;
        return unpickled.value;
      }
      const read = this.bytes.byteLength;
      if (read === source.size) throw refusal(source, `the file ends within the ${what}`, `${read} bytes`);
      if (read === most) {
        const expected = `at most ${this.maxBytes} bytes`;
        throw refusal(source, 'the pickles are too long', undefined, expected, pickleHint(this.maxBytes));
      }
      this.bytes = await source.read(0, Math.min(4 * read, most), signal);
    }
  }
}

function checkByteOrder(source: ByteSource, machine: PickleValue): void {
  const isLittle = machine instanceof Map ? machine.get('little_endian') : undefined;
  if (isLittle === true) return;
  if (isLittle !== false) throw refusal(source, 'the description of the machine lacks its byte order');
  throw new StamError('unsupported', {
    where: source.name,
    problem: 'the file was written on a big-endian machine',
    got: 'little_endian: False',
  });
}

/** The storages lie in the order of their keys, and fill the file to its end. */
function layOut(
  source: ByteSource,
  begin: number,
  keys: PickleValue,
  named: ReadonlyMap<string, TorchStorage>,
): Map<string, StoredBytes> {
  if (!Array.isArray(keys)) throw refusal(source, 'the storage keys are no list');
  const storages = new Map<string, StoredBytes>();
  let position = begin;
  for (const key of keys) {
    const storage = typeof key === 'string' ? named.get(key) : undefined;
    if (!storage) throw refusal(source, 'the file lists a storage that nothing refers to', JSON.stringify(String(key)));
    if (storages.has(storage.key)) throw refusal(source, 'the file lists a storage twice', JSON.stringify(storage.key));
    const stored = storedBytes(source, position, storage);
    storages.set(storage.key, stored);
    position += countBytes + stored.size;
  }
  const missing = [...named.keys()].find((key) => !storages.has(key));
  if (missing !== undefined) throw refusal(source, 'a storage is missing', undefined, JSON.stringify(missing));
  if (position !== source.size) {
    const problem = position > source.size ? 'the file is truncated' : 'bytes follow the last storage';
    throw refusal(source, problem, `${source.size} bytes`, `${position}`);
  }
  return storages;
}

function storedBytes(source: ByteSource, position: number, { key, type, elements }: TorchStorage): StoredBytes {
  const begin = position + countBytes;
  let isChecked = false;
  return {
    size: elements * type.bytes,
    position,
    async read(start, end, signal, allocate) {
      if (!isChecked) {
        const prefix = await source.read(position, begin, signal);
        const count = new DataView(prefix.buffer, prefix.byteOffset, countBytes).getBigInt64(0, true);
        if (count !== BigInt(elements)) {
          throw new StamError('bad-checkpoint', {
            where: describeTensor(source.name, `storage ${key}`),
            problem: 'the storage has another size than the pickle says',
            got: `${count} elements`,
            expected: `${elements}`,
          });
        }
        isChecked = true;
      }
      return source.read(begin + start, begin + end, signal, allocate);
    },
  };
}

function refusal(source: ByteSource, problem: string, got?: string, expected?: string, hint?: string): StamError {
  return new StamError('bad-checkpoint', { where: source.name, problem, got, expected, hint });
}
