// A checkpoint in whichever format the file is in.
import { StamError } from '../engine/errors.ts';
import type { Checkpoint } from './checkpoint.ts';
import { formatOf, readStart } from './file-format.ts';
import type { PthOptions } from './pytorch/pth.ts';
import { openSafetensors, type SafetensorsOptions } from './safetensors.ts';
import type { ByteSource } from './source.ts';

/** What either format takes. */
export type OpenCheckpointOptions = SafetensorsOptions & PthOptions;

/**
 * Opens a safetensors file or a PyTorch checkpoint; its first bytes tell which, its name does not matter. The checkpoint owns
 * the source from here on: it is closed with the checkpoint, or at once when opening fails.
 * Throws what `openSafetensors` and `openPth` throw, and for files that are known to be something else what they are.
 */
export async function openCheckpoint(source: ByteSource, options: OpenCheckpointOptions = {}): Promise<Checkpoint> {
  const { signal } = options;
  try {
    const start = await readStart(source, signal);
    if (formatOf(start) === 'other')
      return await openSafetensors(source, options).catch((error) => explain(error, start, source));
    // the reader of pickles is a file of its own in the library for browsers: apps that load safetensors never fetch it
    const { openPth } = await import('./pytorch/pth.ts');
    return await openPth(source, options);
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** Throws what the file is, where it is known, in place of what it lacks as safetensors. Nobody fetches the list who has the right file. */
async function explain(error: unknown, start: Uint8Array<ArrayBuffer>, source: ByteSource): Promise<never> {
  if (!(error instanceof StamError && error.code === 'bad-checkpoint')) throw error;
  const list = await import('./foreign-format.ts').catch(() => undefined);
  throw list?.foreignFormatError(source, start) ?? error;
}
