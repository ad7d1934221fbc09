// One call of `stam`, from its arguments to its exit code. Everything of the process comes in from outside, so that
// tests call it within their own; main.ts calls it with the real streams.
import { version } from '../engine/version.ts';
import { parseArguments } from './arguments.ts';
import { type Command, type Context, UsageError } from './command.ts';
import { commandHelp, generalHelp } from './help.ts';
import { type Progress, type ProgressStream, progress } from './progress.ts';
import { suggest } from './suggest.ts';
import { printable } from './table.ts';

/** What a run needs of the process. */
export interface Surroundings {
  readonly commands: readonly Command[];
  readonly stdout: Pick<ProgressStream, 'write'>;
  readonly stderr: ProgressStream;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Whether failures show their stack. */
  readonly debug?: boolean;
  /** The clock of the progress bars, in milliseconds. */
  readonly now?: () => number;
}

/** What a run ends with. */
export const exitCodes = { done: 0, failed: 1, badUsage: 2, interrupted: 130 } as const;

/** Runs `stam` with the arguments after its name. Never throws: what goes wrong becomes a line on stderr and an exit code. */
export async function run(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const { commands, signal, stderr } = surroundings;
  const screen = new Screen(surroundings);
  const [name] = argv;
  const command = commands.find((candidate) => candidate.name === name);
  try {
    if (!command) return runWithoutCommand(name, surroundings, screen);
    const parsed = parseArguments(command, argv.slice(1));
    if (parsed.help) {
      screen.stdout(commandHelp(command));
      return exitCodes.done;
    }
    const { values, positionals } = parsed;
    await command.run({ values, positionals, signal, ...screen.context() });
    // a command may take an abort as a wish to stop early: what it left is still not all that was asked for
    return signal.aborted ? exitCodes.interrupted : exitCodes.done;
  } catch (error) {
    screen.failBar();
    stderr.write(`${failureText(command?.name, error, surroundings.debug === true)}\n`);
    if (signal.aborted) return exitCodes.interrupted;
    return error instanceof UsageError ? exitCodes.badUsage : exitCodes.failed;
  } finally {
    screen.failBar();
  }
}

function runWithoutCommand(name: string | undefined, { commands, stderr }: Surroundings, screen: Screen): number {
  switch (name) {
    case '--help':
    case '-h':
      screen.stdout(generalHelp(commands, version));
      return exitCodes.done;
    case '--version':
      screen.stdout(version);
      return exitCodes.done;
    case undefined:
      stderr.write(`${generalHelp(commands, version)}\n`);
      return exitCodes.badUsage;
  }
  if (name.startsWith('-')) {
    const known = suggest(name, ['--help', '--version']);
    const hint = known === undefined ? 'options of a command stand after its name' : `did you mean '${known}'?`;
    throw new UsageError(`unknown option '${name}'; ${hint}`);
  }
  const names = commands.map((command) => command.name);
  const near = suggest(name, names);
  const hint = near === undefined ? `expected one of ${names.join(', ')}` : `did you mean '${near}'?`;
  throw new UsageError(`unknown command '${name}'; ${hint}`);
}

/** The line (with `debug` the lines) that a failure leaves on stderr. `name` is the command that failed, if one was known. */
export function failureText(name: string | undefined, error: unknown, debug: boolean): string {
  const prefix = name === undefined ? 'stam' : `stam ${name}`;
  const message = error instanceof Error ? error.message || error.name : String(error);
  const lines = asFlags(message).trim().split(/\r?\n/);
  const more = lines.length > 1 && !debug ? ' (STAM_DEBUG=1 shows the rest)' : '';
  const line = `${prefix}: ${printable(lines[0])}${more}`;
  return debug ? [line, ...debugLines(error)].join('\n') : line;
}

/** Hints of the library name its options; those of a command have the same names, spelled as flags. */
function asFlags(message: string): string {
  return message.replace(/\bthe option `(\w+)`/g, '--$1');
}

function debugLines(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  const cause = error.cause === undefined ? [] : ['caused by:', ...debugLines(error.cause)];
  return [error.stack ?? error.message, ...cause];
}

/** Keeps results, lines and the one running progress bar from overwriting each other where they share a terminal. */
class Screen {
  readonly #surroundings: Surroundings;
  #bar: Progress | undefined;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  stdout(text: string): void {
    this.#bar?.clear();
    this.#surroundings.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  }

  /** Ends a bar that its command left running, which it did because it failed. */
  failBar(): void {
    this.#bar?.fail();
  }

  context(): Pick<Context, 'stdout' | 'log' | 'progress'> {
    const { stderr, now = () => performance.now() } = this.#surroundings;
    return {
      stdout: (text) => this.stdout(text),
      log: (line) => {
        this.#bar?.clear();
        stderr.write(`${asFlags(line)}\n`);
      },
      progress: (label, total, unit, begin = 0) => {
        this.#bar?.clear();
        this.#bar = progress(label, total, unit, { stream: stderr, now, begin });
        return this.#bar;
      },
    };
  }
}
