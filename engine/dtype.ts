// Element types of tensors in files and in GPU memory, and the conversions between them.

/** How numbers lie in GPU memory. 'f16' is half storage; arithmetic is f32, but in kernels with a `shortSum`. */
export type StorageType = 'f32' | 'f16';

/** What an element of a tensor is in GPU memory: a number, or a word that its kernel takes apart: four bytes of pixels, an integer. */
export type ElementType = StorageType | 'u32';

/** Floating-point element types that can be read as float32. */
export type FloatType = 'F64' | 'F32' | 'F16' | 'BF16';

/** Those of them that float32 values can be written as. */
export type FloatTarget = Exclude<FloatType, 'F64'>;

const scratch = new DataView(new ArrayBuffer(4));

/** The float32 value of an IEEE 754 binary16 pattern (all 65,536 of them, NaN payloads aside). */
export function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** The binary16 pattern nearest to a float32 value, ties to even, overflow to infinity. */
export function floatToHalf(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and more round to infinity
  if (magnitude < 0x38800000) {
    // below 2^-14: a subnormal half counts in units of 2^-24
    return sign | roundToEven(Math.abs(scratch.getFloat32(0)) * 2 ** 24);
  }
  const rounded = magnitude + 0x0fff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** Bytes of one element in a file. */
export const floatTypeBytes: Readonly<Record<FloatType, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2 };

/** Bytes of one element in GPU memory. */
export const storageBytes: Readonly<Record<ElementType, number>> = { f32: 4, f16: 2, u32: 4 };

/** Little-endian file bytes to float32, F64 rounded to nearest. Needs no alignment; copies only when it must. */
export function decodeFloats(bytes: Uint8Array<ArrayBuffer>, type: FloatType): Float32Array<ArrayBuffer> {
  const width = floatTypeBytes[type];
  const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  const count = bytes.byteLength / width;
  if (type === 'F32') return new Float32Array(aligned.buffer, aligned.byteOffset, count);
  if (type === 'F64') return Float32Array.from(new Float64Array(aligned.buffer, aligned.byteOffset, count));
  const halves = new Uint16Array(aligned.buffer, aligned.byteOffset, count);
  const floats = new Float32Array(count);
  if (type === 'F16') for (let i = 0; i < count; i++) floats[i] = halfToFloat(halves[i]);
  else {
    const bits = new Uint32Array(floats.buffer);
    for (let i = 0; i < count; i++) bits[i] = halves[i] << 16;
  }
  return floats;
}

/** float32 values to binary16 patterns, in `halves` if that is given: as many elements. */
export function encodeHalves(
  floats: ArrayLike<number>,
  halves: Uint16Array<ArrayBuffer> = new Uint16Array(floats.length),
): Uint16Array<ArrayBuffer> {
  for (let i = 0; i < floats.length; i++) halves[i] = floatToHalf(floats[i]);
  return halves;
}

/** float32 values to bfloat16 patterns: the upper half of the float, ties to even, overflow to infinity. */
export function encodeBfloats(floats: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  const patterns = new Uint16Array(floats.length);
  for (let i = 0; i < bits.length; i++) {
    const pattern = bits[i];
    const notANumber = (pattern & 0x7fffffff) > 0x7f800000;
    // rounding could carry a NaN into infinity, so it keeps its upper half and becomes quiet
    patterns[i] = notANumber ? (pattern >>> 16) | 0x40 : (pattern + 0x7fff + ((pattern >>> 16) & 1)) >>> 16;
  }
  return patterns;
}
