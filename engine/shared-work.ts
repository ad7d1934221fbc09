// Work that several wait for, and that is given up when all of them have.
import { unlessAborted } from './abort.ts';

export class SharedWork<T> {
  readonly #work: Promise<T>;
  readonly #ending = new AbortController();
  #waiting = 0;
  #isOver = false;

  /** Begins at once. What `begin` is given is aborted when nobody waits any more; the work should reject soon after. */
  constructor(begin: (signal: AbortSignal) => Promise<T>) {
    this.#work = begin(this.#ending.signal);
    const note = () => {
      this.#isOver = true;
    };
    this.#work.then(note, note);
  }

  /** The outcome, whether or not anybody waits for it. */
  get outcome(): Promise<T> {
    return this.#work;
  }

  /** Whether it was given up: whoever comes now has to begin anew. */
  get isGivenUp(): boolean {
    return this.#ending.signal.aborted;
  }

  /** What comes of it, or the reason of the first signal that is aborted before. */
  async wait(...signals: readonly (AbortSignal | undefined)[]): Promise<T> {
    this.#waiting++;
    try {
      return await unlessAborted(this.#work, ...signals);
    } finally {
      this.#waiting--;
      if (this.#waiting === 0 && !this.#isOver) this.#ending.abort();
    }
  }
}
