// The zip form of torch.save (1.6 and later): data.pkl, and each storage as an entry of its own, data/KEY.
import { StamError } from '../../engine/errors.ts';
import { describeTensor } from '../safetensors-header.ts';
import type { ByteSource } from '../source.ts';
import { unpickle } from './pickle.ts';
import type { StoredBytes, TorchFile, TorchFileOptions } from './torch-file.ts';
import { defaultMaxPickleBytes, pickleHint } from './torch-file.ts';
import { collectStorages } from './torch-pickle.ts';
import { torchScriptError } from './torchscript.ts';
import { openZip, type ZipArchive } from './zip.ts';

/** Throws bad-checkpoint for a damaged or hostile file, unsupported for what torch.save writes and this cannot read. */
export async function openZipFile(source: ByteSource, options: TorchFileOptions): Promise<TorchFile> {
  const { maxPickleBytes = defaultMaxPickleBytes, verifyChecksums, signal } = options;
  const zip = await openZip(source, { verifyChecksums, signal });
  const folder = folderOf(zip, source.name);
  await checkByteOrder(zip, folder, source.name, signal);

  const name = `${folder}data.pkl`;
  const size = zip.entries.get(name)?.size ?? 0;
  if (size > maxPickleBytes) {
    throw new StamError('bad-checkpoint', {
      where: describeTensor(source.name, name),
      problem: 'the pickle is too long',
      got: `${size} bytes`,
      expected: `at most ${maxPickleBytes}`,
      hint: pickleHint(size - 1),
    });
  }
  const { rules, storages: named } = collectStorages();
  const unpickled = unpickle(await zip.read(name, 0, size, signal), 0, describeTensor(source.name, name), rules);
  if (unpickled?.end !== size) {
    throw new StamError('bad-checkpoint', {
      where: describeTensor(source.name, name),
      problem: unpickled ? 'bytes follow the pickle' : 'the pickle is cut off',
      got: `${size} bytes`,
      expected: unpickled && `${unpickled.end}`,
    });
  }
  const storages = new Map<string, StoredBytes>();
  for (const { key, type, elements } of named.values()) {
    storages.set(key, storedBytes(zip, `${folder}data/${key}`, elements * type.bytes, source.name));
  }
  return { root: unpickled.value, storages };
}

/** The one folder that all entries lie in, with its slash. Refuses archives of other kinds. */
function folderOf(zip: ZipArchive, file: string): string {
  const [first = ''] = zip.entries.keys();
  const folder = first.slice(0, first.indexOf('/') + 1);
  const stray = [...zip.entries.keys()].find((name) => !name.startsWith(folder));
  const script = torchScriptError([...zip.entries.keys()], file);
  if (script) throw script;
  if (folder !== '' && stray === undefined && zip.entries.has(`${folder}data.pkl`)) return folder;
  throw new StamError('bad-checkpoint', {
    where: file,
    problem: 'a zip archive that torch.save did not write',
    got: stray === undefined ? 'no data.pkl' : 'entries in several folders',
    expected: 'one folder with data.pkl and data/',
  });
}

/** `little`, `big`, or in files from before PyTorch 2.1 nothing, which means little. */
async function checkByteOrder(
  zip: ZipArchive,
  folder: string,
  file: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const name = `${folder}byteorder`;
  const entry = zip.entries.get(name);
  if (!entry) return;
  const bytes = await zip.read(name, 0, Math.min(entry.size, 16), signal);
  const order = new TextDecoder().decode(bytes);
  if (order === 'little' && entry.size === bytes.byteLength) return;
  throw new StamError(order === 'big' ? 'unsupported' : 'bad-checkpoint', {
    where: describeTensor(file, name),
    problem: order === 'big' ? 'the file was written on a big-endian machine' : 'unknown byte order',
    got: JSON.stringify(order),
    expected: '"little"',
  });
}

function storedBytes(zip: ZipArchive, name: string, size: number, file: string): StoredBytes {
  const entry = zip.entries.get(name);
  if (entry?.size !== size) {
    throw new StamError('bad-checkpoint', {
      where: describeTensor(file, name),
      problem: entry ? 'the storage has another size than the pickle says' : 'a storage is missing',
      got: entry && `${entry.size} bytes`,
      expected: `${size} bytes`,
    });
  }
  return {
    size,
    position: entry.headerOffset,
    read: (start, end, signal, allocate) => zip.read(name, start, end, signal, allocate),
  };
}
