// Hostile and broken pickles, one test per rule. Nothing of them may be run, and each is refused with the rule's own message.
import { describe, expect, test } from 'vitest';
import { StamError } from '../../../engine/errors.ts';
import { OrderedDict, type PickleRules, PickleTuple, unpickle } from '../../../loaders/pytorch/pickle.ts';
import { opcodes } from '../../../loaders/pytorch/pickle-opcodes.ts';
import {
  type Bytes,
  call,
  dict,
  int,
  list,
  named,
  none,
  op,
  orderedDict,
  pickle,
  text,
  tuple,
  yes,
} from './torch-files.ts';

const rules: PickleRules = {
  globals: new Set(['m f', 'collections OrderedDict']),
  reduce(name, args, refuse) {
    if (name === 'collections OrderedDict') return new OrderedDict();
    if (args.length === 1) return args[0];
    throw refuse('f takes one argument', `${args.length}`, '1');
  },
  persistent(id, refuse) {
    if (id.length === 1) return id[0];
    throw refuse('a bad id');
  },
};

const read = (bytes: Bytes | Uint8Array) => unpickle(Uint8Array.from(bytes), 0, 'x', rules);
const value = (...body: Bytes[]) => read(pickle(...body))?.value;

function refusal(bytes: Bytes | Uint8Array): string {
  try {
    return read(bytes) ? 'the pickle was accepted' : 'the bytes ended';
  } catch (error) {
    if (!(error instanceof StamError)) return String(error);
    expect(error.code).toBe('bad-checkpoint');
    expect(error.message).toMatch(/^x \(byte \d+\): /);
    return error.message;
  }
}

const refusalOf = (...body: Bytes[]) => refusal(pickle(...body));

describe('values', () => {
  test.each<[string, Bytes, unknown]>([
    ['None', none, null],
    ['True', yes, true],
    ['False', [0x89], false],
    ['BININT, signed', int(-5), -5],
    ['the least BININT', [...op('J'), 0, 0, 0, 0x80], -(2 ** 31)],
    ['BININT1', [...op('K'), 255], 255],
    ['BININT2', [...op('M'), 1, 2], 513],
    ['LONG1 without bytes', [0x8a, 0], 0],
    ['LONG1, negative', [0x8a, 1, 0xff], -1],
    ['LONG1 up to 2^53 - 1', [0x8a, 7, 255, 255, 255, 255, 255, 255, 31], 2 ** 53 - 1],
    ['LONG1 beyond it', [0x8a, 7, 0, 0, 0, 0, 0, 0, 32], 2n ** 53n],
    ['BINFLOAT, big-endian', [...op('G'), 0x3f, 0xf8, 0, 0, 0, 0, 0, 0], 1.5],
    ['BINUNICODE', text('重み'), '重み'],
    ['SHORT_BINSTRING', [...op('U'), 2, 97, 98], 'ab'],
    ['an empty list', op(']'), []],
    ['a list', list(int(1), int(2)), [1, 2]],
    ['APPEND', [...op(']'), ...int(1), ...op('a')], [1]],
    ['an empty dict', op('}'), new Map()],
    ['SETITEM', [...op('}'), ...text('k'), ...int(1), ...op('s')], new Map([['k', 1]])],
    [
      'odd keys',
      dict(['__proto__', int(1)], ['constructor', int(2)]),
      new Map([
        ['__proto__', 1],
        ['constructor', 2],
      ]),
    ],
    ['an empty tuple', op(')'), new PickleTuple([])],
    ['a tuple', tuple(int(1), none), new PickleTuple([1, null])],
    ['TUPLE1', [...int(1), 0x85], new PickleTuple([1])],
    ['TUPLE2', [...int(1), ...int(2), 0x86], new PickleTuple([1, 2])],
    ['TUPLE3', [...int(1), ...int(2), ...int(3), 0x87], new PickleTuple([1, 2, 3])],
    ['memo', [...text('a'), ...op('q'), 7, ...op('h'), 7, 0x86], new PickleTuple(['a', 'a'])],
    [
      'a long memo',
      [...text('a'), ...op('r'), 255, 255, 255, 255, ...op('j'), 255, 255, 255, 255, 0x86],
      new PickleTuple(['a', 'a']),
    ],
    ['a call', call('m f', int(3)), 3],
    ['a persistent id', [...tuple(int(4)), ...op('Q')], 4],
    [
      'attributes of an OrderedDict, dropped',
      [...orderedDict(['k', none]), ...dict(['_metadata', none]), ...op('b')],
      new OrderedDict([['k', null]]),
    ],
  ])('%s', (_, body, expected) => {
    expect(value(body)).toStrictEqual(expected);
  });

  test('a list that contains itself', () => {
    const self = value(op(']'), op('q'), [0], op('h'), [0], op('a'));
    expect(Array.isArray(self) && self[0] === self).toBe(true);
  });

  test('the end is where the next bytes begin', () => {
    expect(read([...pickle(none), 1, 2])?.end).toBe(4);
  });
});

describe('names', () => {
  test.each([
    'os system',
    'posix system',
    'builtins eval',
    'torch load',
    'm g',
    'm  f',
    ' m f',
    '__proto__ constructor',
  ])('%s is named in the refusal', (name) => {
    expect(refusalOf(named(name))).toBe(
      `x (byte 2): the checkpoint needs ${name}, which is not allowed; nothing of it was run; a file that holds a state_dict alone needs no such thing`,
    );
  });

  test('a name that would steer a terminal is quoted, and cut', () => {
    expect(refusalOf(named('m \u001b[2J'))).toContain('the checkpoint needs "m \\u001b[2J", which');
    expect(refusalOf(named(`m ${'f'.repeat(10_000)}`)).length).toBeLessThan(500);
  });

  test('a name alone does nothing and calls nothing', () => {
    expect(value(named('m f'))).toEqual({ name: 'm f' });
  });

  test.each<[string, Bytes[], RegExp]>([
    ['a call of a string', [text('eval'), tuple(), op('R')], /byte 13\): a call of what is no function; got a string/],
    ['a call of the outcome of a call', [call('m f', text('eval')), tuple(), op('R')], /a call of what is no function/],
    [
      'a call without a tuple',
      [named('m f'), list(int(1)), op('R')],
      /a call without a tuple of arguments; got a list/,
    ],
    ['a call that the rules refuse', [call('m f')], /f takes one argument; got 0, expected 1/],
    ['a persistent id that is no tuple', [text('storage'), op('Q')], /a persistent id that is no tuple; got a string/],
    ['a persistent id that the rules refuse', [tuple(), op('Q')], /a bad id/],
    ['attributes of a dict', [op('}'), op('}'), op('b')], /attributes are given to what has none; got a dict/],
    [
      'attributes of a function',
      [named('m f'), op('}'), op('b')],
      /attributes are given to what has none; got the name m f/,
    ],
    [
      'attributes of a call',
      [call('m f', op(']')), op('}'), op('b')],
      /attributes are given to what has none; got a list/,
    ],
    ['attributes that are no dict', [orderedDict(), tuple(), op('b')], /attributes that are no dict; got a tuple of 0/],
  ])('%s', (_, body, message) => {
    expect(refusalOf(...body)).toMatch(message);
  });
});

describe('opcodes', () => {
  const allowed = [
    ...['MARK', 'EMPTY_TUPLE', 'STOP', 'BINFLOAT', 'BININT', 'BININT1', 'BININT2', 'NONE', 'BINPERSID', 'REDUCE'],
    ...['SHORT_BINSTRING', 'BINUNICODE', 'EMPTY_LIST', 'APPEND', 'BUILD', 'GLOBAL', 'APPENDS', 'BINGET', 'LONG_BINGET'],
    ...['BINPUT', 'LONG_BINPUT', 'SETITEM', 'TUPLE', 'SETITEMS', 'EMPTY_DICT', 'TUPLE1', 'TUPLE2', 'TUPLE3', 'NEWTRUE'],
    ...['NEWFALSE', 'LONG1'],
  ];
  test.each(Object.entries(opcodes).filter(([name]) => !allowed.includes(name)))(
    '%s is refused by name',
    (name, code) => {
      const hex = `0x${code.toString(16).padStart(2, '0')}`;
      expect(refusalOf([code], new Array<number>(16).fill(0))).toBe(
        `x (byte 2): an opcode that no checkpoint needs; got ${name} (${hex})`,
      );
    },
  );

  test('every other byte is refused, too', () => {
    const known = new Set<number>(Object.values(opcodes));
    for (let code = 0; code < 256; code++) {
      if (!known.has(code)) expect(refusalOf([code])).toMatch(/byte 2\): an opcode that no checkpoint needs; got 0x/);
    }
  });

  test.each<[string, Bytes, RegExp]>([
    ['no protocol', op('N'), /byte 0\): the pickle does not begin with its protocol/],
    ['protocol 6', [0x80, 6, ...op('.')], /byte 0\): the pickle has an unknown protocol; got 6, expected 2/],
  ])('%s', (_, bytes, message) => {
    expect(refusal(bytes)).toMatch(message);
  });
});

describe('the stack', () => {
  test.each<[string, Bytes[], RegExp]>([
    ['STOP on nothing', [], /byte 2\): the stack has too few values; got 0, expected 1/],
    ['values left behind', [none, none], /the pickle leaves values behind/],
    ['a mark left behind', [op('('), none], /the pickle leaves values behind/],
    ['TUPLE without a mark', [op('t')], /there is no mark/],
    ['TUPLE2 of one', [none, [0x86]], /too few values; got 1, expected 2/],
    ['TUPLE1 below a mark', [none, op('('), [0x85]], /too few values; got 0, expected 1/],
    ['APPEND to nothing', [none, op('a')], /too few values/],
    ['APPEND to a dict', [op('}'), none, op('a')], /items are appended to what is no list; got a dict/],
    [
      'APPENDS to a tuple',
      [tuple(), op('('), none, op('e')],
      /items are appended to what is no list; got a tuple of 0/,
    ],
    ['APPENDS to what a mark hides', [op(']'), op('('), op('('), op('e')], /too few values/],
    ['SETITEM in a list', [op(']'), none, none, op('s')], /items are set in what is no dict; got a list/],
    [
      'SETITEMS in a name',
      [named('m f'), op('('), none, none, op('u')],
      /items are set in what is no dict; got the name m f/,
    ],
    ['SETITEMS of an odd number', [op('}'), op('('), none, op('u')], /a key without a value/],
    ['BINPUT of nothing', [op('q'), [0]], /too few values/],
    ['BINGET of nothing', [op('h'), [3]], /a value is recalled that was never kept; got memo 3/],
    ['REDUCE of one', [named('m f'), op('R')], /too few values; got 1, expected 2/],
    ['BUILD of one', [op('}'), op('b')], /too few values/],
    ['BINPERSID of nothing', [op('Q')], /too few values/],
  ])('%s', (_, body, message) => {
    expect(refusalOf(...body)).toMatch(message);
  });
});

describe('dicts', () => {
  test.each<[string, Bytes[], RegExp]>([
    ['a key twice', [dict(['k', none], ['k', none])], /a key is in a dict twice; got "k"/],
    [
      'a key twice, in two steps',
      [op('}'), text('k'), none, op('s'), text('k'), none, op('s')],
      /a key is in a dict twice/,
    ],
    [
      'a list as a key',
      [op('}'), op(']'), none, op('s')],
      /a dict key of a kind that checkpoints do not have; got a list/,
    ],
    ['a dict as a key', [op('}'), op('}'), none, op('s')], /a dict key of a kind/],
    ['a name as a key', [op('}'), named('m f'), none, op('s')], /a dict key of a kind/],
  ])('%s', (_, body, message) => {
    expect(refusalOf(...body)).toMatch(message);
  });
});

describe('limits', () => {
  test('cut off anywhere, the pickle asks for more bytes', () => {
    const whole = pickle(dict(['k', call('m f', int(2 ** 40))], ['l', [...op('G'), 0, 0, 0, 0, 0, 0, 0, 0]]));
    expect(refusal(whole)).toBe('the pickle was accepted');
    for (let length = 0; length < whole.length; length++) {
      expect(refusal(whole.slice(0, length)), `${length} bytes`).toBe('the bytes ended');
    }
  });

  test('a string of 4 GiB takes no memory', () => {
    expect(refusalOf([...op('X'), 255, 255, 255, 255])).toBe('the bytes ended');
  });

  test('strings that are no UTF-8', () => {
    expect(refusalOf([...op('X'), 1, 0, 0, 0, 0xff])).toMatch(/a string is not valid UTF-8/);
    expect(refusalOf([...op('X'), 3, 0, 0, 0, 0xed, 0xa0, 0x80])).toMatch(/a string is not valid UTF-8/);
    expect(refusalOf([...op('U'), 1, 0xff])).toMatch(/a string is not valid UTF-8/);
    expect(refusalOf([...op('c'), 0xff, 10, 97, 10])).toMatch(/a string is not valid UTF-8/);
  });

  test('long integers', () => {
    expect(refusalOf([0x8a, 33], new Array<number>(33).fill(1))).toMatch(
      /an integer is too long; got 33 bytes, expected at most 32/,
    );
    expect(refusalOf([0x8a, 32], new Array<number>(32).fill(1))).toBe('the pickle was accepted');
  });

  test('marks within marks', () => {
    expect(refusalOf(new Array<number>(1001).fill(0x28))).toMatch(
      /byte 1002\): nested too deeply; expected at most 1000/,
    );
  });

  test('values on the stack', () => {
    expect(refusalOf(new Array<number>(100_001).fill(0x4e))).toMatch(/the stack is too deep; expected at most 100000/);
  });

  test('opcodes', () => {
    // None, and then BINPUT 0 again and again
    const bytes = new Uint8Array(3 + 2 * 1_000_000);
    for (let i = 3; i < bytes.length; i += 2) bytes[i] = 0x71;
    bytes.set([0x80, 2, 0x4e]);
    expect(refusal(bytes)).toMatch(/byte 1999999\): the pickle is too long; expected at most 1000000 opcodes/);
  });
});
