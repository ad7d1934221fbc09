// A few things that are dear to make, by key: those that were used last, and those that are held.
import { StamError } from '../engine/errors.ts';
import { SharedWork } from '../engine/shared-work.ts';

interface Kept<T> {
  readonly making: SharedWork<T>;
  /** Once it is made. */
  made: T | undefined;
  /** What is used after it does not let it go. */
  isHeld: boolean;
  /** How many are using it, or wait to. */
  users: number;
}

/** How many of them stay: of those that were used, and of those that are held. */
export interface KeptCounts {
  readonly used: number;
  readonly held: number;
}

type Make<T> = (signal: AbortSignal) => Promise<T>;

export class RecentlyUsed<T> {
  readonly #most: KeptCounts;
  readonly #release: (value: T) => void;
  /** The last key is the one used last. */
  readonly #kept = new Map<string, Kept<T>>();
  /** Those that have to go when nobody uses them any more. */
  readonly #leaving = new Set<Kept<T>>();
  /** Why there is nothing any more. */
  #reason: StamError | undefined;

  /** `release` gets what has to go. */
  constructor(most: KeptCounts, release: (value: T) => void) {
    this.#most = most;
    this.#release = release;
  }

  /**
   * What `act` makes of the thing of this key, which is made if it is not kept, and stays until `act` is over. One whose making fails, or
   * for which nobody waits any more, is not kept. Throws disposed, and the reason of a signal that is aborted before it is made.
   */
  async use<R>(
    key: string,
    make: Make<T>,
    act: (value: T) => R | Promise<R>,
    ...signals: readonly (AbortSignal | undefined)[]
  ): Promise<R> {
    const kept = this.#take(key, make);
    kept.users++;
    this.#shrink();
    try {
      return await act(await kept.making.wait(...signals));
    } finally {
      kept.users--;
      this.#dismiss();
    }
  }

  /** The thing of this key, which stays whatever is used afterwards: until as many others as may be held have been. */
  async hold(key: string, make: Make<T>, ...signals: readonly (AbortSignal | undefined)[]): Promise<T> {
    const kept = this.#take(key, make);
    kept.isHeld = true;
    this.#shrink();
    return await kept.making.wait(...signals);
  }

  /** The thing of this key if it is held and there. */
  held(key: string): T | undefined {
    const kept = this.#kept.get(key);
    if (!kept?.isHeld) return undefined;
    this.#touch(key, kept);
    return kept.made;
  }

  /** Gives away the thing of this key, if it is held and there and nobody is using it: whoever takes it has to release it. */
  giveIdle(key: string): T | undefined {
    const kept = this.#kept.get(key);
    if (kept?.made === undefined || !kept.isHeld || kept.users > 0) return undefined;
    this.#kept.delete(key);
    return kept.made;
  }

  /** Holds a thing that is there already. */
  adopt(key: string, made: T): void {
    const kept = this.#begin(key, async () => made);
    kept.made = made;
    kept.isHeld = true;
    this.#touch(key, kept);
    this.#shrink();
  }

  /** Releases all, whoever uses it, and what is being made as soon as it is. Who asks from now on gets `reason`. */
  dispose(reason = new StamError('disposed', { where: 'model', problem: 'it was disposed of' })): void {
    this.#reason = reason;
    for (const kept of [...this.#kept.values(), ...this.#leaving]) this.#let(kept);
    this.#kept.clear();
    this.#leaving.clear();
  }

  #take(key: string, make: Make<T>): Kept<T> {
    if (this.#reason) throw this.#reason;
    const known = this.#kept.get(key);
    const kept = known && !known.making.isGivenUp ? known : this.#begin(key, make);
    this.#touch(key, kept);
    return kept;
  }

  #begin(key: string, make: Make<T>): Kept<T> {
    const kept: Kept<T> = { making: new SharedWork(make), made: undefined, isHeld: false, users: 0 };
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
    const other = this.#kept.get(key);
    if (other && other !== kept) this.#leaving.add(other); // given up, or still being made where one is adopted
    this.#kept.delete(key);
    this.#kept.set(key, kept);
  }

  /** Lets go of those that are too many, the ones used longest ago. */
  #shrink(): void {
    for (const [isHeld, most] of [
      [true, this.#most.held],
      [false, this.#most.used],
    ] as const) {
      const keys = [...this.#kept].filter(([, kept]) => kept.isHeld === isHeld);
      for (const [key, kept] of keys.slice(0, Math.max(0, keys.length - most))) {
        this.#kept.delete(key);
        this.#leaving.add(kept);
      }
    }
    this.#dismiss();
  }

  #dismiss(): void {
    for (const kept of this.#leaving) {
      if (kept.users > 0) continue;
      this.#leaving.delete(kept);
      this.#let(kept);
    }
  }

  #let({ making }: Kept<T>): void {
    making.outcome.then(this.#release, () => undefined);
  }
}
