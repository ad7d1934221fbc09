// A pickle machine that cannot do anything. A pickle is a program: it names functions and says what to call them with. Here
// a name yields an inert token, a call is answered by rules that compare the token's name with strings, and the outcome is
// plain data. Nothing is looked up by a name from the file, and nothing is run.
//
// Of the language there is what torch.save writes: protocol 2 without what it does not use. Everything else is refused.
import { StamError } from '../../engine/errors.ts';
import { opcodeName, opcodes } from './pickle-opcodes.ts';
import { otherProtocolError } from './pickle-protocol.ts';

/** What a pickle can hold. Dicts are Maps: objects would take `__proto__` for something else than a key. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleTuple
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | PickleGlobal
  | PickleObject;

export class PickleTuple {
  readonly items: readonly PickleValue[];

  constructor(items: readonly PickleValue[]) {
    this.items = items;
  }
}

/** A function or class that the pickle names, `torch FloatStorage`. It stands for its name and for nothing else. */
export class PickleGlobal {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** What calls yield; the rules make subclasses of it. */
export class PickleObject {
  /** For messages: 'a tensor'. */
  readonly kind: string;

  constructor(kind: string) {
    this.kind = kind;
  }
}

/** A collections.OrderedDict: the one dict that may carry attributes, which are dropped. */
export class OrderedDict extends Map<PickleValue, PickleValue> {}

/** An error at the present place of the pickle, to be thrown. */
export type Refuse = (problem: string, got?: string, expected?: string) => StamError;

/** What a pickle may name, and what comes of it. */
export interface PickleRules {
  /** `module name` of everything that may be named. */
  readonly globals: ReadonlySet<string>;
  /** The outcome of calling a global. Throws what `refuse` makes for a global or arguments that are not as they must be. */
  reduce(global: string, args: readonly PickleValue[], refuse: Refuse): PickleValue;
  /** The object outside of the pickle that an id stands for. Throws what `refuse` makes for anything else. */
  persistent(id: readonly PickleValue[], refuse: Refuse): PickleValue;
}

/** One pickle out of bytes that may hold more. */
export interface Unpickled {
  readonly value: PickleValue;
  /** Where the bytes after it begin. */
  readonly end: number;
}

// far above any checkpoint and far below what would hurt: a model of 100 tensors takes 3,000 opcodes and a depth of 20
const maxOpcodes = 1_000_000;
const maxStack = 100_000;
const maxMarks = 1_000;
const maxIntegerBytes = 32;

/**
 * Reads the pickle that begins at `begin`. Undefined when the bytes end before it does.
 * Throws bad-checkpoint, with the offset in the bytes, for anything that the rules or the limits do not allow.
 */
export function unpickle(
  bytes: Uint8Array<ArrayBuffer>,
  begin: number,
  where: string,
  rules: PickleRules,
): Unpickled | undefined {
  try {
    return new Machine(bytes, begin, where, rules).run();
  } catch (error) {
    if (error === outOfBytes) return undefined;
    throw error;
  }
}

/** Thrown and caught in this module. */
const outOfBytes = new Error('the bytes end before the pickle');

class Machine {
  private readonly bytes: Uint8Array<ArrayBuffer>;
  private readonly view: DataView;
  private readonly where: string;
  private readonly rules: PickleRules;
  private position: number;
  /** Where the opcode being executed stands. */
  private opcodeAt: number;
  private readonly stack: PickleValue[] = [];
  /** Heights of the stack at each MARK: nothing below the last one can be popped. */
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, PickleValue>();

  constructor(bytes: Uint8Array<ArrayBuffer>, begin: number, where: string, rules: PickleRules) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = begin;
    this.opcodeAt = begin;
    this.where = where;
    this.rules = rules;
  }

  run(): Unpickled {
    if (this.byte() !== opcodes.PROTO) throw this.otherProtocol('the pickle does not begin with its protocol');
    const protocol = this.byte();
    if (protocol !== 2) throw this.otherProtocol('the pickle has an unknown protocol', `${protocol}`);
    for (let count = 0; count < maxOpcodes; count++) {
      this.opcodeAt = this.position;
      const opcode = this.byte();
      if (opcode !== opcodes.STOP) this.execute(opcode);
      else {
        const value = this.pop();
        if (this.stack.length > 0 || this.marks.length > 0) throw this.refuse('the pickle leaves values behind');
        return { value, end: this.position };
      }
      if (this.stack.length > maxStack) throw this.refuse('the stack is too deep', undefined, `at most ${maxStack}`);
    }
    throw this.refuse('the pickle is too long', undefined, `at most ${maxOpcodes} opcodes`);
  }

  private execute(opcode: number): void {
    const value = this.made(opcode);
    if (value === undefined) this.change(opcode);
    else this.stack.push(value);
  }

  /** The value that an opcode puts on the stack; undefined for opcodes that put none there. */
  private made(opcode: number): PickleValue | undefined {
    switch (opcode) {
      case opcodes.NONE:
        return null;
      case opcodes.NEWTRUE:
        return true;
      case opcodes.NEWFALSE:
        return false;
      case opcodes.BININT:
        return this.view.getInt32(this.take(4), true);
      case opcodes.BININT1:
        return this.byte();
      case opcodes.BININT2:
        return this.view.getUint16(this.take(2), true);
      case opcodes.LONG1:
        return this.integer(this.byte());
      case opcodes.BINFLOAT:
        return this.view.getFloat64(this.take(8));
      case opcodes.BINUNICODE:
        return this.text(this.view.getUint32(this.take(4), true));
      case opcodes.SHORT_BINSTRING: // a string of Python 2
        return this.text(this.byte());
      case opcodes.EMPTY_LIST:
        return [];
      case opcodes.EMPTY_DICT:
        return new Map();
      case opcodes.EMPTY_TUPLE:
        return new PickleTuple([]);
      case opcodes.TUPLE:
        return new PickleTuple(this.popToMark());
      case opcodes.TUPLE1:
      case opcodes.TUPLE2:
      case opcodes.TUPLE3:
        return new PickleTuple(this.popSome(opcode - opcodes.TUPLE1 + 1));
      case opcodes.BINGET:
        return this.remembered(this.byte());
      case opcodes.LONG_BINGET:
        return this.remembered(this.view.getUint32(this.take(4), true));
      case opcodes.GLOBAL:
        return this.global();
      case opcodes.REDUCE:
        return this.reduce();
      case opcodes.BINPERSID:
        return this.persistent();
      default:
        return undefined;
    }
  }

  /** What an opcode does to the values that are there. */
  private change(opcode: number): void {
    switch (opcode) {
      case opcodes.MARK:
        if (this.marks.length === maxMarks) throw this.refuse('nested too deeply', undefined, `at most ${maxMarks}`);
        this.marks.push(this.stack.length);
        break;
      case opcodes.APPEND:
        this.append(this.popSome(1));
        break;
      case opcodes.APPENDS:
        this.append(this.popToMark());
        break;
      case opcodes.SETITEM:
        this.setItems(this.popSome(2));
        break;
      case opcodes.SETITEMS:
        this.setItems(this.popToMark());
        break;
      case opcodes.BINPUT:
        this.memo.set(this.byte(), this.top());
        break;
      case opcodes.LONG_BINPUT:
        this.memo.set(this.view.getUint32(this.take(4), true), this.top());
        break;
      case opcodes.BUILD:
        this.build();
        break;
      default:
        throw this.refuse('an opcode that no checkpoint needs', opcodeName(opcode));
    }
  }

  private append(items: readonly PickleValue[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw this.refuse('items are appended to what is no list', kindOf(list));
    for (const item of items) list.push(item);
  }

  private setItems(items: readonly PickleValue[]): void {
    const dict = this.top();
    if (!(dict instanceof Map)) throw this.refuse('items are set in what is no dict', kindOf(dict));
    if (items.length % 2 !== 0) throw this.refuse('a key without a value');
    for (let i = 0; i < items.length; i += 2) this.setItem(dict, items[i], items[i + 1]);
  }

  private setItem(dict: Map<PickleValue, PickleValue>, key: PickleValue, value: PickleValue): void {
    const isKey = key === null || typeof key !== 'object' || key instanceof PickleTuple;
    if (!isKey) throw this.refuse('a dict key of a kind that checkpoints do not have', kindOf(key));
    if (dict.has(key)) {
      throw this.refuse('a key is in a dict twice', JSON.stringify(String(key).slice(0, 200)));
    }
    dict.set(key, value);
  }

  private global(): PickleGlobal {
    const name = `${this.line()} ${this.line()}`;
    if (this.rules.globals.has(name)) return new PickleGlobal(name);
    throw new StamError('bad-checkpoint', {
      where: this.place(),
      problem: `the checkpoint needs ${printableName(name)}, which is not allowed`,
      hint: 'nothing of it was run; a file that holds a state_dict alone needs no such thing',
    });
  }

  private reduce(): PickleValue {
    const [callee, args] = this.popSome(2);
    if (!(callee instanceof PickleGlobal)) throw this.refuse('a call of what is no function', kindOf(callee));
    if (!(args instanceof PickleTuple)) throw this.refuse('a call without a tuple of arguments', kindOf(args));
    return this.rules.reduce(callee.name, args.items, this.refuse);
  }

  private persistent(): PickleValue {
    const id = this.pop();
    if (!(id instanceof PickleTuple)) throw this.refuse('a persistent id that is no tuple', kindOf(id));
    return this.rules.persistent(id.items, this.refuse);
  }

  /** Attributes of an OrderedDict (a state_dict has `_metadata`) mean nothing here. */
  private build(): void {
    const state = this.pop();
    const target = this.top();
    if (!(target instanceof OrderedDict)) throw this.refuse('attributes are given to what has none', kindOf(target));
    if (!(state instanceof Map)) throw this.refuse('attributes that are no dict', kindOf(state));
  }

  private remembered(index: number): PickleValue {
    const value = this.memo.get(index);
    if (value === undefined) throw this.refuse('a value is recalled that was never kept', `memo ${index}`);
    return value;
  }

  private top(): PickleValue {
    this.needs(1);
    return this.stack[this.stack.length - 1];
  }

  private pop(): PickleValue {
    return this.popSome(1)[0];
  }

  private popSome(count: number): PickleValue[] {
    this.needs(count);
    return this.stack.splice(this.stack.length - count);
  }

  private popToMark(): PickleValue[] {
    const height = this.marks.pop();
    if (height === undefined) throw this.refuse('there is no mark');
    return this.stack.splice(height);
  }

  private needs(count: number): void {
    const above = this.stack.length - (this.marks[this.marks.length - 1] ?? 0);
    if (above < count) throw this.refuse('the stack has too few values', `${above}`, `${count}`);
  }

  private otherProtocol(problem: string, got?: string): StamError {
    const start = this.bytes.subarray(this.opcodeAt);
    return otherProtocolError(this.place(), start, true) ?? this.refuse(problem, got, '2, which torch.save writes');
  }

  private byte(): number {
    return this.bytes[this.take(1)];
  }

  /** Steps over `count` bytes; gives where they begin. */
  private take(count: number): number {
    if (count > this.bytes.byteLength - this.position) throw outOfBytes;
    this.position += count;
    return this.position - count;
  }

  private line(): string {
    const end = this.bytes.indexOf(0x0a, this.position);
    if (end < 0) throw outOfBytes;
    const text = this.text(end - this.position);
    this.position++;
    return text;
  }

  private text(length: number): string {
    const begin = this.take(length);
    try {
      return utf8.decode(this.bytes.subarray(begin, begin + length));
    } catch {
      throw this.refuse('a string is not valid UTF-8');
    }
  }

  /** Two's complement, little-endian. A number where that is exact. */
  private integer(length: number): number | bigint {
    if (length > maxIntegerBytes) {
      throw this.refuse('an integer is too long', `${length} bytes`, `at most ${maxIntegerBytes}`);
    }
    const begin = this.take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[begin + i]);
    const signed = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
  }

  private place(): string {
    return `${this.where} (byte ${this.opcodeAt})`;
  }

  private readonly refuse: Refuse = (problem, got, expected) =>
    new StamError('bad-checkpoint', { where: this.place(), problem, got, expected });
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What a value is, in a message. */
export function kindOf(value: PickleValue): string {
  if (value === null) return 'None';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Map) return 'a dict';
  if (value instanceof PickleTuple) return `a tuple of ${value.items.length}`;
  if (value instanceof PickleGlobal) return `the name ${value.name}`;
  if (value instanceof PickleObject) return value.kind;
  return typeof value === 'string' ? 'a string' : `${value}`;
}

function printableName(name: string): string {
  return /^[\w. -]{1,200}$/.test(name) ? name : JSON.stringify(name.slice(0, 200));
}
