import { describe, expect, expectTypeOf, test } from 'vitest';
import { parseArguments } from '../../cli/arguments.ts';
import { type Command, defineCommand, type OptionValues, UsageError } from '../../cli/command.ts';

const paint = defineCommand({
  name: 'paint',
  summary: 'paints',
  positionals: [{ placeholder: 'WALL', description: 'what to paint' }],
  options: {
    colour: { type: 'choice', choices: ['red', 'green', 'ultramarine'], default: 'red', description: '' },
    coats: { type: 'integer', minimum: 1, maximum: 9, default: 2, description: '' },
    thickness: { type: 'number', minimum: 0, default: 0.875, description: '' },
    seed: { type: 'integer', description: '' },
    out: { type: 'string', placeholder: 'FILE', required: true, description: '' },
    'dry-run': { type: 'flag', description: '' },
    tools: { type: 'choice', choices: ['brush', 'roller'], repeated: true, default: 'brush', description: '' },
    sizes: { type: 'integer', repeated: true, description: '' },
    note: { type: 'string', repeated: true, description: '' },
  },
  async run({ values }) {
    // checked by tsc, not at run time
    expectTypeOf(values.colour).toEqualTypeOf<'red' | 'green' | 'ultramarine'>();
    expectTypeOf(values.coats).toEqualTypeOf<number>();
    expectTypeOf(values.seed).toEqualTypeOf<number | undefined>();
    expectTypeOf(values.out).toEqualTypeOf<string>();
    expectTypeOf(values['dry-run']).toEqualTypeOf<boolean>();
    expectTypeOf(values.tools).toEqualTypeOf<readonly ('brush' | 'roller')[]>();
    expectTypeOf(values.sizes).toEqualTypeOf<readonly number[]>();
  },
});

const merge: Command = {
  name: 'merge',
  summary: 'merges',
  positionals: [{ placeholder: 'FILE', description: 'a result file', repeated: true }],
  options: {},
  run: () => Promise.resolve(),
};

function valuesOf(...argv: string[]): OptionValues {
  const parsed = parseArguments(paint, ['wall', '--out', 'o', ...argv]);
  if (parsed.help) throw new Error('help was parsed, values were expected');
  return parsed.values;
}

function refusal(argv: readonly string[], command: Command = paint): string {
  try {
    parseArguments(command, argv);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  throw new Error(`accepted: ${argv.join(' ')}`);
}

test('an option left out has its default, false, an empty list or nothing', () => {
  expect(valuesOf()).toEqual({
    colour: 'red',
    coats: 2,
    thickness: 0.875,
    seed: undefined,
    out: 'o',
    'dry-run': false,
    tools: ['brush'],
    sizes: [],
    note: [],
  });
});

describe('both forms of every type', () => {
  test.each([
    ['colour', 'green', 'green'],
    ['coats', '9', 9],
    ['thickness', '1e-3', 0.001],
    ['thickness', '.5', 0.5],
    ['seed', '-3', -3],
    ['out', 'a b=c', 'a b=c'],
    ['out', '-', '-'],
    ['tools', 'roller,brush', ['roller', 'brush']],
    ['sizes', '3,-4', [3, -4]],
    ['note', 'a,b', ['a,b']],
  ])('--%s %s', (name, text, value) => {
    expect(valuesOf(`--${name}`, text)[name]).toEqual(value);
    expect(valuesOf(`--${name}=${text}`)[name]).toEqual(value);
  });
  test('a flag', () => expect(valuesOf('--dry-run')['dry-run']).toBe(true));
});

test('the last of several counts, unless the option may be repeated', () => {
  expect(valuesOf('--coats', '3', '--coats=4')['coats']).toBe(4);
  expect(valuesOf('--note', 'a', '--note=b')['note']).toEqual(['a', 'b']);
  expect(valuesOf('--sizes', '1', '--sizes=2,3')['sizes']).toEqual([1, 2, 3]);
});

test('a value that begins with a dash is taken after = only', () => {
  expect(valuesOf('--out=-x')['out']).toBe('-x');
  expect(refusal(['wall', '--out', '--coats', '3'])).toBe(
    "--out: value missing; got '--coats'; if that is the value, write --out=--coats",
  );
});

test.each([
  ['--coats', '2.5', "--coats: bad value; got '2.5', expected an integer from 1 to 9"],
  ['--coats', '0', "--coats: bad value; got '0', expected an integer from 1 to 9"],
  ['--coats', '10', "--coats: bad value; got '10', expected an integer from 1 to 9"],
  ['--coats', '0x3', "--coats: bad value; got '0x3', expected an integer from 1 to 9"],
  ['--seed', '12345678901234567890', "--seed: bad value; got '12345678901234567890', expected an integer"],
  ['--thickness', '-1', "--thickness: bad value; got '-1', expected a number of at least 0"],
  ['--thickness', 'Infinity', "--thickness: bad value; got 'Infinity', expected a number of at least 0"],
  ['--colour', 'blue', "--colour: bad value; got 'blue', expected one of red, green, ultramarine"],
  ['--sizes', '1,,2', "--sizes: bad value; got '', expected an integer"],
])('%s %s is refused', (name, text, message) => {
  expect(refusal(['wall', '--out', 'o', name, text])).toBe(message);
});

test('a mistyped choice or option gets the nearest name', () => {
  expect(refusal(['wall', '--out=o', '--colour=gren'])).toMatch(/; did you mean 'green'\?$/);
  expect(refusal(['wall', '--out=o', '--caots', '3'])).toBe("unknown option '--caots'; did you mean '--coats'?");
  expect(refusal(['wall', '--out=o', '--xyzzy'])).toBe(
    "unknown option '--xyzzy'; 'stam paint --help' lists the options",
  );
  expect(refusal(['wall', '--out=o', '--constructor'])).toMatch(/^unknown option '--constructor'/);
  expect(refusal(['wall', '--out=o', '-x'])).toMatch(/^unknown option '-x'/);
});

test('values that are missing or superfluous are refused', () => {
  expect(refusal(['wall'])).toBe('--out: missing; expected FILE');
  expect(refusal(['wall', '--out'])).toBe('--out: value missing; expected FILE');
  expect(refusal(['wall', '--out='])).toBe('--out: value missing; expected FILE');
  expect(refusal(['wall', '--out=o', '--dry-run=yes'])).toBe("--dry-run: takes no value; got 'yes'");
});

test('positionals are counted', () => {
  expect(refusal(['--out=o'])).toBe('WALL: missing; expected what to paint');
  expect(refusal(['', '--out=o'])).toBe('WALL: missing; expected what to paint');
  expect(refusal(['a', 'b', '--out=o'])).toBe("too many arguments; got 'b', expected WALL");
  expect(refusal([], merge)).toBe('FILE: missing; expected a result file');
  expect(parseArguments(merge, ['a', 'b', '--', '--c'])).toEqual({
    help: false,
    values: {},
    positionals: ['a', 'b', '--c'],
  });
});

test('a last positional that is optional may be left out, but not be empty', () => {
  const optional: Command = { ...merge, positionals: [{ ...merge.positionals[0], optional: true }] };
  expect(parseArguments(optional, [])).toMatchObject({ positionals: [] });
  expect(parseArguments(optional, ['a', 'b'])).toMatchObject({ positionals: ['a', 'b'] });
  expect(refusal([''], optional)).toBe('FILE: missing; expected a result file');
});

test('help wins over everything that is wrong', () => {
  expect(parseArguments(paint, ['--xyzzy', '--help'])).toEqual({ help: true });
  expect(parseArguments(paint, ['-h'])).toEqual({ help: true });
});
