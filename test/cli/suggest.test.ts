import { expect, test } from 'vitest';
import { suggest } from '../../cli/suggest.ts';

const names = ['bench', 'inspect', 'info', 'infer', 'convert', 'run'];

test.each([
  ['bnech', 'bench'],
  ['benchh', 'bench'],
  ['inspct', 'inspect'],
  ['imfo', 'info'],
  ['rum', 'run'],
  ['xyz', undefined],
  ['', undefined],
])('%s: %s', (typed, meant) => {
  expect(suggest(typed, names)).toBe(meant);
});

test('the nearest wins, not the first', () => {
  expect(suggest('infr', ['info', 'infer'])).toBe('info'); // one letter away either: the first
  expect(suggest('infeer', ['info', 'infer'])).toBe('infer');
});
