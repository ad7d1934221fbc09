// Closeness, with a report that says where to look.

export interface Difference {
  /** The largest |got - want|. NaN or infinity in `got` where `want` is finite counts as infinity. */
  readonly error: number;
  readonly index: number;
  readonly got: number;
  readonly want: number;
}

export function largestDifference(got: ArrayLike<number>, want: ArrayLike<number>): Difference {
  let worst: Difference = { error: 0, index: 0, got: got[0], want: want[0] };
  for (let i = 0; i < want.length; i++) {
    const error = Number.isFinite(got[i]) ? Math.abs(got[i] - want[i]) : Number.POSITIVE_INFINITY;
    if (error > worst.error) worst = { error, index: i, got: got[i], want: want[i] };
  }
  return worst;
}

/** Throws, naming the worst element and its neighbours, unless every |got - want| is at most `tolerance`. */
export function expectClose(
  what: string,
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  tolerance: number,
): Difference {
  if (got.length !== want.length) throw new Error(`${what}: ${got.length} elements, expected ${want.length}`);
  const worst = largestDifference(got, want);
  if (worst.error <= tolerance) return worst;
  const from = Math.max(0, worst.index - 2);
  const near = (values: ArrayLike<number>) => Array.from({ length: 5 }, (_, i) => values[from + i]).join(', ');
  const wrong = Array.from(want).filter((value, i) => !(Math.abs(got[i] - value) <= tolerance)).length;
  throw new Error(
    `${what}: off by ${worst.error} at ${worst.index} (allowed ${tolerance}); ${wrong} of ${want.length} elements are\n` +
      `  got  ${near(got)}\n  want ${near(want)}   (from ${from})`,
  );
}
