// A few things that are dear to make, by key: those that were used last.

export class RecentlyUsed<T extends Promise<unknown>> {
  readonly #most: number;
  readonly #release: (value: T) => void;
  /** The last key is the one used last. */
  readonly #kept = new Map<string, T>();

  /** Keeps `most` of them; `release` gets what has to go. */
  constructor(most: number, release: (value: T) => void) {
    this.#most = most;
    this.#release = release;
  }

  /** The thing of this key, made if it is not kept. One whose making fails is not kept. */
  get(key: string, make: () => T): T {
    const value = this.#kept.get(key) ?? make();
    this.#kept.delete(key);
    this.#kept.set(key, value);
    value.catch(() => this.#kept.get(key) === value && this.#kept.delete(key));
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > this.#most) this.#drop(oldest);
    return value;
  }

  /** Releases all. */
  clear(): void {
    for (const key of [...this.#kept.keys()]) this.#drop(key);
  }

  #drop(key: string): void {
    const value = this.#kept.get(key);
    this.#kept.delete(key);
    if (value) this.#release(value);
  }
}
