// A checkpoint in whichever format the file is in.
import { StamError } from '../engine/errors.ts';
import type { Checkpoint } from './checkpoint.ts';
import { formatOf, readStart } from './file-format.ts';
import type { PthOptions } from './pytorch/pth.ts';
import { openSafetensors, type SafetensorsOptions } from './safetensors.ts';
import { type ByteSource, rangedSource } from './source.ts';

/** What either format takes. */
export type OpenCheckpointOptions = SafetensorsOptions & PthOptions;

/**
 * Opens a safetensors file or a PyTorch checkpoint; its first bytes tell which, its name does not matter. The checkpoint owns
 * the source from here on: it is closed with the checkpoint, or at once when opening fails.
 * With the option `key` a safetensors file gives the tensors whose names begin with that and a dot, without it, and leaves out the others.
 * Throws what `openSafetensors` and `openPth` throw, and for files that are known to be something else what they are.
 */
export async function openCheckpoint(source: ByteSource, options: OpenCheckpointOptions = {}): Promise<Checkpoint> {
  const { signal } = options;
  try {
    const start = await readStart(source, signal);
    const whole = startingWith(start, source);
    if (formatOf(start) === 'other') {
      const opened = await openSafetensors(whole, options).catch((error) => explain(error, start, source));
      // likewise a file of its own, as the reader of pickles below
      return options.key ? (await import('./tensors-under.ts')).tensorsUnder(opened, options.key) : opened;
    }
    // the reader of pickles is a file of its own in the library for browsers: apps that load safetensors never fetch it
    const { openPth } = await import('./pytorch/pth.ts');
    return await openPth(whole, options);
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** `source`, whose first bytes are here already. A server would be asked anew for them, and its first response given up. */
function startingWith(start: Uint8Array, source: ByteSource): ByteSource {
  const { name, size, version } = source;
  return rangedSource({
    name,
    size,
    version,
    async readRange(from, to, signal, allocate) {
      if (from >= start.byteLength) return await source.read(from, to, signal, allocate);
      const bytes = allocate(to - from);
      const known = start.subarray(from, to);
      bytes.set(known);
      if (to <= start.byteLength) return bytes;
      const rest = bytes.subarray(known.byteLength);
      const read = await source.read(start.byteLength, to, signal, () => rest);
      rest.set(read.subarray(0, rest.byteLength)); // not every source uses the memory that it is offered
      return bytes.subarray(0, known.byteLength + read.byteLength);
    },
    release: () => source.close(),
  });
}

/** Throws what the file is, where it is known, in place of what it lacks as safetensors. Nobody fetches the list who has the right file. */
async function explain(error: unknown, start: Uint8Array<ArrayBuffer>, source: ByteSource): Promise<never> {
  if (!(error instanceof StamError && error.code === 'bad-checkpoint')) throw error;
  const list = await import('./foreign-format.ts').catch(() => undefined);
  throw list?.foreignFormatError(source, start) ?? error;
}
