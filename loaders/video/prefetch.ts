// Work ahead of a consumer, in order and within bounds: while one result is used, the next ones load.
import { StamError, throwIfAborted } from '../../engine/errors.ts';

export interface PrefetchOptions {
  /** Loads that run at a time, at least 1. */
  concurrency: number;
  /** Results that are running or wait to be taken, at least 1: what bounds the memory. */
  ahead: number;
  signal?: AbortSignal | undefined;
}

/**
 * Loads each item and gives the results in the order of the items. A load that fails is a result with status `rejected`, and the next
 * ones go on. `items` is asked for an item only when its load starts, and nothing starts before the first result is asked for.
 *
 * Once `signal` is aborted, or the consumer leaves its loop, the signal of each load is aborted and the iterator ends only when every
 * load has settled. After an abort it rejects with the signal's reason. Throws bad-input for a bound below 1.
 */
export function prefetch<Item, Result>(
  items: Iterable<Item>,
  load: (item: Item, signal: AbortSignal) => Promise<Result>,
  { concurrency, ahead, signal }: PrefetchOptions,
): AsyncGenerator<PromiseSettledResult<Result>, void, void> {
  for (const [where, got] of Object.entries({ concurrency, ahead })) {
    if (Number.isSafeInteger(got) && got >= 1) continue;
    throw new StamError('bad-input', {
      where,
      problem: 'not a valid bound',
      got: `${got}`,
      expected: 'an integer from 1',
    });
  }
  return generate(items[Symbol.iterator](), load, { concurrency, ahead, signal });
}

async function* generate<Item, Result>(
  items: Iterator<Item>,
  load: (item: Item, signal: AbortSignal) => Promise<Result>,
  { concurrency, ahead, signal }: PrefetchOptions,
): AsyncGenerator<PromiseSettledResult<Result>, void, void> {
  throwIfAborted(signal);
  /** One for each load that runs: Node warns of a signal that many listen to. */
  const running = new Set<AbortController>();
  let stopped = false;
  const stop = () => {
    stopped = true;
    for (const controller of running) controller.abort(signal?.reason);
  };
  signal?.addEventListener('abort', stop, { once: true });
  /** Results in the order of the items, the running ones among them. None of these promises rejects. */
  const pending: Promise<PromiseSettledResult<Result>>[] = [];
  let exhausted = false;
  /** What `items` threw: it is thrown on when all that came before has been taken. */
  let itemsError: { error: unknown } | undefined;

  async function settle(item: Item, controller: AbortController): Promise<PromiseSettledResult<Result>> {
    try {
      throwIfAborted(controller.signal);
      return { status: 'fulfilled', value: await load(item, controller.signal) };
    } catch (reason) {
      return { status: 'rejected', reason };
    } finally {
      running.delete(controller);
      start();
    }
  }

  function start(): void {
    while (!exhausted && !stopped && running.size < concurrency && pending.length < ahead) {
      let next: IteratorResult<Item>;
      try {
        next = items.next();
      } catch (error) {
        itemsError = { error };
        exhausted = true;
        return;
      }
      if (next.done) {
        exhausted = true;
        return;
      }
      const controller = new AbortController();
      running.add(controller);
      const item = next.value;
      // on a later turn: a load that settles at once must find itself among the pending
      pending.push(Promise.resolve().then(() => settle(item, controller)));
    }
  }

  try {
    start();
    for (let first = pending[0]; first !== undefined; first = pending[0]) {
      const result = await first;
      throwIfAborted(signal);
      pending.shift();
      start();
      yield result;
      throwIfAborted(signal);
    }
    if (itemsError) throw itemsError.error;
  } finally {
    signal?.removeEventListener('abort', stop);
    stop();
    await Promise.all(pending);
    if (!exhausted) items.return?.();
  }
}
