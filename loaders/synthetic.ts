// Weights that are a pure function of (seed, name, flat index), so that a full-size checkpoint need not be stored:
//   x    = fnv1a32(name) xor seed * 0x9E3779B9, plus i * 0x9E3779B1, then murmur3's finaliser    (all mod 2^32)
//   unit = (x >> 8) * 2^-24, v = 2 unit - 1, weight = shift + scale * v                            (all in float32)
import { StamError, throwIfAborted } from '../engine/errors.ts';
import type { Checkpoint, TensorInfo } from './checkpoint.ts';

/**
 * `count` float32 values in [0, 1), multiples of 2^-24. A model's synthetic input is `unit(seed, 'frames', count)`.
 * Throws bad-input for a seed that is no unsigned 32-bit integer.
 */
export function unit(seed: number, name: string, count: number): Float32Array<ArrayBuffer> {
  return fill(seed, name, count, 2 ** -24, 0);
}

/**
 * The weight called `name`, [shape] row-major in PyTorch's layout. The rule is chosen by the name's ending, see `rangeOf`.
 * Throws bad-input for a bad seed or shape.
 */
export function syntheticTensor(seed: number, name: string, shape: readonly number[]): Float32Array<ArrayBuffer> {
  const count = elementCount(name, shape);
  if (name.endsWith('num_batches_tracked')) return new Float32Array(count);
  const { shift, scale } = rangeOf(name, shape);
  const values = fill(seed, name, count, 2 ** -23, -1);
  if (shift === 0) for (let i = 0; i < count; i++) values[i] *= scale;
  else for (let i = 0; i < count; i++) values[i] = shift + Math.fround(scale * values[i]);
  return values;
}

/** A checkpoint of synthetic tensors, all F32, made when they are read. Throws bad-input for a bad seed or shape. */
export function openSynthetic(
  seed: number,
  shapes: ReadonlyMap<string, readonly number[]>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Checkpoint {
  const source = `synthetic:${checkSeed(seed)}`;
  const tensors = new Map<string, TensorInfo>();
  for (const [name, shape] of shapes) {
    tensors.set(name, { name, dtype: 'F32', shape: [...shape], bytes: 4 * elementCount(name, shape) });
  }
  let closed = false;
  async function read(name: string, signal?: AbortSignal): Promise<Float32Array<ArrayBuffer>> {
    throwIfAborted(signal);
    if (closed) throw new StamError('disposed', { where: source, problem: 'the checkpoint has been closed' });
    const info = tensors.get(name);
    if (!info) throw new StamError('missing-tensor', { where: source, problem: `there is no tensor ${name}` });
    return syntheticTensor(seed, name, info.shape);
  }
  return {
    name: source,
    tensors,
    metadata: new Map(metadata),
    leftOut: [],
    read,
    readBytes: async (name, signal) => new Uint8Array((await read(name, signal)).buffer),
    order: () => [...tensors.keys()],
    async close() {
      closed = true;
    },
  };
}

/** Where the values of a weight lie: in [shift - scale, shift + scale). */
function rangeOf(name: string, shape: readonly number[]): { shift: number; scale: number } {
  // one dimension asked for: X3D keeps the convolutions of its squeeze-and-excitation under norm_b
  const normScale = shape.length === 1 && name.includes('norm') && name.endsWith('.weight');
  if (normScale || name.endsWith('running_var')) return { shift: 1, scale: 0.25 };
  if (name.endsWith('cls_token') || name.endsWith('pos_embed')) return { shift: 0, scale: 0.5 };
  if (shape.length === 1) return { shift: 0, scale: Math.fround(0.1) };
  const fanIn = shape.slice(1).reduce((product, size) => product * size, 1);
  return { shift: 0, scale: Math.fround(2 / Math.sqrt(fanIn)) };
}

/** 24 bits of hash times `step`, plus `start`; exact in float32 for the two pairs this module uses. */
function fill(seed: number, name: string, count: number, step: number, start: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(count);
  let counter = fnv1a(name) ^ Math.imul(checkSeed(seed), 0x9e3779b9);
  for (let i = 0; i < count; i++) {
    let x = counter;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    values[i] = ((x ^ (x >>> 16)) >>> 8) * step + start;
    counter = (counter + 0x9e3779b1) | 0;
  }
  return values;
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash;
}

function checkSeed(seed: number): number {
  if (Number.isInteger(seed) && seed >= 0 && seed <= 0xffffffff) return seed;
  throw new StamError('bad-input', {
    where: 'synthetic weights',
    problem: 'bad seed',
    got: `${seed}`,
    expected: 'an integer in 0..4294967295',
  });
}

function elementCount(name: string, shape: readonly number[]): number {
  const count = shape.reduce((product, size) => product * size, 1);
  if (shape.every((size) => Number.isSafeInteger(size) && size >= 0) && Number.isSafeInteger(4 * count)) return count;
  throw new StamError('bad-input', {
    where: `synthetic weights: ${name}`,
    problem: 'bad shape',
    got: `[${shape.join(', ')}]`,
    expected: 'non-negative integers with a product below 2^51',
  });
}
