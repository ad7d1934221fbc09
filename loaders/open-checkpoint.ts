// A checkpoint in whichever format the file is in.
import type { Checkpoint } from './checkpoint.ts';
import { formatOf } from './file-format.ts';
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
  let open: (source: ByteSource, options: OpenCheckpointOptions) => Promise<Checkpoint>;
  try {
    const format = await formatOf(source, options.signal);
    // the reader of pickles is a file of its own in the library for browsers: apps that load safetensors never fetch it
    open = format === 'safetensors' ? openSafetensors : (await import('./pytorch/pth.ts')).openPth;
  } catch (error) {
    await source.close();
    throw error;
  }
  return await open(source, options);
}
