// stdout and stderr where they are no terminals: written straight to the descriptor.
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import type { ProgressStream } from './progress.ts';

/**
 * The process's stream on a terminal; elsewhere a writer that returns when the text is written. Node's own stream would switch a
 * pipe to non-blocking for everyone who holds it, and a driver that prints its compiler's output there (Mesa does) would lose lines.
 * `failed` is given what cannot be written, a pipe without a reader for instance.
 */
export function descriptorStream(fd: 1 | 2, failed: (error: NodeJS.ErrnoException) => void): ProgressStream {
  if (isatty(fd)) {
    const stream = fd === 1 ? process.stdout : process.stderr;
    stream.on('error', failed);
    return stream;
  }
  return {
    write(text) {
      const bytes = Buffer.from(text);
      for (let written = 0; written < bytes.length; ) {
        try {
          written += writeSync(fd, bytes, written);
        } catch (error) {
          const problem = error as NodeJS.ErrnoException;
          if (problem.code !== 'EAGAIN') return failed(problem);
          pause(1); // somebody else has made the pipe non-blocking, and it is full
        }
      }
    },
  };
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
