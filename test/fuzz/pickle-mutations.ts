// Mutations of pickles, opcode by opcode: most of what comes of them is still a pickle.
import { opcodes } from '../../loaders/pytorch/pickle-opcodes.ts';
import { boundaries, putInteger, type Random, turnsOf } from './random.ts';

/** Bytes after an opcode, or how they say how many they are. */
type Operand = number | 'lines' | 'text' | 'short';
const operands: ReadonlyMap<number, Operand> = new Map<number, Operand>([
  ...[opcodes.PROTO, opcodes.BININT1, opcodes.BINPUT, opcodes.BINGET].map((code) => [code, 1] as const),
  [opcodes.BININT2, 2],
  ...[opcodes.BININT, opcodes.LONG_BINPUT, opcodes.LONG_BINGET].map((code) => [code, 4] as const),
  [opcodes.BINFLOAT, 8],
  [opcodes.GLOBAL, 'lines'],
  [opcodes.BINUNICODE, 'text'],
  [opcodes.LONG1, 'short'],
  [opcodes.SHORT_BINSTRING, 'short'],
]);

/** The opcodes of the pickles that begin at `begin`, with their operands, up to `count` times STOP. */
export function tokens(bytes: Uint8Array, begin: number, count: number): Uint8Array<ArrayBuffer>[] {
  const found: Uint8Array<ArrayBuffer>[] = [];
  for (let at = begin, left = count; left > 0 && at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + operandLength(bytes, at));
    found.push(Uint8Array.from(bytes.subarray(at, end)));
    if (bytes[at] === opcodes.STOP) left--;
    at = end;
  }
  return found;
}

function operandLength(bytes: Uint8Array, at: number): number {
  const kind = operands.get(bytes[at]) ?? 0;
  const line = (from: number) => {
    const end = bytes.indexOf(0x0a, from);
    return end < 0 ? bytes.length : end + 1;
  };
  switch (kind) {
    case 'lines':
      return line(line(at + 1)) - at - 1;
    case 'text':
      return 4 + bytes[at + 1] + 256 * bytes[at + 2];
    case 'short':
      return 1 + bytes[at + 1];
    default:
      return kind;
  }
}

const names = [
  ...[
    'posix\nsystem\n',
    'builtins\neval\n',
    'collections\nOrderedDict\n',
    'torch\nFloatStorage\n',
    'torch\nHalfStorage\n',
  ],
  ...['torch\nSize\n', 'torch\nfloat64\n', 'torch._utils\n_rebuild_tensor_v2\n', 'torch._utils\n_rebuild_tensor_v3\n'],
  ...[
    'torch._utils\n_rebuild_parameter\n',
    'torch._utils\n_rebuild_qtensor\n',
    'torch\nQInt8Storage\n',
    '__builtin__\nset\n',
  ],
];
const strings = [
  '',
  'storage',
  '0',
  '1',
  'model',
  'state_dict',
  'module.a',
  '__proto__',
  '../x',
  '\u0000',
  'x'.repeat(300),
];
const codes: readonly number[] = Object.values(opcodes);
const bare = codes.filter((code) => !operands.has(code));

const utf8 = (text: string) => [...new TextEncoder().encode(text)];

/** Another operand for the opcode of a token. */
function withOperand(token: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  const [code] = token;
  switch (operands.get(code)) {
    case undefined:
      return Uint8Array.of(random.pick(random.chance(0.8) ? bare : codes));
    case 'lines':
      return Uint8Array.of(code, ...utf8(random.pick(names)));
    case 'text': {
      const text = utf8(random.pick(strings));
      const result = Uint8Array.of(code, 0, 0, 0, 0, ...text);
      putInteger(result, 1, random.chance(0.95) ? BigInt(text.length) : random.pick(boundaries), 4);
      return result;
    }
    case 'short': {
      const result = Uint8Array.from({ length: 1 + 1 + random.below(12) }, () => random.below(256));
      result.set([code, result.length - 2]);
      return result;
    }
    default: {
      const result = token.slice();
      if (random.chance(0.5)) putInteger(result, 1, random.pick(boundaries), token.length - 1);
      else result[1 + random.below(token.length - 1)] += random.below(5) - 2;
      return result;
    }
  }
}

/** An integer in place of another, of whatever width it needs: sizes, strides, offsets, numbers of elements. */
function someInteger(random: Random): Uint8Array<ArrayBuffer> {
  const result = Uint8Array.of(opcodes.LONG1, 8, 0, 0, 0, 0, 0, 0, 0, 0);
  putInteger(result, 2, random.pick(boundaries), 8);
  return random.chance(0.6) ? Uint8Array.of(opcodes.BININT1, random.below(8)) : result;
}

const integers: readonly number[] = [opcodes.BININT, opcodes.BININT1, opcodes.BININT2, opcodes.LONG1];

/** Changes, repeats, removes, moves or replaces opcodes, mostly once. */
export function mutateTokens(pickle: readonly Uint8Array<ArrayBuffer>[], random: Random): Uint8Array<ArrayBuffer>[] {
  const result = [...pickle];
  for (let turns = turnsOf(random); turns > 0 && result.length > 0; turns--) {
    const at = random.below(result.length);
    switch (random.below(12)) {
      case 0:
        result.splice(at, 1 + random.below(3));
        break;
      case 1:
        result.splice(at, 0, ...result.slice(at, at + 1 + random.below(12)));
        break;
      case 2:
        result.splice(random.below(result.length), 0, ...result.splice(at, 1 + random.below(4)));
        break;
      case 3:
        result.splice(at, 0, withOperand(random.pick(pickle), random));
        break;
      case 4:
      case 5:
        result[at] = withOperand(result[at], random);
        break;
      case 6:
      case 7: {
        // a value in place of another one keeps the pickle whole
        const [from, to] = [random.pick(result), random.pick(result)];
        if (from[0] === to[0]) result[result.indexOf(to)] = from;
        break;
      }
      default: {
        // integers decide where tensors lie
        const places = result.flatMap(([code], i) => (integers.includes(code) ? [i] : []));
        if (places.length > 0) result[random.pick(places)] = someInteger(random);
      }
    }
  }
  return result;
}
