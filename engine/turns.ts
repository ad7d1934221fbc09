// Work that has to be done one after another.
import { bothOver, unlessAborted } from './abort.ts';

export class Turns {
  /** Settles when all that was asked for so far is over. */
  #over: Promise<unknown> = Promise.resolve();

  /** Begins `work` when all that was asked for before is over. A signal that is aborted ends the wait; what has begun ends itself. */
  take<T>(work: () => Promise<T>, ...signals: readonly (AbortSignal | undefined)[]): Promise<T> {
    const before = this.#over;
    const result = unlessAborted(before, ...signals).then(work);
    this.#over = bothOver(before, result);
    return result;
  }
}
