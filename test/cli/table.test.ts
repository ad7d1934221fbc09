import { expect, test } from 'vitest';
import { formatBytes, formatDuration, formatNumber, formatTable, printable } from '../../cli/table.ts';

test('a table has text on the left, numbers on the right and no blanks at line ends', () => {
  const columns = [
    { title: 'model' },
    { title: 'frames' },
    { title: 'size', align: 'right' as const },
    { title: 'note' },
  ];
  const rows = [
    ['stam_8', 8, '9 B', 'quick'],
    ['x', 1024, '12 kB', undefined],
    ['stam_16', undefined, undefined, ''],
  ];
  expect(formatTable(columns, rows).split('\n')).toEqual([
    'model    frames   size  note',
    '-------  ------  -----  -----',
    'stam_8        8    9 B  quick',
    'x         1,024  12 kB  -',
    'stam_16       -      -',
  ]);
});

test('a table without rows is its head', () => {
  expect(formatTable([{ title: 'a' }, { title: 'bc' }], [])).toBe('a  bc\n-  --');
});

test('a row of another length is refused', () => {
  expect(() => formatTable([{ title: 'a' }], [['x', 'y']])).toThrow('got 2 cells, expected 1');
});

test('characters that steer a terminal are spelled out', () => {
  expect(printable('a\x1b[2J\nb\u202e\u{e0001}é')).toBe('a\\u001b[2J\\u000ab\\u202e\\u{e0001}é');
  expect(formatTable([{ title: 'name' }], [['a\nb']]).split('\n')[2]).toBe('a\\u000ab');
});

test.each([
  [0, '0'],
  [1234567, '1,234,567'],
  [-5, '-5'],
  [0.123456, '0.123'],
  [12.3456, '12.3'],
  [999.96, '1,000'],
  [12345.6, '12,346'],
  [0.00001234, '1.23e-5'],
  [1e18, '1.00e+18'],
  [Number.NaN, 'NaN'],
  [Number.POSITIVE_INFINITY, 'Infinity'],
])('the number %d is %s', (value, text) => expect(formatNumber(value)).toBe(text));

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.00 kB'],
  [999_499, '999 kB'],
  [999_500, '1.00 MB'],
  [1_234_567, '1.23 MB'],
  [343_000_000, '343 MB'],
  [5e15, '5.00e+3 TB'],
])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test.each([
  [0, '0 s'],
  [0.1234, '0.123 ms'],
  [12.34, '12.3 ms'],
  [500, '500 ms'],
  [999.6, '1.00 s'],
  [4560, '4.56 s'],
  [59_960, '1 min 00 s'],
  [125_400, '2 min 05 s'],
  [3_599_900, '1 h 00 min'],
  [11_220_000, '3 h 07 min'],
])('%d ms are %s', (milliseconds, text) => expect(formatDuration(milliseconds)).toBe(text));
