// What a command of `stam` is: tables that say what it takes, and a function that gets it parsed and typed.
import type { Progress } from './progress.ts';

interface NamedOption {
  /** One sentence for --help. */
  readonly description: string;
}

interface ValueOption extends NamedOption {
  /** What stands for the value in --help, for example FILE. A choice shows its choices. */
  readonly placeholder?: string;
  /** Bad usage when left out. */
  readonly required?: true;
  /** May be given several times; anything but a string also as a list with commas. Never undefined: [] when left out. */
  readonly repeated?: true;
}

/** One `--name` of a command. */
export type Option =
  | (NamedOption & { readonly type: 'flag' })
  | (ValueOption & { readonly type: 'string'; readonly default?: string })
  | (ValueOption & { readonly type: 'choice'; readonly choices: readonly string[]; readonly default?: string })
  | (ValueOption & {
      readonly type: 'integer' | 'number';
      readonly default?: number;
      readonly minimum?: number;
      readonly maximum?: number;
    });

/** The options of a command, by name without the dashes, in the order of --help. */
export type Options = Readonly<Record<string, Option>>;

type SingleValue<O> = O extends { type: 'flag' }
  ? boolean
  : O extends { type: 'integer' | 'number' }
    ? number
    : O extends { type: 'choice'; choices: readonly (infer Choice extends string)[] }
      ? Choice
      : string;

/** What an option becomes: undefined only when it can be left out and has no default. */
export type ValueOf<O> = O extends { type: 'flag' }
  ? boolean
  : O extends { repeated: true }
    ? readonly SingleValue<O>[]
    : O extends { required: true } | { default: string | number }
      ? SingleValue<O>
      : SingleValue<O> | undefined;

/** Whatever an option can become. */
export type OptionValue = boolean | string | number | readonly string[] | readonly number[] | undefined;

/** Parsed values, by option. */
export type OptionValues = Readonly<Record<string, OptionValue>>;

/** The parsed values of a known table of options. */
export type Values<O extends Options> = { readonly [Name in keyof O]: ValueOf<O[Name]> };

/** One argument without a name. The last may be repeated, and only the last may be left out. */
export interface Positional {
  /** For --help and messages, for example FILE. */
  readonly placeholder: string;
  readonly description: string;
  /** One or more. */
  readonly repeated?: true;
  readonly optional?: true;
}

/** What a running command gets. It holds no process-wide state, so tests run commands inside their own process. */
export interface Context<V = OptionValues> {
  readonly values: V;
  /** As many as the command declares. */
  readonly positionals: readonly string[];
  /** Aborted by Ctrl-C, with an AbortError as reason. */
  readonly signal: AbortSignal;
  /** Writes a result; ends it with a line feed when it has none. */
  stdout(text: string): void;
  /** Writes a line for people, to stderr. */
  log(line: string): void;
  /** Begins a progress bar on stderr; `begin` is what was done before, so that the rate is that of this run. */
  progress(label: string, total: number, unit: string, begin?: number): Progress;
}

/** One command of `stam`. */
export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  readonly positionals: readonly Positional[];
  readonly options: Options;
  /** Returns when all is done. Throws UsageError for exit 2 and anything else for exit 1. */
  run(context: Context): Promise<void>;
}

/** A command as it is written: its `run` knows the type of every value from the table of options. */
export interface TypedCommand<O extends Options> extends Omit<Command, 'options' | 'run'> {
  readonly options: O;
  run(context: Context<Values<O>>): Promise<void>;
}

/** Infers the types of the values from the options and then forgets them, because the table holds all commands alike. */
export function defineCommand<const O extends Options>(command: TypedCommand<O>): Command {
  return command;
}

/** Bad usage of the command line: exit 2. Same grammar as StamError. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
