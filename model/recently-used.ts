// A few things that are dear to make, by key: those that were used last, and those that are held.
import { StamError } from '../engine/errors.ts';
import { SharedWork } from '../engine/shared-work.ts';

interface Kept<T> {
  readonly making: SharedWork<T>;
  /** Once it is made. */
  made: T | undefined;
  /** What is used after it does not let it go. */
  isHeld: boolean;
}

/** How many of them stay: of those that were used, and of those that are held. */
export interface KeptCounts {
  readonly used: number;
  readonly held: number;
}

export class RecentlyUsed<T> {
  readonly #most: KeptCounts;
  readonly #release: (value: T) => void;
  /** The last key is the one used last. */
  readonly #kept = new Map<string, Kept<T>>();
  #disposed = false;

  /** `release` gets what has to go. */
  constructor(most: KeptCounts, release: (value: T) => void) {
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
    return await this.#use(key, make, false).making.wait(...signals);
  }

  /** get(), and it stays whatever get() is asked for afterwards: until as many others as may be held have been. */
  async hold(
    key: string,
    make: (signal: AbortSignal) => Promise<T>,
    ...signals: readonly (AbortSignal | undefined)[]
  ): Promise<T> {
    return await this.#use(key, make, true).making.wait(...signals);
  }

  /** The thing of this key if it is held and there. */
  held(key: string): T | undefined {
    const kept = this.#kept.get(key);
    if (!kept?.isHeld) return undefined;
    this.#touch(key, kept);
    return kept.made;
  }

  /** Releases all, what is being made as soon as it is. */
  dispose(): void {
    this.#disposed = true;
    for (const key of [...this.#kept.keys()]) this.#drop(key);
  }

  #use(key: string, make: (signal: AbortSignal) => Promise<T>, hold: boolean): Kept<T> {
    if (this.#disposed) throw new StamError('disposed', { where: 'model', problem: 'it was disposed of' });
    const known = this.#kept.get(key);
    const kept = known && !known.making.isGivenUp ? known : this.#begin(key, make);
    kept.isHeld ||= hold || known?.isHeld === true;
    this.#touch(key, kept);
    const held = this.#keys((one) => one.isHeld);
    if (held.length > this.#most.held) this.#drop(held[0]);
    const used = this.#keys((one) => !one.isHeld);
    if (used.length > this.#most.used) this.#drop(used[0]);
    return kept;
  }

  /** The one used last is the last. */
  #keys(takes: (kept: Kept<T>) => boolean): string[] {
    return [...this.#kept].filter(([, kept]) => takes(kept)).map(([key]) => key);
  }

  #begin(key: string, make: (signal: AbortSignal) => Promise<T>): Kept<T> {
    const kept: Kept<T> = { making: new SharedWork(make), made: undefined, isHeld: false };
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
