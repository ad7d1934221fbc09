// JSON read strictly, by who knows what must come next. JSON.parse would not do: it forgets duplicate names, takes 1.0 for 1,
// rounds large integers and lets lone surrogates pass, and each of these lets two readers see two different files.
import { StamError } from '../engine/errors.ts';

export interface JsonContext {
  /** What is being read, in one word, for messages: `header`. */
  readonly document: string;
  /** Where a message shall say that the fault lies; asked when there is one. */
  readonly where: () => string;
  /** Bytes of the file before the text. */
  readonly firstByte: number;
}

/** How deep arrays and objects may nest in values that are skipped. */
const maxDepth = 32;

// sticky: they match at `lastIndex` or not at all
const whitespace = /[ \t\n\r]*/y;
const numberLike = /[-+.\w]*/y;
const scalar = /(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)/y;

/** A recursive-descent reader. Every fault is a StamError bad-checkpoint with its byte in the file. */
export class JsonReader {
  private readonly text: string;
  private readonly context: JsonContext;
  private position = 0;

  /** Throws bad-checkpoint for bytes that are not UTF-8 or begin with a byte order mark. */
  constructor(bytes: Uint8Array, context: JsonContext) {
    this.context = context;
    try {
      this.text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch (cause) {
      throw new StamError('bad-checkpoint', { where: context.where(), problem: 'not valid UTF-8', cause });
    }
    if (this.text.startsWith('\ufeff')) throw this.error('begins with a byte order mark', 'U+FEFF', '{');
  }

  /** The keys of an object one by one; who iterates reads the value before asking for the next key. */
  *members(what: string): Generator<string> {
    this.expect('{', `{ at the start of ${what}`);
    if (this.take('}')) return;
    do {
      const key = this.string('a key in quotes');
      this.expect(':', ':');
      yield key;
    } while (this.take(','));
    this.expect('}', ', or }');
  }

  /** An array of integers in 0..2^53-1, each written as plain digits. */
  integers(what: string): number[] {
    const values: number[] = [];
    for (const _ of this.elements(what)) {
      const token = this.match(numberLike);
      const value = /^(?:0|[1-9][0-9]*)$/.test(token) ? Number(token) : Number.NaN;
      if (!Number.isSafeInteger(value)) {
        this.position -= token.length;
        throw this.error(`bad number in ${what}`, clip(token) || this.here(), 'a plain integer in 0..2^53-1');
      }
      values.push(value);
      this.skipSpace();
    }
    return values;
  }

  string(expected: string): string {
    if (this.text[this.position] !== '"') throw this.unexpected(expected);
    let end = this.position + 1;
    while (end < this.text.length && this.text[end] !== '"') end += this.text[end] === '\\' ? 2 : 1;
    if (end >= this.text.length) throw this.error('a string does not end');
    const value = parseString(this.text.slice(this.position, end + 1));
    if (value === undefined) throw this.error('a bad escape or a control character in a string');
    if (!value.isWellFormed()) throw this.error('a lone surrogate in a string');
    this.position = end + 1;
    this.skipSpace();
    return value;
  }

  /**
   * A value that need only be JSON. Returns a string's value and the text of a number, `true`, `false` or `null`; undefined for
   * arrays and objects. `depth` is the number of levels that it lies in.
   */
  anyValue(depth: number): string | undefined {
    if (depth >= maxDepth) throw this.error('nested too deeply', undefined, `at most ${maxDepth} levels`);
    const next = this.text[this.position];
    if (next === '"') return this.string('a string');
    if (next === '{') for (const _ of this.members('an object')) this.anyValue(depth + 1);
    else if (next === '[') for (const _ of this.elements('an array')) this.anyValue(depth + 1);
    else {
      const token = this.match(scalar);
      if (token === '') throw this.unexpected('a value');
      this.skipSpace();
      return token;
    }
    return undefined;
  }

  /** Steps over a token and the whitespace around it, if it comes next. */
  take(token: string): boolean {
    this.skipSpace();
    if (!this.text.startsWith(token, this.position)) return false;
    this.position += token.length;
    this.skipSpace();
    return true;
  }

  /** Throws when anything is left. */
  end(): void {
    if (this.position === this.text.length) return;
    throw this.error(`characters after the ${this.context.document} object`, this.here());
  }

  /** An error at the position. */
  error(problem: string, got?: string, expected?: string): StamError {
    const { firstByte, where } = this.context;
    const offset = firstByte + new TextEncoder().encode(this.text.slice(0, this.position)).byteLength;
    return new StamError('bad-checkpoint', {
      where: where(),
      problem: `${problem} (byte ${offset} of the file)`,
      got,
      expected,
    });
  }

  /** Yields before each element of an array. */
  private *elements(what: string): Generator<void> {
    this.expect('[', `[ at the start of ${what}`);
    if (this.take(']')) return;
    do yield;
    while (this.take(','));
    this.expect(']', ', or ]');
  }

  private expect(token: string, expected: string): void {
    if (!this.take(token)) throw this.unexpected(expected);
  }

  private unexpected(expected: string): StamError {
    return this.error(`not the JSON of the ${this.context.document}`, this.here(), expected);
  }

  private skipSpace(): void {
    this.match(whitespace);
  }

  private match(pattern: RegExp): string {
    pattern.lastIndex = this.position;
    const token = pattern.exec(this.text)?.[0] ?? '';
    this.position += token.length;
    return token;
  }

  /** What stands at the position, for messages. */
  private here(): string {
    const next = this.text.codePointAt(this.position);
    return next === undefined ? `the end of the ${this.context.document}` : JSON.stringify(String.fromCodePoint(next));
  }
}

/** A text for a message, cut when it is long. */
export function clip(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

/** The value of one JSON string literal, quotes included; undefined when an escape or a character in it is not allowed. */
function parseString(literal: string): string | undefined {
  try {
    return JSON.parse(literal);
  } catch {
    return undefined;
  }
}
