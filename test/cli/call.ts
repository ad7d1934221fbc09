// Runs `stam` inside the test's own process and keeps what it wrote.
import type { Command } from '../../cli/command.ts';
import { run } from '../../cli/invoke.ts';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly debug?: boolean;
  readonly isTTY?: boolean;
}

/** One call of `stam` that knows the given commands only. */
export async function call(
  commands: readonly Command[],
  argv: readonly string[],
  { signal = new AbortController().signal, debug = false, isTTY = false }: CallOptions = {},
): Promise<Outcome> {
  const written = { stdout: '', stderr: '' };
  const code = await run(argv, {
    commands,
    stdout: { write: (text) => (written.stdout += text) },
    stderr: { write: (text) => (written.stderr += text), isTTY },
    signal,
    debug,
    now: () => 0,
  });
  return { code, ...written };
}
