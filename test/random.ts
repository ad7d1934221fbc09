// Seeded tensors, ordinary and nasty.

/** A stream of uniform numbers in [0, 1) (mulberry32). */
export function randomStream(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Uniform in -1..1, exact in f16, so that both storage types start from the same numbers. */
export function uniform(random: () => number, count: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, () => Math.round((random() * 2 - 1) * 1024) / 1024);
}

/** Mostly uniform, with zeros, tiny and large values strewn in; all exact in f16. */
export function nasty(random: () => number, count: number): Float32Array<ArrayBuffer> {
  const strange = [0, -0, 2 ** -14, -(2 ** -12), 64, -48, 1, -1];
  return uniform(random, count).map((value) =>
    random() < 0.1 ? strange[Math.floor(random() * strange.length)] : value,
  );
}
