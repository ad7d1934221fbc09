// What every command's tables must keep to; the types cannot say it.
import { describe, expect, test, vi } from 'vitest';
import { commands } from '../../cli/commands.ts';

// model/config.ts for as long as it does not exist: then it goes by the name it is imported by
vi.mock('../model/config.ts', () => ({ identify: vi.fn() }));

test('names are unique', () => {
  const names = commands.map(({ name }) => name);
  expect(names).toContain('inspect');
  expect(new Set(names).size).toBe(names.length);
});

describe.each(commands)('$name', ({ name, summary, positionals, options }) => {
  test('has a name to type and a summary of one line', () => {
    expect(name).toMatch(/^[a-z]+$/);
    expect(summary).toMatch(/^.{5,90}$/);
  });

  test('repeats no positional but the last, and can do without no other', () => {
    expect(positionals.slice(0, -1).filter(({ repeated, optional }) => repeated || optional)).toEqual([]);
  });

  test('has no option of its own called help', () => expect(Object.keys(options)).not.toContain('help'));

  test('has defaults that it would accept, and none where a value is required', () => {
    for (const [key, option] of Object.entries(options)) {
      if (option.type === 'flag' || option.default === undefined) continue;
      expect(option.required, key).toBeUndefined();
      if (option.type === 'choice') expect(option.choices, key).toContain(option.default);
      if (option.type === 'string' || option.type === 'choice') continue;
      expect(option.default, key).toBeGreaterThanOrEqual(option.minimum ?? Number.NEGATIVE_INFINITY);
      expect(option.default, key).toBeLessThanOrEqual(option.maximum ?? Number.POSITIVE_INFINITY);
      if (option.type === 'integer') expect(Number.isInteger(option.default), key).toBe(true);
    }
  });
});
