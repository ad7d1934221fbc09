// A few things that are dear to make, by key: those that were used last.
import { StamError } from '../engine/errors.ts';
import { SharedWork } from '../engine/shared-work.ts';

interface Kept<T> {
  readonly making: SharedWork<T>;
  /** Once it is made. */
  made: T | undefined;
}

export class RecentlyUsed<T> {
  readonly #most: number;
  readonly #release: (value: T) => void;
  /** The last key is the one used last. */
  readonly #kept = new Map<string, Kept<T>>();
  #disposed = false;

  /** Keeps `most` of them; `release` gets what has to go. */
  constructor(most: number, release: (value: T) => void) {
    this.#most = most;
    this.#release = release;
  }

  /**
   * The thing of this key, made if it is not kept. One whose making fails, or for which nobody waits any more, is not kept. Throws disposed,
   * and the reason of a signal that is aborted before it is made.
   */
  async get(
    key: string,
    make: (signal: AbortSignal) => Promise<T>,
    ...signals: readonly (AbortSignal | undefined)[]
  ): Promise<T> {
    if (this.#disposed) throw new StamError('disposed', { where: 'pictures', problem: 'the model was disposed of' });
    const known = this.#kept.get(key);
    const kept = known && !known.making.isGivenUp ? known : this.#begin(key, make);
    this.#touch(key, kept);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > this.#most) this.#drop(oldest);
    return await kept.making.wait(...signals);
  }

  /** The thing of this key if it is there. */
  ready(key: string): T | undefined {
    const kept = this.#kept.get(key);
    if (kept) this.#touch(key, kept);
    return kept?.made;
  }

  /** Releases all, what is being made as soon as it is. */
  dispose(): void {
    this.#disposed = true;
    for (const key of [...this.#kept.keys()]) this.#drop(key);
  }

  #begin(key: string, make: (signal: AbortSignal) => Promise<T>): Kept<T> {
    const kept: Kept<T> = { making: new SharedWork(make), made: undefined };
    kept.making.outcome.then(
      (value) => {
        kept.made = value;
      },
      () => {
        if (this.#kept.get(key) === kept) this.#kept.delete(key);
      },
    );
    return kept;
  }

  #touch(key: string, kept: Kept<T>): void {
    this.#kept.delete(key);
    this.#kept.set(key, kept);
  }

  #drop(key: string): void {
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    kept?.making.outcome.then(this.#release, () => undefined);
  }
}
