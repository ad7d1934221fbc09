// Hostile and broken safetensors files, one test per rule of the format, with literal bytes. Each expectation names the
// rule's own message, so that no file is refused for another reason than the one it was made for.
import { describe, expect, test } from 'vitest';
import { StamError } from '../../engine/errors.ts';
import { openSafetensors, type SafetensorsOptions } from '../../loaders/safetensors.ts';
import { bufferSource, rangedSource } from '../../loaders/source.ts';

const ascii = (text: string) => [...new TextEncoder().encode(text)];
const length = (value: bigint) => [...new Uint8Array(BigUint64Array.of(value).buffer)];
const withHeader = (header: readonly number[], dataBytes: number) => [
  ...length(BigInt(header.length)),
  ...header,
  ...new Array<number>(dataBytes).fill(0),
];

async function refusal(bytes: readonly number[], options?: SafetensorsOptions): Promise<string> {
  const error = await openSafetensors(bufferSource(Uint8Array.from(bytes), 'x.safetensors'), options).then(
    () => 'the file was accepted',
    (reason: unknown) => reason,
  );
  if (!(error instanceof StamError)) return String(error);
  expect(error.code).toBe('bad-checkpoint');
  expect(error.message).toMatch(/^x\.safetensors: /);
  return error.message;
}

/** The refusal of a header with that many bytes of data behind it. */
const refusalOf = (header: string, dataBytes = 0) => refusal(withHeader(ascii(header), dataBytes));

const f32 = (shape: string, begin: number | string, end: number | string) =>
  `{"dtype":"F32","shape":${shape},"data_offsets":[${begin},${end}]}`;

describe('the length before the header', () => {
  test.each([[[]], [[1]], [[2, 0, 0, 0, 0, 0, 0]]])('a file of less than 8 bytes: %j', async (bytes) => {
    expect(await refusal(bytes)).toBe(
      `x.safetensors: header: the file is too short to be safetensors; got ${bytes.length} bytes, expected at least 8`,
    );
  });

  test('above the limit, before the file is even looked at', async () => {
    expect(await refusal(length(16n * 1024n ** 2n + 1n))).toBe(
      'x.safetensors: header: the header is too long; got 16777217 bytes, expected at most 16777216; raise maxHeaderBytes to read it',
    );
  });

  test('above the limit of the format', async () => {
    const message = await refusal(length(100_000_001n), { maxHeaderBytes: 100_000_000 });
    expect(message).toMatch(/too long; got 100000001 bytes, expected at most 100000000; this may be no safetensors/);
  });

  test('that no JavaScript number can hold', async () => {
    expect(await refusal(length(2n ** 64n - 1n))).toMatch(/too long; got 18446744073709551615 bytes/);
  });

  test('beyond the end of the file', async () => {
    expect(await refusal([...length(3n), ...ascii('{}')])).toMatch(
      /does not fit into the file; got a header of 3 bytes in a file of 10, expected at most 2/,
    );
  });

  test('the limit is an option, inclusive', async () => {
    const bytes = withHeader(ascii('{}  '), 0);
    expect(await refusal(bytes, { maxHeaderBytes: 3 })).toMatch(/too long; got 4 bytes, expected at most 3/);
    expect(await refusal(bytes, { maxHeaderBytes: 4 })).toBe('the file was accepted');
  });

  test.each([0, -1, 1.5, Number.NaN, 100_000_001])('the limit %s is no limit', async (maxHeaderBytes) => {
    const opening = openSafetensors(bufferSource(new Uint8Array(8)), { maxHeaderBytes });
    await expect(opening).rejects.toMatchObject({ name: 'StamError', code: 'bad-input' });
  });
});

describe('UTF-8', () => {
  test.each([
    ['a byte that begins nothing', [0xff]],
    ['an overlong encoding', [0xc0, 0xaf]],
    ['an encoded surrogate', [0xed, 0xa0, 0x80]],
    ['a sequence cut short', [0xe2, 0x82]],
    ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
  ])('%s', async (_, bytes) => {
    const header = [...ascii('{"__metadata__":{"a":"'), ...bytes, ...ascii('"}}')];
    expect(await refusal(withHeader(header, 0))).toBe('x.safetensors: header: not valid UTF-8');
  });

  test('a byte order mark', async () => {
    expect(await refusal(withHeader([0xef, 0xbb, 0xbf, ...ascii('{}')], 0))).toMatch(/begins with a byte order mark/);
  });
});

describe('JSON', () => {
  test.each([
    ['nothing', '', /byte 8 of the file\); got the end of the header, expected \{/],
    ['only whitespace', '   ', /byte 11 of the file\); got the end of the header, expected \{/],
    ['not JSON', 'hello', /got "h", expected \{ at the start of the header/],
    ['an array', '[]', /got "\[", expected \{ at the start of the header/],
    ['null', 'null', /got "n", expected \{ at the start of the header/],
    ['a string', '"{}"', /expected \{ at the start of the header/],
    ['an end too early', '{"a"', /got the end of the header, expected :/],
    ['no closing brace', '{"__metadata__":{}', /got the end of the header, expected , or }/],
    ['a trailing comma', '{"__metadata__":{},}', /got "}", expected a key in quotes/],
    ['a leading comma', '{,"__metadata__":{}}', /got ",", expected a key in quotes/],
    ['no comma', '{"__metadata__":{}"b":{}}', /expected , or }/],
    ['a key without quotes', '{a:{}}', /got "a", expected a key in quotes/],
    ['single quotes', "{'a':{}}", /got "'", expected a key in quotes/],
    ['a comment', '{/**/}', /got "\/", expected a key in quotes/],
    ['two objects', '{}{}', /characters after the header object \(byte 10 of the file\); got "{"/],
    ['padding with NUL', '{}\0\0', /characters after the header object .* got "\\u0000"/],
    ['a no-break space', '{\u00a0}', /got "\u00a0", expected a key in quotes/],
    ['a string without end', '{"abc', /a string does not end/],
    ['a string that ends in an escape', '{"abc\\"', /a string does not end/],
    ['a raw control character', '{"a\nb":1}', /a bad escape or a control character in a string/],
    ['an unknown escape', '{"\\x41":1}', /a bad escape/],
    ['a short escape', '{"\\u12":1}', /a bad escape/],
    ['a lone high surrogate', '{"\\ud800":1}', /a lone surrogate in a string/],
    ['a lone low surrogate', '{"\\udc00":1}', /a lone surrogate in a string/],
    ['surrogates the wrong way round', '{"\\udd1e\\ud834":1}', /a lone surrogate in a string/],
  ])('%s', async (_, header, message) => {
    expect(await refusalOf(header)).toMatch(message);
  });

  test('positions count bytes, not characters', async () => {
    expect(await refusalOf('{"重み":?')).toMatch(/^x\.safetensors: "重み": .*\(byte 18 of the file\); got "\?"/);
  });
});

describe('the object of a tensor', () => {
  const wrap = (info: string) => `{"a":${info}}`;
  test.each([
    ['null', 'null', /got "n", expected \{/],
    ['a number', '1', /got "1", expected \{/],
    ['the array form', '["F32",[1],[0,4]]', /got "\[", expected \{ at the start of the tensor's object/],
    ['no dtype', '{"shape":[1],"data_offsets":[0,4]}', /^x\.safetensors: a \(\[1\]\): dtype is missing/],
    ['no shape', '{"dtype":"F32","data_offsets":[0,4]}', /^x\.safetensors: a \(F32\): shape is missing/],
    ['no data_offsets', '{"dtype":"F32","shape":[1]}', /^x\.safetensors: a \(F32 \[1\]\): data_offsets is missing/],
    ['dtype twice', '{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}', /dtype is there twice/],
    ['shape twice', '{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}', /shape is there twice/],
    [
      'data_offsets twice',
      '{"dtype":"F32","shape":[],"data_offsets":[0,4],"data_offsets":[0,4]}',
      /data_offsets is there twice/,
    ],
    [
      'a field twice by way of an escape',
      '{"dtype":"F32","\\u0064type":"U8","shape":[1],"data_offsets":[0,4]}',
      /dtype is there twice/,
    ],
    ['unknown dtype', '{"dtype":"F31","shape":[1],"data_offsets":[0,4]}', /unknown dtype .*got "F31", expected one of/],
    ['a dtype in small letters', '{"dtype":"f32","shape":[1],"data_offsets":[0,4]}', /unknown dtype .*got "f32"/],
    ['a dtype that is no string', '{"dtype":32,"shape":[1],"data_offsets":[0,4]}', /got "3", expected a dtype/],
    ['a shape that is no array', '{"dtype":"F32","shape":1,"data_offsets":[0,4]}', /got "1", expected \[ at the start/],
    ['a shape of null', '{"dtype":"F32","shape":null,"data_offsets":[0,4]}', /got "n", expected \[ at the start/],
    ['a trailing comma in shape', '{"dtype":"F32","shape":[1,],"data_offsets":[0,4]}', /bad number in shape.*got "\]"/],
    ['one offset', '{"dtype":"F32","shape":[1],"data_offsets":[0]}', /wrong length .*got 1 numbers, expected 2/],
    ['three offsets', '{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}', /wrong length .*got 3 numbers, expected 2/],
    ['an unknown field that is no JSON', '{"x":01}', /got "1", expected , or }/],
    ['an unknown field without a value', '{"x":}', /got "}", expected a value/],
    ['an unknown field that is nothing known', '{"x":NaN}', /got "N", expected a value/],
    ['an unknown number that ends in a dot', '{"x":1.}', /got ".", expected , or }/],
    ['an unknown field with a lone surrogate', '{"x":["\\ud800"]}', /a lone surrogate/],
  ])('%s', async (_, info, message) => {
    const text = await refusalOf(wrap(info), 4);
    expect(text).toMatch(message);
    expect(text).toMatch(/^x\.safetensors: a/);
  });

  test('nested up to the limit, and deeper', async () => {
    const nested = (levels: number) =>
      wrap(`{"x":${'['.repeat(levels)}${']'.repeat(levels)},"dtype":"U8","shape":[],"data_offsets":[0,1]}`);
    expect(await refusalOf(nested(30), 1)).toBe('the file was accepted');
    expect(await refusalOf(nested(31), 1)).toMatch(/nested too deeply .*expected at most 32 levels/);
    expect(await refusalOf(nested(1_000_000), 1)).toMatch(/nested too deeply/);
    expect(await refusalOf(wrap(`{"x":${'{"x":'.repeat(100)}`))).toMatch(/nested too deeply/);
  });

  describe.each(['shape', 'data_offsets'])('a number in %s', (field) => {
    test.each(['1.0', '1e0', '-0', '-1', '01', '+1', '1.', '.5', '0x1', '1_0', 'NaN', 'null', 'true'])(
      'that is %s',
      async (number) => {
        const info = field === 'shape' ? f32(`[${number}]`, 0, 4) : f32('[1]', number, 4);
        expect(await refusalOf(wrap(info), 4)).toContain(`bad number in ${field}`);
        expect(await refusalOf(wrap(info), 4)).toContain(`got ${/^\w|^[-+.]/.test(number) ? number : ''}`);
      },
    );

    test.each(['"1"', '[1]', '{}'])('that is %s', async (value) => {
      const info = field === 'shape' ? f32(`[${value}]`, 0, 4) : f32('[1]', value, 4);
      expect(await refusalOf(wrap(info), 4)).toContain(`bad number in ${field}`);
    });

    test.each([
      '9007199254740992',
      '9007199254740993',
      '18446744073709551615',
      '18446744073709551616',
      '9'.repeat(400),
    ])('above 2^53 - 1: %s', async (number) => {
      const info = field === 'shape' ? f32(`[${number}]`, 0, 4) : f32('[1]', 0, number);
      expect(await refusalOf(wrap(info), 4)).toContain(`bad number in ${field}`);
    });
  });
});

describe('names', () => {
  test('twice the same, although all else is equal', async () => {
    const message = await refusalOf(`{"a":${f32('[1]', 0, 4)},"a":${f32('[1]', 0, 4)}}`, 4);
    expect(message).toMatch(/^x\.safetensors: a: two tensors have this name/);
  });

  test('twice the same by way of an escape', async () => {
    expect(await refusalOf(`{"a":${f32('[0]', 0, 0)},"\\u0061":${f32('[0]', 0, 0)}}`)).toMatch(/two tensors have/);
  });

  test('__proto__ twice', async () => {
    const message = await refusalOf(`{"__proto__":${f32('[0]', 0, 0)},"__proto__":${f32('[0]', 0, 0)}}`);
    expect(message).toMatch(/__proto__: two tensors have this name/);
  });

  test('are quoted, escaped and cut in messages', async () => {
    const message = await refusalOf(`{"\\u001b[2J${'x'.repeat(5000)}":null}`);
    expect(message).toContain('"\\u001b[2Jxxx');
    expect(message.length).toBeLessThan(400);
    expect(await refusalOf('{"\u009b2J\u202e重み":null}')).toMatch(/^x\.safetensors: "\\u\{9b\}2J\\u\{202e\}重み": /);
  });
});

describe('__metadata__', () => {
  test.each([
    ['there twice', '{"__metadata__":{},"__metadata__":{}}', /__metadata__ is there twice/],
    ['there twice, as null', '{"__metadata__":null,"__metadata__":null}', /__metadata__ is there twice/],
    ['an array', '{"__metadata__":[]}', /got "\[", expected \{ at the start of __metadata__/],
    ['a string', '{"__metadata__":"pt"}', /expected \{ at the start of __metadata__/],
    ['with a number', '{"__metadata__":{"a":1}}', /got "1", expected a string in __metadata__/],
    ['with null', '{"__metadata__":{"a":null}}', /got "n", expected a string in __metadata__/],
    ['with an object', '{"__metadata__":{"a":{}}}', /got "{", expected a string in __metadata__/],
    ['like a tensor', `{"__metadata__":${f32('[0]', 0, 0)}}`, /got "\[", expected a string in __metadata__/],
    ['nullish', '{"__metadata__":nullx}', /got "x", expected , or }/],
  ])('%s', async (_, header, message) => {
    expect(await refusalOf(header)).toMatch(message);
  });
});

describe('where the data lies', () => {
  test.each([
    ['a hole at the start', `{"a":${f32('[1]', 4, 8)}}`, 8, /leave a hole; got \[4, 8\], expected .*begins at 0/],
    [
      'a hole in the middle',
      `{"a":${f32('[1]', 0, 4)},"b":${f32('[1]', 8, 12)}}`,
      12,
      /b \(F32 \[1\]\): data_offsets leave a hole; got \[8, 12\], expected a tensor that begins at 4/,
    ],
    ['the same place twice', `{"a":${f32('[1]', 0, 4)},"b":${f32('[1]', 0, 4)}}`, 4, /b .*overlap.*begins at 4/],
    ['an overlap', `{"a":${f32('[2]', 0, 8)},"b":${f32('[1]', 4, 8)}}`, 8, /overlap another tensor; got \[4, 8\]/],
    ['one inside another', `{"a":${f32('[3]', 0, 12)},"b":${f32('[1]', 4, 8)}}`, 12, /b .*overlap another tensor/],
    ['an end before the beginning', `{"a":${f32('[1]', 0, 4)},"b":${f32('[0]', 4, 3)}}`, 4, /end before they begin/],
    ['an empty tensor beyond the end', `{"a":${f32('[0]', 4, 4)}}`, 0, /leave a hole/],
    [
      'too few bytes for the shape',
      `{"head.weight":${f32('[400,768]', 0, 4)}}`,
      4,
      /^x\.safetensors: head\.weight \(F32 \[400, 768\]\): data_offsets do not fit dtype and shape; got 4 bytes, expected 1228800 bytes$/,
    ],
    ['too many bytes for the shape', `{"a":${f32('[1]', 0, 8)}}`, 8, /got 8 bytes, expected 4 bytes/],
    ['bytes for an empty shape', `{"a":${f32('[0]', 0, 4)}}`, 4, /got 4 bytes, expected 0 bytes/],
    ['a product beyond 2^64', `{"a":${f32('[4294967296,4294967296]', 0, 4)}}`, 4, /the shape is too large/],
    ['the same with a zero at the end', `{"a":${f32('[4294967296,4294967296,0]', 0, 0)}}`, 0, /the shape is too large/],
    ['bits beyond 2^64', `{"a":${f32('[1152921504606846,1024]', 0, 4)}}`, 4, /the shape is too large/],
    [
      'half a byte',
      '{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}',
      2,
      /a \(F4 \[3\]\): the elements do not fill whole bytes; got 12 bits, expected a multiple of 8/,
    ],
    ['three quarters', '{"a":{"dtype":"F6_E3M2","shape":[1],"data_offsets":[0,1]}}', 1, /fill whole bytes; got 6 bits/],
    ['four-bit data of a wrong size', '{"a":{"dtype":"F4","shape":[4],"data_offsets":[0,1]}}', 1, /expected 2 bytes/],
    ['a truncated file', `{"a":${f32('[2]', 0, 8)}}`, 7, /the file is truncated; got 7 bytes after.*expected 8/],
    ['a byte too many', `{"a":${f32('[2]', 0, 8)}}`, 9, /bytes that belong to no tensor follow.*got 9 bytes/],
    ['data without tensors', '{}', 1, /bytes that belong to no tensor follow the data; got 1 bytes/],
  ])('%s', async (_, header, dataBytes, message) => {
    expect(await refusalOf(header, dataBytes)).toMatch(message);
  });
});

describe('a header that breaks several rules is refused for the one that the reference implementation checks first', () => {
  const tensorOf = (dtype: string, shape: string, begin: number, end: number) =>
    `{"a":{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}}`;
  const huge = '[4294967296,4294967296]';
  test.each([
    ['JSON before where the data lies', `{"a":${f32('[1]', 4, 8)},}`, 0, /expected a key in quotes/],
    ['a hole before an end before the beginning', tensorOf('F32', '[1]', 8, 4), 0, /leave a hole/],
    [
      'an end before the beginning before the size of the shape',
      `{"a":${f32('[1]', 0, 4)},"b":${f32(huge, 4, 3)}}`,
      4,
      /end before they begin/,
    ],
    ['a hole before the size of the shape', tensorOf('F32', huge, 4, 8), 0, /leave a hole/],
    ['the size of the shape before whole bytes', tensorOf('F4', '[4294967297,4294967297,3]', 0, 1), 0, /too large/],
    ['whole bytes before the number of bytes', tensorOf('F4', '[3]', 0, 9), 0, /whole bytes/],
    ['the number of bytes before the end of the file', tensorOf('F32', '[1]', 0, 8), 0, /do not fit dtype and shape/],
    [
      'one tensor after another, as their data lie',
      `{"late":${f32('[9]', 4, 8)},"early":${f32('[9]', 0, 4)}}`,
      8,
      /^x\.safetensors: early /,
    ],
  ])('%s', async (_, header, dataBytes, message) => {
    expect(await refusalOf(header, dataBytes)).toMatch(message);
  });
});

describe('attacks', () => {
  test('ten tensors on one place', async () => {
    const tensors = Array.from({ length: 10 }, (_, i) => `"w${i}":${f32('[2,2]', 0, 16)}`);
    expect(await refusalOf(`{${tensors.join(',')}}`, 16)).toMatch(/^x\.safetensors: w1 .*overlap another tensor/);
  });

  test('100,000 tensors on one place', async () => {
    const tensors = Array.from({ length: 100_000 }, (_, i) => `"w${i}":${f32('[2,2]', 0, 16)}`);
    const bytes = withHeader(ascii(`{${tensors.join(',')}}`), 16);
    expect(await refusal(bytes)).toMatch(/overlap another tensor/);
  });

  test.each([
    ['one long name', `{"${'x'.repeat(1_000_000)}`, /a string does not end/],
    ['one long number', `{"a":{"shape":[${'1'.repeat(1_000_000)}`, /bad number in shape/],
    ['one long run of spaces', `{${' '.repeat(1_000_000)}`, /got the end of the header/],
    ['one long shape', `{"a":{"dtype":"U8","data_offsets":[0,1],"shape":[1${',1'.repeat(1_000_000)}, 2]}}`, /2 bytes/],
    ['one long dtype', `{"a":{"dtype":"${'F'.repeat(1_000_000)}"}}`, /unknown dtype/],
  ])('%s: refused with a short message', async (_, header, message) => {
    const text = await refusalOf(header, 1);
    expect(text).toMatch(message);
    expect(text.length).toBeLessThan(600);
  });

  test('a second format hidden behind the data', async () => {
    const bytes = withHeader(ascii(`{"a":${f32('[1]', 0, 4)}}`), 4);
    expect(await refusal([...bytes, ...ascii('PK\u0005\u0006')])).toMatch(/belong to no tensor/);
  });

  test('a file that changes while it is open', async () => {
    const bytes = Uint8Array.from(withHeader(ascii(`{"a":${f32('[1]', 0, 4)}}`), 4));
    let present = bytes.length;
    const source = rangedSource({
      name: 'x.safetensors',
      size: bytes.length,
      readRange: async (start, end) => bytes.slice(start, Math.min(end, present)),
    });
    const checkpoint = await openSafetensors(source);
    present -= 1;
    await expect(checkpoint.read('a')).rejects.toMatchObject({ name: 'StamError', code: 'bad-checkpoint' });
  });
});

test('a refused file is closed', async () => {
  let closed = 0;
  const source = rangedSource({
    name: 'x.safetensors',
    size: 8,
    readRange: async () => Uint8Array.from(length(0n)),
    release: async () => {
      closed++;
    },
  });
  await expect(openSafetensors(source)).rejects.toMatchObject({ code: 'bad-checkpoint' });
  expect(closed).toBe(1);
});
