// --help, written by the same tables that parse the arguments.
import type { Command, Option, Positional } from './command.ts';

/** Columns of a line of help: it should fit a terminal that was made a little wider than the oldest ones. */
const lineWidth = 100;

/** What `stam --help` prints. */
export function generalHelp(commands: readonly Command[], version: string): string {
  return [
    `stam ${version} - STAM video action recognition on WebGPU`,
    '',
    'Usage: stam COMMAND [options]',
    '',
    'Commands:',
    ...definitions(commands.map(({ name, summary }) => [name, summary])),
    '',
    'Options:',
    ...definitions([
      ['--help', "prints this text, or a command's with 'stam COMMAND --help'"],
      ['--version', 'prints the version'],
    ]),
  ].join('\n');
}

/** What `stam COMMAND --help` prints. */
export function commandHelp({ name, summary, positionals, options }: Command): string {
  const entries = Object.entries(options);
  const required = entries.filter(([, option]) => option.type !== 'flag' && option.required);
  const words = [
    'stam',
    name,
    ...positionals.map(positionalForm),
    ...required.map(([key, option]) => form(key, option)),
  ];
  const argumentLines = definitions(positionals.map((entry) => [positionalForm(entry), entry.description]));
  return [
    `stam ${name} - ${summary}`,
    '',
    `Usage: ${[...words, '[options]'].join(' ')}`,
    ...(argumentLines.length > 0 ? ['', 'Arguments:', ...argumentLines] : []),
    '',
    'Options:',
    ...definitions([
      ...entries.map(([key, option]): [string, string] => [form(key, option), describe(option)]),
      ['--help', 'prints this text'],
    ]),
  ].join('\n');
}

function positionalForm({ placeholder, repeated, optional }: Positional): string {
  const term = repeated ? `${placeholder}...` : placeholder;
  return optional ? `[${term}]` : term;
}

function form(name: string, option: Option): string {
  if (option.type === 'flag') return `--${name}`;
  const isChoice = option.type === 'choice';
  const value = option.placeholder ?? (isChoice ? option.choices.join('|') : option.type === 'string' ? 'TEXT' : 'N');
  return `--${name} ${value}${option.repeated && option.type !== 'string' ? ',...' : ''}`;
}

function describe(option: Option): string {
  if (option.type === 'flag') return option.description;
  const notes = [
    option.required ? 'required' : '',
    option.default === undefined ? '' : `default: ${option.default}`,
    option.repeated && option.type === 'string' ? 'may be repeated' : '',
    // a placeholder hides the choices, and they are what the reader came for
    option.type === 'choice' && option.placeholder !== undefined ? `one of ${option.choices.join(', ')}` : '',
  ].filter(Boolean);
  return notes.length > 0 ? `${option.description} (${notes.join('; ')})` : option.description;
}

/** Terms and their texts in two aligned columns. A term too wide for the first has its text on the next line. */
function definitions(pairs: readonly (readonly [term: string, text: string])[]): string[] {
  const width = Math.min(32, Math.max(0, ...pairs.map(([term]) => term.length)));
  const indent = ' '.repeat(width + 4);
  return pairs.flatMap(([term, text]) => {
    const lines = wrap(text, lineWidth - indent.length).map((line) => `${indent}${line}`);
    if (term.length > width) return [`  ${term}`, ...lines];
    return [`  ${term.padEnd(width)}  ${lines[0].slice(indent.length)}`, ...lines.slice(1)];
  });
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
