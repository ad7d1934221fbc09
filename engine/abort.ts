// Waiting: that somebody may end, by an AbortSignal of the caller's or of what is being disposed of, and for one's turn.

/** What `work` settles with, or the reason of the first signal that is aborted before. The work is left to itself then. */
export function unlessAborted<T>(work: Promise<T>, ...signals: readonly (AbortSignal | undefined)[]): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave: (() => void)[] = [];
    const settle = (by: () => void) => {
      for (const one of leave) one();
      by();
    };
    for (const signal of signals) {
      if (!signal) continue;
      if (signal.aborted) reject(signal.reason);
      leave.push(whenAborted(signal, () => settle(() => reject(signal.reason))));
    }
    work.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}

/** unlessAborted() for work that makes something: what is made after all has nobody to take it, and is released. */
export async function madeUnlessAborted<T>(
  work: Promise<T>,
  release: (made: T) => void,
  ...signals: readonly (AbortSignal | undefined)[]
): Promise<T> {
  try {
    return await unlessAborted(work, ...signals);
  } catch (error) {
    work.then(release, () => undefined);
    throw error;
  }
}

/** One listener serves all who wait under a signal: Node takes more than ten for a leak, and calls that overlap are many. */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `tell` when the signal is aborted; what is returned takes that back. */
export function whenAborted(signal: AbortSignal, tell: () => void): () => void {
  let all = waiting.get(signal);
  if (!all) {
    const told = new Set<() => void>();
    signal.addEventListener('abort', () => {
      for (const one of [...told]) one();
    });
    waiting.set(signal, told);
    all = told;
  }
  const everyone = all;
  everyone.add(tell);
  return () => everyone.delete(tell);
}

/**
 * Settles when both have, whatever becomes of them, and keeps neither's result: a queue whose every link held the one before would hold
 * the results of all time.
 */
export async function bothOver(one: Promise<unknown>, other: Promise<unknown>): Promise<void> {
  await Promise.allSettled([one, other]);
}
