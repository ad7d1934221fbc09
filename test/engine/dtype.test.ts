// Element types: every half, and the roundings that are easy to get wrong.
import { describe, expect, test } from 'vitest';
import { decodeFloats, encodeBfloats, encodeHalves, floatToHalf, halfToFloat } from '../../engine/dtype.ts';

const word = new DataView(new ArrayBuffer(4));
function floatOf(bits: number): number {
  word.setUint32(0, bits);
  return word.getFloat32(0);
}

/** Bit patterns of float32: the edges of every binade, and random ones by a linear congruence. */
function* patterns(randomCount: number): Generator<number> {
  for (let high = 0; high < 0x10000; high += 0x20) {
    for (const low of [0, 1, 0x0fff, 0x1000, 0x1001, 0x2fff, 0x3000, 0x3001, 0x7fff, 0x8000, 0x8001, 0xffff]) {
      yield high * 0x10000 + low;
    }
  }
  let x = 12345;
  for (let i = 0; i < randomCount; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    yield (x ^ (x >>> 15)) >>> 0;
  }
}

// All finite halves from zero up, and what would come next if the exponent had no end.
const magnitudes = Array.from({ length: 0x7c00 }, (_, half) => {
  const [exponent, fraction] = [half >> 10, half % 1024];
  return exponent === 0 ? fraction / 2 ** 24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
});
magnitudes.push(65536);

/** By search: the nearest of all halves, of two equally near ones the even. Shares no arithmetic with floatToHalf. */
function nearestHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 65536) return sign | 0x7c00;
  let [below, above] = [0, 0x7c00];
  while (above - below > 1) {
    const middle = (below + above) >> 1;
    if (magnitudes[middle] <= size) below = middle;
    else above = middle;
  }
  const [toBelow, toAbove] = [size - magnitudes[below], magnitudes[above] - size];
  const even = below % 2 === 0 ? below : above;
  return sign | (toBelow < toAbove ? below : toBelow > toAbove ? above : even);
}

describe('half precision', () => {
  test('all 65,536 patterns come back from float32', () => {
    const wrong: string[] = [];
    for (let half = 0; half < 0x10000; half++) {
      const notANumber = (half & 0x7fff) > 0x7c00;
      const value = halfToFloat(half);
      const expected = notANumber ? 0x7e00 : half;
      if (Number.isNaN(value) !== notANumber || floatToHalf(value) !== expected) wrong.push(half.toString(16));
    }
    expect(wrong).toEqual([]);
  });

  test.each([
    ['one', 1, 0x3c00],
    ['minus zero', -0, 0x8000],
    ['tie above 1, to even', 1 + 2 ** -11, 0x3c00],
    ['tie above the next, to even', 1 + 3 * 2 ** -11, 0x3c02],
    ['carry into the exponent', 2 - 2 ** -12, 0x4000],
    ['largest', 65504, 0x7bff],
    ['just below the overflow', 65519.996, 0x7bff],
    ['overflow', 65520, 0x7c00],
    ['negative overflow', -1e9, 0xfc00],
    ['infinity', Number.POSITIVE_INFINITY, 0x7c00],
    ['smallest normal', 2 ** -14, 0x0400],
    ['largest subnormal', 1023 * 2 ** -24, 0x03ff],
    ['subnormal that rounds up to normal', 1023.5 * 2 ** -24, 0x0400],
    ['smallest subnormal', 2 ** -24, 0x0001],
    ['tie below the smallest', 2 ** -25, 0x0000],
    ['more than that tie', 2 ** -25 * 1.001, 0x0001],
    ['subnormal tie, to even', 2.5 * 2 ** -24, 0x0002],
    ['subnormal of float32', 1e-45, 0x0000],
  ])('%s', (_, value, half) => {
    expect(floatToHalf(value).toString(16)).toBe(half.toString(16));
  });

  test('NaN stays NaN, payloads and all', () => {
    for (const bits of [0x7f800001, 0x7fc00000, 0x7fffffff, 0xff800001]) {
      expect(halfToFloat(floatToHalf(floatOf(bits)))).toBeNaN();
    }
  });

  test('agrees with a search through all halves', () => {
    const wrong: string[] = [];
    for (const bits of patterns(100_000)) {
      const value = floatOf(bits);
      if (!Number.isNaN(value) && floatToHalf(value) !== nearestHalf(value)) wrong.push(bits.toString(16));
    }
    expect(wrong).toEqual([]);
  });

  test('encodeHalves takes any array of numbers', () => {
    expect([...encodeHalves([1, -2, 0.5])]).toEqual([0x3c00, 0xc000, 0x3800]);
  });
});

describe('bfloat16', () => {
  test.each([
    ['one', 0x3f800000, 0x3f80],
    ['minus zero', 0x80000000, 0x8000],
    ['below the tie', 0x3f807fff, 0x3f80],
    ['tie, to even', 0x3f808000, 0x3f80],
    ['tie of an odd one, to even', 0x3f818000, 0x3f82],
    ['above the tie', 0x3f808001, 0x3f81],
    ['carry into the exponent', 0x3fffffff, 0x4000],
    ['largest float32', 0x7f7fffff, 0x7f80],
    ['most negative float32', 0xff7fffff, 0xff80],
    ['infinity', 0x7f800000, 0x7f80],
    ['minus infinity', 0xff800000, 0xff80],
    ['subnormal', 0x00018000, 0x0002],
  ])('%s', (_, bits, expected) => {
    expect(encodeBfloats(Float32Array.of(floatOf(bits)))[0].toString(16)).toBe(expected.toString(16));
  });

  test('NaN stays NaN, whatever its payload', () => {
    for (const bits of [0x7f800001, 0x7fc00000, 0x7fffffff, 0xff800001, 0xffffffff]) {
      // written as bits: a number on its way through JavaScript may lose its payload
      const [pattern] = encodeBfloats(new Float32Array(Uint32Array.of(bits).buffer));
      expect(decodeFloats(new Uint8Array(Uint16Array.of(pattern).buffer), 'BF16')[0]).toBeNaN();
      expect(pattern >>> 15).toBe(bits >>> 31);
    }
  });

  test('is the nearest of its two neighbours', () => {
    const wrong: string[] = [];
    for (const bits of patterns(100_000)) {
      const value = floatOf(bits);
      if (!(Math.abs(value) < 3.3e38)) continue;
      const [below, above] = [bits & 0xffff0000, (bits & 0xffff0000) + 0x10000].map((at) => at >>> 0);
      const [toBelow, toAbove] = [Math.abs(value - floatOf(below)), Math.abs(floatOf(above) - value)];
      const even = (below >>> 16) % 2 === 0 ? below : above;
      const nearest = toBelow < toAbove ? below : toBelow > toAbove ? above : even;
      if (encodeBfloats(Float32Array.of(value))[0] !== nearest >>> 16) wrong.push(bits.toString(16));
    }
    expect(wrong).toEqual([]);
  });

  test('takes a view with an offset', () => {
    expect([...encodeBfloats(Float32Array.of(9, 1, -2).subarray(1))]).toEqual([0x3f80, 0xc000]);
  });
});

describe('decodeFloats', () => {
  test('F64 rounds to nearest, ties to even, at any alignment', () => {
    const values = [1 / 3, 1 + 2 ** -24, 1 + 3 * 2 ** -24, 3.5e38, -(2 ** -150), 5e-324];
    const rounded = [Math.fround(1 / 3), 1, 1 + 2 ** -22, Number.POSITIVE_INFINITY, -0, 0];
    const shifted = new Uint8Array(8 * values.length + 3);
    shifted.set(new Uint8Array(Float64Array.from(values).buffer), 3);
    expect(decodeFloats(shifted.subarray(3), 'F64')).toEqual(Float32Array.from(rounded));
  });

  const values = [1, -2.5, 0, 65504, Number.NEGATIVE_INFINITY];
  test.each(['F32', 'F16', 'BF16'] as const)('%s at any alignment', (type) => {
    const floats = Float32Array.from(type === 'BF16' ? values.map((v) => (v === 65504 ? 65536 : v)) : values);
    const encoded = type === 'F32' ? floats : type === 'F16' ? encodeHalves(floats) : encodeBfloats(floats);
    const plain = new Uint8Array(encoded.buffer);
    for (let shift = 0; shift < 4; shift++) {
      const shifted = new Uint8Array(plain.length + shift);
      shifted.set(plain, shift);
      expect(decodeFloats(shifted.subarray(shift), type)).toEqual(floats);
    }
  });
});
