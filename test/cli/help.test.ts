import { expect, test } from 'vitest';
import type { Command } from '../../cli/command.ts';
import { commandHelp, generalHelp } from '../../cli/help.ts';

const run = () => Promise.resolve();

const paint: Command = {
  name: 'paint',
  summary: 'paints a wall',
  positionals: [
    { placeholder: 'WALL', description: 'what to paint' },
    { placeholder: 'TOOL', description: 'what to paint with', repeated: true },
  ],
  options: {
    out: { type: 'string', placeholder: 'FILE', required: true, description: 'where to write' },
    colour: { type: 'choice', choices: ['red', 'green'], default: 'red', description: 'of the paint' },
    coats: { type: 'integer', default: 2, description: 'how many' },
    dry: { type: 'flag', description: 'paints nothing' },
    rooms: { type: 'choice', choices: ['attic', 'hall'], placeholder: 'ROOM', repeated: true, description: 'which' },
    note: { type: 'string', repeated: true, description: 'kept' },
    'a-name-that-is-far-too-long': { type: 'string', placeholder: 'VALUE', description: 'still readable' },
    long: { type: 'flag', description: 'word '.repeat(30).trim() },
  },
  run,
};

test('the help of a command shows usage, arguments and options in aligned columns', () => {
  expect(commandHelp(paint)).toBe(
    [
      'stam paint - paints a wall',
      '',
      'Usage: stam paint WALL TOOL... --out FILE [options]',
      '',
      'Arguments:',
      '  WALL     what to paint',
      '  TOOL...  what to paint with',
      '',
      'Options:',
      '  --out FILE                        where to write (required)',
      '  --colour red|green                of the paint (default: red)',
      '  --coats N                         how many (default: 2)',
      '  --dry                             paints nothing',
      '  --rooms ROOM,...                  which (one of attic, hall)',
      '  --note TEXT                       kept (may be repeated)',
      '  --a-name-that-is-far-too-long VALUE',
      '                                    still readable',
      `  --long                            ${'word '.repeat(13).trim()}`,
      `                                    ${'word '.repeat(13).trim()}`,
      `                                    ${'word '.repeat(4).trim()}`,
      '  --help                            prints this text',
    ].join('\n'),
  );
});

test('a command without arguments has no such section', () => {
  const text = commandHelp({ ...paint, positionals: [], options: {} });
  expect(text).toContain('Usage: stam paint [options]\n');
  expect(text).not.toContain('Arguments');
});

test('the general help lists all commands, aligned', () => {
  const text = generalHelp([paint, { ...paint, name: 'ink', summary: 'inks' }], '1.2.3');
  expect(text).toMatch(/^stam 1\.2\.3 - /);
  expect(text).toContain('Commands:\n  paint  paints a wall\n  ink    inks\n');
  expect(text).toMatch(/--help {5}prints/);
});
