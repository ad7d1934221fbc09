// Work that several wait for.
import { expect, test } from 'vitest';
import { SharedWork } from '../../engine/shared-work.ts';

/** Work that ends when the test says so, or with the reason when it is given up. */
function work() {
  const begun: AbortSignal[] = [];
  let [finish, fail] = [(_: string) => {}, (_: Error) => {}];
  const shared = new SharedWork<string>((signal) => {
    begun.push(signal);
    return new Promise((resolve, reject) => {
      [finish, fail] = [resolve, reject];
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  });
  return { shared, begun, finish: (value: string) => finish(value), fail: (error: Error) => fail(error) };
}

test('is begun once, and its outcome is told to all', async () => {
  const { shared, begun, finish } = work();
  const waiting = [shared.wait(), shared.wait(new AbortController().signal)];
  finish('made');
  expect(await Promise.all([...waiting, shared.wait()])).toEqual(['made', 'made', 'made']);
  expect(begun).toHaveLength(1);
  expect([begun[0].aborted, shared.isGivenUp]).toEqual([false, false]);
});

test('a failure is told to all, and to those who come later', async () => {
  const { shared, fail } = work();
  const first = shared.wait();
  fail(new Error('broken'));
  await expect(first).rejects.toThrow('broken');
  await expect(shared.wait()).rejects.toThrow('broken');
  expect(shared.isGivenUp).toBe(false);
});

test('goes on for those who still wait, and is given up with the last', async () => {
  const { shared, begun } = work();
  const [first, second] = [new AbortController(), new AbortController()];
  const waiting = [shared.wait(first.signal), shared.wait(undefined, second.signal)];
  first.abort(new Error('first'));
  await expect(waiting[0]).rejects.toThrow('first');
  expect([begun[0].aborted, shared.isGivenUp]).toEqual([false, false]);
  second.abort(new Error('second'));
  await expect(waiting[1]).rejects.toThrow('second');
  expect([begun[0].aborted, shared.isGivenUp]).toEqual([true, true]);
  await expect(shared.outcome).rejects.toMatchObject({ name: 'AbortError' });
});

test('that is over is not given up any more', async () => {
  const { shared, begun, finish } = work();
  finish('made');
  await shared.outcome;
  await expect(shared.wait(AbortSignal.abort(new Error('late')))).rejects.toThrow('late');
  expect([begun[0].aborted, shared.isGivenUp]).toEqual([false, false]);
  expect(await shared.wait()).toBe('made');
});
