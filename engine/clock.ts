// What a device's clock can tell, learned from what it told: browsers round timestamps, and a dispatch is repeated until that matters little.

/** How times are taken. */
export type ClockName = 'timestamps' | 'timestamps rounded to 65536 ns' | 'wall clock';

/** Two readings of one clock, in nanoseconds. */
export interface Stamps {
  readonly begin: bigint;
  readonly end: bigint;
}

/** Browsers round timestamps to multiples of so many nanoseconds, so that pages cannot watch each other. */
const coarseNs = 65_536n;

/** Of a timed pass, by how much a reading may be off: one in so many. */
const precision = 100;

export class Clock {
  readonly #source: 'timestamps' | 'wall clock';
  /** Whether all readings so far were multiples of coarseNs. Of an exact clock one in 65,536 is. */
  #isCoarse = true;

  constructor(source: 'timestamps' | 'wall clock') {
    this.#source = source;
  }

  /** Until the first reading, timestamps count as rounded. */
  get name(): ClockName {
    if (this.#source === 'wall clock') return 'wall clock';
    return this.#isCoarse ? 'timestamps rounded to 65536 ns' : 'timestamps';
  }

  /**
   * Milliseconds that a timed pass should take at least. A dispatch alone meets cold caches and a clock that is not up; besides, rounded
   * readings must be far apart, and the wall clock counts the submission, too.
   */
  get leastMs(): number {
    if (this.#source === 'wall clock') return 20;
    return this.#isCoarse ? (precision * Number(coarseNs)) / 1e6 : 2;
  }

  /** Milliseconds between two readings; 0 where the clock is too coarse to tell. */
  between({ begin, end }: Stamps): number {
    this.#isCoarse &&= begin % coarseNs === 0n && end % coarseNs === 0n;
    return end > begin ? Number(end - begin) / 1e6 : 0;
  }
}

/** The most dispatches of one pass. */
export const maxRepeats = 1024;

/**
 * How many dispatches make a pass of `leastMs`, if one took `ms` out of a pass of `repeats`: never fewer than before, at most eight times as
 * many, since a short pass tells little.
 */
export function nextRepeats(ms: number, repeats: number, leastMs: number, most = maxRepeats): number {
  if (ms >= leastMs) return repeats;
  const wanted = ms > 0 ? Math.ceil((repeats * leastMs * 1.1) / ms) : Number.POSITIVE_INFINITY;
  return Math.min(most, Math.max(repeats, Math.min(wanted, repeats * 8)));
}
