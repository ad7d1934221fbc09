// What becomes of a PyTorch checkpoint that is to be refused.
import { expect } from 'vitest';
import { StamError } from '../../../engine/errors.ts';
import { openPth, type PthOptions } from '../../../loaders/pytorch/pth.ts';
import { bufferSource } from '../../../loaders/source.ts';
import { dict, tensor, type ZipFile, zipFiles } from './torch-files.ts';

/** The entries of a checkpoint that nobody refuses: one tensor, w. */
export const files = zipFiles(dict(['w', tensor()]));
export const without = (name: string) => files.filter((file) => file.name !== name);
export const replaced = (name: string, data: ZipFile['data']) => [...without(name), { name, data }];

/** What refusalOf() gives for a file that is not refused. */
export const accepted = 'the file was accepted';

/** The message with which a file is refused when all of it is read. Its code must be `code`. */
export async function refusalOf(
  bytes: Uint8Array<ArrayBuffer>,
  options?: PthOptions,
  code = 'bad-checkpoint',
): Promise<string> {
  const readAll = async () => {
    const checkpoint = await openPth(bufferSource(bytes, 'x.pth'), options);
    for (const name of checkpoint.order()) await checkpoint.readBytes(name);
    return accepted;
  };
  const error = await readAll().catch((reason: unknown) => reason);
  if (!(error instanceof StamError)) return String(error);
  expect(error.code).toBe(code);
  expect(error.message).toMatch(/^x\.pth: /);
  return error.message;
}
