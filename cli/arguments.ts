// argv to typed values, by the tables of a command. Everything that does not fit is a UsageError that names it.
import { parseArgs } from 'node:util';
import { type Command, type Option, type OptionValue, type OptionValues, UsageError } from './command.ts';
import { suggest } from './suggest.ts';

/** What was asked of a command. */
export type Parsed =
  | { readonly help: true }
  | { readonly help: false; readonly values: OptionValues; readonly positionals: readonly string[] };

/** Parses what follows the command's name. Of an option that is given twice without being repeatable, the last counts. */
export function parseArguments(command: Command, argv: readonly string[]): Parsed {
  const given = new Map<string, string[]>();
  const positionals: string[] = [];
  const tokens = tokenise(command, argv);
  // before anything is refused: who asks for help may not know better yet
  if (tokens.some((token) => token.kind === 'option' && token.name === 'help')) return { help: true };
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const option = Object.hasOwn(command.options, token.name) ? command.options[token.name] : undefined;
    if (!option || !token.rawName.startsWith('--')) throw unknownOption(command, token.rawName);
    given.set(token.name, [...(given.get(token.name) ?? []), givenText(option, token)]);
  }
  checkPositionals(command, positionals);
  const values: Record<string, OptionValue> = {};
  for (const [name, option] of Object.entries(command.options)) values[name] = toValue(name, option, given.get(name));
  return { help: false, values, positionals };
}

/** Not node's own strict mode: its messages span lines and suggest nothing. The checks it makes are made above and below. */
function tokenise(command: Command, argv: readonly string[]) {
  const types = Object.entries(command.options).map(([name, { type }]): [string, { type: 'boolean' | 'string' }] => [
    name,
    { type: type === 'flag' ? 'boolean' : 'string' },
  ]);
  const options = { ...Object.fromEntries(types), help: { type: 'boolean' as const, short: 'h' } };
  return parseArgs({ args: [...argv], options, allowPositionals: true, strict: false, tokens: true }).tokens;
}

interface OptionToken {
  readonly rawName: string;
  readonly value: string | undefined;
  readonly inlineValue: boolean | undefined;
}

function givenText(option: Option, { rawName, value, inlineValue }: OptionToken): string {
  if (option.type === 'flag') {
    if (value === undefined) return '';
    throw new UsageError(`${rawName}: takes no value; got ${quoted(value)}`);
  }
  if (!value) throw new UsageError(`${rawName}: value missing; expected ${expected(option)}`);
  // '--input --output x' is a forgotten value; '-' alone means standard input to many programs, and -3 is a number
  const isNumber = (option.type === 'integer' || option.type === 'number') && /^-[\d.]/.test(value);
  if (!inlineValue && value.length > 1 && value.startsWith('-') && !isNumber) {
    throw new UsageError(
      `${rawName}: value missing; got ${quoted(value)}; if that is the value, write ${rawName}=${value}`,
    );
  }
  return value;
}

function toValue(name: string, option: Option, texts: readonly string[] | undefined): OptionValue {
  if (option.type === 'flag') return texts !== undefined;
  if (texts === undefined) {
    if (option.required) throw new UsageError(`--${name}: missing; expected ${expected(option)}`);
    if (!option.repeated) return option.default;
    return option.default === undefined ? [] : toList(option, [option.default]);
  }
  if (!option.repeated) return single(name, option, texts[texts.length - 1]);
  const parts = option.type === 'string' ? texts : texts.flatMap((text) => text.split(','));
  return toList(
    option,
    parts.map((part) => single(name, option, part)),
  );
}

/** Repeated numbers are numbers and repeated texts are texts; only the type checker needs to be told. */
function toList(option: Option, values: readonly (string | number)[]): OptionValue {
  const isNumeric = option.type === 'integer' || option.type === 'number';
  return isNumeric ? values.filter((value) => typeof value === 'number') : values.map(String);
}

function single(name: string, option: Exclude<Option, { type: 'flag' }>, text: string): string | number {
  if (option.type === 'string') return text;
  const value = option.type === 'choice' ? option.choices.find((choice) => choice === text) : toNumber(option, text);
  if (value !== undefined) return value;
  const near = option.type === 'choice' ? suggest(text, option.choices) : undefined;
  const hint = near === undefined ? '' : `; did you mean '${near}'?`;
  throw new UsageError(`--${name}: bad value; got ${quoted(text)}, expected ${expected(option)}${hint}`);
}

function toNumber(option: Extract<Option, { type: 'integer' | 'number' }>, text: string): number | undefined {
  const { type, minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = option;
  // Number() alone would take '', '0x10' and 'Infinity'
  const grammar = type === 'integer' ? /^[+-]?\d+$/ : /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
  const value = Number(text);
  const isExact = type === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value);
  return grammar.test(text) && isExact && value >= minimum && value <= maximum ? value : undefined;
}

function expected(option: Exclude<Option, { type: 'flag' }>): string {
  switch (option.type) {
    case 'choice':
      return `one of ${option.choices.join(', ')}`;
    case 'string':
      return option.placeholder ?? 'a value';
    default: {
      const noun = option.type === 'integer' ? 'an integer' : 'a number';
      const { minimum, maximum } = option;
      if (minimum !== undefined && maximum !== undefined) return `${noun} from ${minimum} to ${maximum}`;
      if (minimum !== undefined) return `${noun} of at least ${minimum}`;
      return maximum === undefined ? noun : `${noun} of at most ${maximum}`;
    }
  }
}

function checkPositionals({ positionals }: Command, given: readonly string[]): void {
  const empty = given.indexOf('');
  const missing = positionals[empty >= 0 ? Math.min(empty, positionals.length - 1) : given.length];
  if (missing && (!missing.optional || empty >= 0)) {
    throw new UsageError(`${missing.placeholder}: missing; expected ${missing.description}`);
  }
  const isOpen = positionals.some(({ repeated }) => repeated);
  if (!isOpen && given.length > positionals.length) {
    const want = positionals.map(({ placeholder }) => placeholder).join(' ') || 'options only';
    throw new UsageError(`too many arguments; got ${quoted(given[positionals.length])}, expected ${want}`);
  }
}

function unknownOption({ name, options }: Command, rawName: string): UsageError {
  const near = suggest(rawName.replace(/^-+/, ''), [...Object.keys(options), 'help']);
  const hint = near === undefined ? `'stam ${name} --help' lists the options` : `did you mean '--${near}'?`;
  return new UsageError(`unknown option '${rawName}'; ${hint}`);
}

function quoted(text: string): string {
  return `'${text}'`;
}
