// PyTorch checkpoints (.pth, .pt, .pyth) by ranges: the directory and the pickle, then each tensor when it is asked for.
// Nothing in such a file is run: pickle.ts says how.
import { StamError } from '../../engine/errors.ts';
import type { Checkpoint, TensorInfo } from '../checkpoint.ts';
import { formatOf, readStart } from '../file-format.ts';
import { foreignFormatError } from '../foreign-format.ts';
import { onDemandCheckpoint } from '../on-demand.ts';
import { describeTensor, dtypeBits } from '../safetensors-header.ts';
import type { ByteSource } from '../source.ts';
import { openLegacyFile } from './pth-legacy.ts';
import { openZipFile } from './pth-zip.ts';
import { findStateDict } from './state-dict.ts';
import { checkView, expandedBytes, maxExpandedBytes, readView, type TensorView, viewBytes } from './tensor-view.ts';
import type { StoredBytes, TorchFile, TorchFileOptions } from './torch-file.ts';
import { largestMaxPickleBytes } from './torch-file.ts';
import type { TorchTensor } from './torch-pickle.ts';

export interface PthOptions extends TorchFileOptions {
  /** Where in the file the weights are, keys with dots between them: `net.backbone`. Left out, where training scripts put them. */
  readonly key?: string | undefined;
}

/** A tensor and what it is a view of. */
interface PthTensor extends TensorInfo {
  readonly view: TensorView;
  readonly stored: StoredBytes;
  /** Where in `stored` the storage of the tensor begins, in bytes. */
  readonly base: number;
}

/**
 * Opens what torch.save wrote, in the zip or the legacy form: a state_dict, or a dict that holds one as `model`, `state_dict`,
 * `model_state` or `model_state_dict`, or where the option `key` says. Names are as they are in the file. The checkpoint owns the source
 * from here on: it is closed with the checkpoint, or at once when opening fails.
 * Throws bad-checkpoint for a file that is damaged or needs anything run, which it names; unsupported for TorchScript, pickles of another
 * protocol than 2, the tar format from before PyTorch 0.1.12, and files of big-endian machines; bad-input for a bad option, and for a
 * `key` under which there are no tensors.
 */
export async function openPth(source: ByteSource, options: PthOptions = {}): Promise<Checkpoint> {
  try {
    checkMaxPickleBytes(options.maxPickleBytes);
    return checkpointOf(source, await openContainer(source, options), options.key || undefined);
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function openContainer(source: ByteSource, options: PthOptions): Promise<TorchFile> {
  const start = await readStart(source, options.signal);
  switch (formatOf(start)) {
    case 'zip':
      return openZipFile(source, options);
    case 'pickle':
      return openLegacyFile(source, options);
    case 'other':
      throw (
        foreignFormatError(source, start) ??
        new StamError('bad-checkpoint', {
          where: source.name,
          problem: 'the file does not begin as torch.save begins one',
          expected: '50 4b 03 04 (zip) or 80 02 (pickle)',
        })
      );
  }
}

function checkpointOf(source: ByteSource, file: TorchFile, key: string | undefined): Checkpoint {
  const { tensors, leftOut, otherKeys } = findStateDict(file.root, source.name, key);
  const placed = [...tensors].map(([name, tensor]) => place(source.name, name, tensor, file));
  boundExpanded(source, placed);
  const position = ({ stored, base, view }: PthTensor) => stored.position + base + view.offset * view.elementBytes;
  placed.sort((a, b) => position(a) - position(b));
  return onDemandCheckpoint({
    name: source.name,
    tensors: new Map(placed.map((tensor) => [tensor.name, tensor])),
    leftOut,
    otherKeys,
    readElements({ name, dtype, shape, view, stored, base }, signal, allocate) {
      if (!dtypeBits.has(dtype)) {
        throw new StamError('unsupported', {
          where: describeTensor(source.name, name, dtype, shape),
          problem: 'elements of this type cannot be read',
          expected: `one of ${[...dtypeBits.keys()].join(' ')}`,
        });
      }
      return readView(view, (start, end, into) => stored.read(base + start, base + end, signal, into), allocate);
    },
    close: () => source.close(),
  });
}

/** Checks one tensor against its storage. */
function place(file: string, name: string, tensor: TorchTensor, { storages }: TorchFile): PthTensor {
  const { storage, type, offset, size, stride } = tensor;
  const view: TensorView = { offset, size, stride, elementBytes: type.bytes };
  const stored = storages.get(storage.key);
  const wrong = stored && checkView(view, storage.view.elements * storage.type.bytes);
  if (!stored || wrong) {
    const where = describeTensor(file, name, type.dtype, size);
    throw new StamError('bad-checkpoint', { where, problem: 'the tensor has no storage', ...wrong });
  }
  const base = storage.view.offset * storage.type.bytes;
  return { name, dtype: type.dtype, shape: size, bytes: viewBytes(view), view, stored, base };
}

/** Each of many tensors may repeat what the file has once: together they must not become far more than the file. */
function boundExpanded({ name: file, size }: ByteSource, tensors: readonly PthTensor[]): void {
  const most = Math.max(size, maxExpandedBytes);
  let bytes = 0;
  for (const { name, dtype, shape, view } of tensors) {
    bytes += expandedBytes(view);
    if (bytes <= most) continue;
    throw new StamError('bad-checkpoint', {
      where: describeTensor(file, name, dtype, shape),
      problem: 'this tensor and those before it repeat the elements of their storages too often',
      got: `${bytes} bytes`,
      expected: `at most ${most}`,
      hint: 'save what expand() made as contiguous()',
    });
  }
}

function checkMaxPickleBytes(value: number | undefined): void {
  if (value === undefined || (Number.isInteger(value) && value > 0 && value <= largestMaxPickleBytes)) return;
  throw new StamError('bad-input', {
    where: 'openPth: maxPickleBytes',
    problem: 'bad limit',
    got: `${value}`,
    expected: `an integer in 1..${largestMaxPickleBytes}`,
  });
}
