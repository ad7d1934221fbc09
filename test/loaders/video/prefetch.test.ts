import { describe, expect, test } from 'vitest';
import { prefetch } from '../../../loaders/video/prefetch.ts';

/** Loads that settle when the test says so; each is known by its item. */
function manualLoads() {
  const started: number[] = [];
  const waiting = new Map<number, { resolve: (value: string) => void; reject: (reason: unknown) => void }>();
  const load = (item: number, signal: AbortSignal) =>
    new Promise<string>((resolve, reject) => {
      started.push(item);
      waiting.set(item, { resolve, reject });
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  const finish = async (item: number) => {
    waiting.get(item)?.resolve(`result ${item}`);
    await turns();
  };
  return { started, load, finish, waiting };
}

/** Lets everything happen that needs no further event. */
const turns = () => new Promise((resolve) => setImmediate(resolve));

const fulfilled = (item: number) => ({ done: false, value: { status: 'fulfilled', value: `result ${item}` } });

function* numbers(end: number, onPull?: (item: number) => void): Generator<number> {
  for (let item = 0; item < end; item++) {
    onPull?.(item);
    yield item;
  }
}

describe('prefetch', () => {
  test('gives results in the order of the items, whichever is ready first', async () => {
    const { load, finish } = manualLoads();
    const results = prefetch(numbers(3), load, { concurrency: 3, ahead: 3 });
    const first = results.next();
    await turns();
    await finish(2);
    await finish(1);
    await finish(0);
    expect(await first).toEqual(fulfilled(0));
    expect(await results.next()).toEqual(fulfilled(1));
    expect(await results.next()).toEqual(fulfilled(2));
    expect(await results.next()).toEqual({ done: true, value: undefined });
  });

  test('a failure is a result, and the next ones go on', async () => {
    const failure = new Error('broken');
    const load = async (item: number) => {
      if (item === 1) throw failure;
      return item;
    };
    const results = [];
    for await (const result of prefetch([0, 1, 2], load, { concurrency: 2, ahead: 2 })) results.push(result);
    expect(results).toEqual([
      { status: 'fulfilled', value: 0 },
      { status: 'rejected', reason: failure },
      { status: 'fulfilled', value: 2 },
    ]);
  });

  test('a load that throws instead of rejecting is a failure like any other', async () => {
    const failure = new Error('at once');
    const load = (): Promise<number> => {
      throw failure;
    };
    const results = prefetch([0], load, { concurrency: 1, ahead: 1 });
    expect(await results.next()).toEqual({ done: false, value: { status: 'rejected', reason: failure } });
  });

  test('runs no more than `concurrency` loads at a time', async () => {
    const { load, finish, started } = manualLoads();
    const results = prefetch(numbers(5), load, { concurrency: 2, ahead: 5 });
    const first = results.next();
    await turns();
    expect(started).toEqual([0, 1]);
    await finish(1);
    expect(started).toEqual([0, 1, 2]);
    await finish(2);
    await finish(0);
    expect(started).toEqual([0, 1, 2, 3, 4]);
    await first;
    await results.return();
  });

  test('holds no more than `ahead` results, taken ones aside', async () => {
    const { load, finish, started } = manualLoads();
    const pulled: number[] = [];
    const results = prefetch(
      numbers(9, (item) => pulled.push(item)),
      load,
      { concurrency: 8, ahead: 3 },
    );
    const first = results.next();
    await turns();
    await finish(2);
    await finish(1);
    expect(started).toEqual([0, 1, 2]);
    expect(pulled).toEqual([0, 1, 2]);
    await finish(0);
    await first;
    await turns();
    expect(started).toEqual([0, 1, 2, 3]); // one taken, one more begun
    await results.return();
  });

  test('loads go on while a result is used', async () => {
    const { load, finish, started } = manualLoads();
    const results = prefetch(numbers(9), load, { concurrency: 1, ahead: 3 });
    const first = results.next();
    await turns();
    await finish(0);
    await first;
    await finish(1);
    await finish(2);
    expect(started).toEqual([0, 1, 2, 3]);
    await results.return();
  });

  test('nothing starts before the first result is asked for', async () => {
    const { load, started } = manualLoads();
    const results = prefetch(numbers(3), load, { concurrency: 3, ahead: 3 });
    await turns();
    expect(started).toEqual([]);
    expect(await results.return()).toEqual({ done: true, value: undefined });
  });

  test('no item is no result', async () => {
    const { load } = manualLoads();
    expect(await prefetch([], load, { concurrency: 1, ahead: 1 }).next()).toEqual({ done: true, value: undefined });
  });

  test('what the items throw comes after the results before it', async () => {
    const failure = new Error('no more items');
    function* items() {
      yield 0;
      throw failure;
    }
    const results = prefetch(items(), async (item) => item, { concurrency: 4, ahead: 4 });
    expect(await results.next()).toEqual({ done: false, value: { status: 'fulfilled', value: 0 } });
    await expect(results.next()).rejects.toBe(failure);
  });
});

describe('an end before the end', () => {
  /** Loads that notice an abort, but take until `release` to clean up after it. */
  function slowToStop() {
    let release = () => {};
    const cleaned = new Promise<void>((resolve) => {
      release = resolve;
    });
    const aborted: number[] = [];
    const load = (item: number, signal: AbortSignal) =>
      new Promise<number>((resolve, reject) => {
        if (item === 0) resolve(0);
        signal.addEventListener('abort', () => {
          aborted.push(item);
          cleaned.then(() => reject(signal.reason));
        });
      });
    return { load, release: () => release(), aborted };
  }

  test('leaving the loop aborts what runs, and waits for it', async () => {
    const { load, release, aborted } = slowToStop();
    let closed = false;
    function* items() {
      try {
        yield* numbers(9);
      } finally {
        closed = true;
      }
    }
    const results = prefetch(items(), load, { concurrency: 3, ahead: 3 });
    await results.next();
    let ended = false;
    const end = results.return().then(() => {
      ended = true;
    });
    await turns();
    expect(aborted).toEqual([1, 2, 3]); // 0 was done
    expect(ended).toBe(false);
    release();
    await end;
    expect(closed).toBe(true);
  });

  test('an abort does so too, and rejects with its reason', async () => {
    const { load, release, aborted } = slowToStop();
    const controller = new AbortController();
    const results = prefetch(numbers(9), load, { concurrency: 3, ahead: 3, signal: controller.signal });
    await results.next();
    const next = results.next();
    let ended = false;
    next.catch(() => {
      ended = true;
    });
    await turns();
    const reason = new DOMException('enough', 'AbortError');
    controller.abort(reason);
    await turns();
    expect(aborted).toEqual([1, 2, 3]); // 0 was done
    expect(ended).toBe(false);
    release();
    await expect(next).rejects.toBe(reason);
    expect(await results.next()).toEqual({ done: true, value: undefined });
  });

  test('an abort while a result is used shows at the next one', async () => {
    const controller = new AbortController();
    const load = async (item: number) => item;
    const results = prefetch(numbers(9), load, { concurrency: 2, ahead: 4, signal: controller.signal });
    await results.next();
    controller.abort();
    await expect(results.next()).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('each load listens to a signal of its own, for Node warns of many listeners', async () => {
    const signals = new Set<AbortSignal>();
    const load = async (_: number, signal: AbortSignal) => signals.add(signal);
    for await (const { status } of prefetch(numbers(20), load, { concurrency: 20, ahead: 20 })) {
      expect(status).toBe('fulfilled');
    }
    expect(signals.size).toBe(20);
  });

  test('nothing starts on a signal that is aborted already', async () => {
    const { load, started } = manualLoads();
    const results = prefetch(numbers(3), load, { concurrency: 3, ahead: 3, signal: AbortSignal.abort() });
    await expect(results.next()).rejects.toMatchObject({ name: 'AbortError' });
    expect(started).toEqual([]);
  });
});

test.each([
  [{ concurrency: 0, ahead: 1 }, 'concurrency: not a valid bound; got 0'],
  [{ concurrency: 1, ahead: 0.5 }, 'ahead: not a valid bound; got 0.5'],
  [{ concurrency: Number.NaN, ahead: 1 }, 'concurrency: not a valid bound; got NaN'],
])('%j is refused at once', (bounds, message) => {
  expect(() => prefetch([0], async () => 0, bounds)).toThrow(
    expect.objectContaining({ code: 'bad-input', message: expect.stringContaining(message) }),
  );
});
