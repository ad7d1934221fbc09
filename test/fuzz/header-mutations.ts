// Mutations of the JSON of a safetensors header, token by token.
import { boundaries, type Random, turnsOf } from './random.ts';

const literals = [
  ...['"F32"', '"F64"', '"F4"', '"I64"', '"X"', '"dtype"', '"shape"', '"data_offsets"', '"__metadata__"', '"a"', '""'],
  ...[
    '"\\ud800"',
    '"\\u0000"',
    'null',
    'true',
    '-0',
    '1.0',
    '1e3',
    '01',
    '{}',
    '[]',
    '[[[[',
    '{"',
    ',',
    ':',
    ' ',
    '\ufeff',
  ],
];

/** Changes, repeats, removes, moves or exchanges tokens, mostly once. */
export function mutateHeader(json: string, random: Random): string {
  const tokens = json.match(/"(?:[^"\\]|\\.)*"|-?[\d.eE+]+|[a-z]+|\s+|./gs) ?? [];
  for (let turns = turnsOf(random); turns > 0 && tokens.length > 0; turns--) {
    const at = random.below(tokens.length);
    switch (random.below(6)) {
      case 0:
        tokens.splice(at, 1 + random.below(4));
        break;
      case 1:
        tokens.splice(at, 0, ...tokens.slice(at, at + 1 + random.below(30)));
        break;
      case 2:
        tokens.splice(random.below(tokens.length), 0, ...tokens.splice(at, 1 + random.below(8)));
        break;
      case 3:
        tokens[at] = random.pick(literals);
        break;
      case 4: {
        const other = random.below(tokens.length);
        [tokens[at], tokens[other]] = [tokens[other], tokens[at]];
        break;
      }
      default: {
        const numbers = tokens.flatMap((token, i) => (/^\d/.test(token) ? [i] : []));
        if (numbers.length === 0) break;
        const place = random.pick(numbers);
        tokens[place] = String(random.chance(0.5) ? random.pick(boundaries) : random.below(40));
      }
    }
  }
  return tokens.join('');
}
