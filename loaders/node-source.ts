// Files on disk, as bytes by range and as a place to write to.
import { randomBytes } from 'node:crypto';
import { rmSync, type Stats } from 'node:fs';
import { open, realpath, rename, rm, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { StamError, type StamErrorCode, throwIfAborted } from '../engine/errors.ts';
import { type ByteSink, type ByteSource, rangedSource } from './source.ts';

/** Largest single read, in bytes: an abort is noticed between two of them. */
const chunkBytes = 16 * 1024 * 1024;

/** Small writes are gathered into one of at most so many bytes: each costs far more than the bytes of a small tensor. */
const pendingBytes = 256 * 1024;

/**
 * A regular file. A file that is replaced by another of its name is read on as it was; one that is written to is not read on, unless that
 * happens within the few milliseconds by which the system counts the time of a change.
 * Throws bad-input, naming the path, when there is none that can be opened; reads throw bad-checkpoint for a file that has changed.
 */
export async function fileSource(path: string): Promise<ByteSource> {
  const cannotOpen = (cause: unknown) => {
    throw fileError('bad-input', path, 'the file cannot be opened', cause);
  };
  // found out before opening, which would wait for ever on a pipe that nobody writes to
  refuseOtherThanFile(await stat(path).catch(cannotOpen), path);
  const file = await open(path, 'r').catch(cannotOpen);
  // of what was opened: the path may mean another file by now
  const before = await file.stat().catch(async (cause) => {
    await file.close();
    return cannotOpen(cause);
  });
  return rangedSource({
    name: path,
    size: before.size,
    async readRange(start, end, signal, allocate) {
      const cannotRead = (cause: unknown) => {
        throw fileError('bad-checkpoint', path, 'the file cannot be read', cause);
      };
      const bytes = allocate(end - start);
      let filled = 0;
      while (filled < bytes.byteLength) {
        throwIfAborted(signal);
        const length = Math.min(chunkBytes, bytes.byteLength - filled);
        const { bytesRead } = await file.read(bytes, filled, length, start + filled).catch(cannotRead);
        if (bytesRead === 0) break; // the end came early: `rangedSource` reports it
        filled += bytesRead;
      }
      // after the bytes were read: a change before this is in the times now, one that comes later is not in the bytes
      if (filled === bytes.byteLength) refuseChange(before, await file.stat().catch(cannotRead), path);
      return bytes.subarray(0, filled);
    },
    release: () => file.close(),
  });
}

function refuseOtherThanFile(status: Stats, path: string): void {
  if (status.isFile()) return;
  throw new StamError('bad-input', {
    where: path,
    problem: 'not a file that can be read by ranges',
    got: status.isDirectory() ? 'a directory' : 'a device, pipe or socket',
    expected: 'a regular file',
  });
}

/** Not by ctime, which a new name or new permissions change too. */
function refuseChange(before: Stats, now: Stats, path: string): void {
  if (now.size === before.size && now.mtimeMs === before.mtimeMs) return;
  const describe = ({ size, mtime }: Stats) => `${size} bytes of ${mtime.toISOString()}`;
  throw new StamError('bad-checkpoint', {
    where: path,
    problem: 'the file changed while it was read',
    got: describe(now),
    expected: describe(before),
    hint: 'load it again when it is complete; write new weights beside it and rename them, and nobody reads half of them',
  });
}

/**
 * A file that appears at `path` as a whole, at `finish`, replacing what was there. Until then the bytes lie in a
 * sibling that goes away on `abort`, on a failed write and when the process exits early.
 * Throws bad-input, naming the path, when nothing can be written there.
 */
export async function createFileSink(path: string): Promise<ByteSink> {
  const target = await writableTarget(path);
  const partial = `${target}.${randomBytes(6).toString('hex')}.partial`;
  const file = await open(partial, 'wx').catch((cause) => {
    throw fileError('bad-input', path, 'the file cannot be created', cause);
  });
  const removeAtExit = () => rmSync(partial, { force: true });
  process.once('exit', removeAtExit);
  let ended = false;

  async function abort(): Promise<void> {
    if (ended) return;
    ended = true;
    await file.close().catch(() => {}); // closing may repeat the failure that brought us here
    await rm(partial, { force: true });
    process.removeListener('exit', removeAtExit);
  }

  async function orAbort<T>(work: () => Promise<T>): Promise<T> {
    if (ended) throw new StamError('disposed', { where: path, problem: 'the file has been finished or aborted' });
    try {
      return await work();
    } catch (cause) {
      await abort();
      throw fileError('bad-input', path, 'the file cannot be written', cause);
    }
  }

  async function writeAll(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.byteLength; ) {
      done += (await file.write(bytes, done, bytes.byteLength - done)).bytesWritten;
    }
  }

  const pending = new Uint8Array(pendingBytes);
  let filled = 0;
  async function flush(): Promise<void> {
    await writeAll(pending.subarray(0, filled));
    filled = 0;
  }

  return {
    name: path,
    abort,
    write: (bytes) =>
      orAbort(async () => {
        if (filled + bytes.byteLength > pendingBytes) await flush();
        if (bytes.byteLength > pendingBytes) return await writeAll(bytes);
        pending.set(bytes, filled);
        filled += bytes.byteLength;
      }),
    finish: () =>
      orAbort(async () => {
        await flush();
        await file.sync(); // else a crash could leave the new name on missing bytes
        await file.close();
        await rename(partial, target);
        ended = true;
        process.removeListener('exit', removeAtExit);
      }),
  };
}

/** The file to replace, symbolic links followed. Renaming over a device or a directory would destroy it or fail late. */
async function writableTarget(path: string): Promise<string> {
  const status = await stat(path).catch(() => undefined);
  if (!status) return path;
  if (status.isFile()) return realpath(path);
  throw new StamError('bad-input', {
    where: path,
    problem: 'the file cannot be created',
    got: status.isDirectory() ? 'a directory of that name' : 'a device, pipe or socket of that name',
    expected: 'a regular file or nothing',
  });
}

function fileError(code: StamErrorCode, path: string, problem: string, cause: unknown): StamError {
  const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
  return new StamError(code, {
    where: path,
    problem: missing ? `${problem}: no such file or directory` : `${problem}: ${String(cause)}`,
    cause,
  });
}

/** The path that a `file:` address means; a path is one already. Throws bad-input for an address that means none. */
export function pathOf(place: string | URL): string {
  if (typeof place === 'string') return place;
  try {
    return fileURLToPath(place);
  } catch (cause) {
    throw new StamError('bad-input', {
      where: place.href,
      problem: `the address means no path: ${String(cause)}`,
      cause,
    });
  }
}
