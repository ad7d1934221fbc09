// What stays and what goes: by use, by being held, and never while somebody is on it.
import { expect, test } from 'vitest';
import { RecentlyUsed } from '../../model/recently-used.ts';

/** Things that are their keys, what was made and what was released of them, in order. */
function keep(used: number, held: number) {
  const made: string[] = [];
  const released: string[] = [];
  const kept = new RecentlyUsed<string>({ used, held }, (thing) => released.push(thing));
  const make = (key: string) => async () => {
    made.push(key);
    return key;
  };
  return {
    kept,
    made,
    released,
    use: (key: string) => kept.use(key, make(key), (thing) => `used ${thing}`),
    hold: (key: string) => kept.hold(key, make(key)),
  };
}

test('what was used longest ago goes', async () => {
  const { made, released, use } = keep(2, 0);
  for (const key of ['a', 'b', 'a', 'c', 'a']) expect(await use(key)).toBe(`used ${key}`);
  expect([made, released]).toEqual([['a', 'b', 'c'], ['b']]);
});

test('what is held stays, whatever is used, until as many others are held as may be', async () => {
  const { kept, made, released, use, hold } = keep(1, 2);
  await use('a');
  expect(kept.held('a')).toBeUndefined();
  await hold('a');
  for (const key of ['b', 'c', 'd']) await use(key);
  expect(kept.held('a')).toBe('a');
  expect(released).toEqual(['b', 'c']);
  await hold('e');
  expect(kept.held('a')).toBe('a'); // used after e, then
  await hold('f');
  expect(kept.held('e')).toBeUndefined();
  expect([made, released]).toEqual([
    ['a', 'b', 'c', 'd', 'e', 'f'],
    ['b', 'c', 'e'],
  ]);
});

test('nothing goes while somebody is on it, or waits for it', async () => {
  const { kept, released, use } = keep(1, 0);
  let finish = () => {};
  const long = kept.use(
    'a',
    async () => 'a',
    (thing) =>
      new Promise<string>((resolve) => {
        finish = () => resolve(`${thing}, still there: ${!released.includes('a')}`);
      }),
  );
  expect(await Promise.all(['b', 'c', 'd'].map(use))).toEqual(['used b', 'used c', 'used d']);
  expect(released).toEqual(['b', 'c']);
  finish();
  expect(await long).toBe('a, still there: true');
  await Promise.resolve();
  expect(released).toEqual(['b', 'c', 'a']);
});

test('what fails is told to whoever is on it, and is let go of like all else', async () => {
  const { kept, released, use } = keep(1, 0);
  const failing = kept.use(
    'a',
    async () => 'a',
    () => Promise.reject(new Error('no')),
  );
  await expect(Promise.all([failing, use('b')])).rejects.toThrow('no');
  await expect.poll(() => released).toEqual(['a']);
  const made = kept.use(
    'c',
    () => Promise.reject(new Error('never')),
    () => 'nothing',
  );
  await expect(made).rejects.toThrow('never');
  expect(await use('c')).toBe('used c');
});

test('what is held and idle is given away, to be held elsewhere', async () => {
  const { kept, released, use, hold } = keep(1, 1);
  await use('used');
  expect(kept.giveIdle('used')).toBeUndefined();
  const making = hold('held');
  expect(kept.giveIdle('held')).toBeUndefined();
  await making;
  const busy = kept.use(
    'held',
    async () => 'another',
    () => new Promise<string>((resolve) => setTimeout(resolve, 20, 'done')),
  );
  expect(kept.giveIdle('held')).toBeUndefined();
  await busy;
  expect(kept.giveIdle('held')).toBe('held');
  expect(kept.held('held')).toBeUndefined();
  const other = keep(0, 1);
  other.kept.adopt('held', 'held');
  expect(other.kept.held('held')).toBe('held');
  kept.dispose();
  other.kept.dispose();
  await Promise.resolve();
  expect([released, other.released]).toEqual([['used'], ['held']]);
});

test('what takes the place of another lets that one go, also when it is made only later', async () => {
  const { kept, released } = keep(1, 1);
  const finish: ((thing: string) => void)[] = [];
  const late = () => new Promise<string>((resolve) => finish.push(resolve));
  const holding = kept.hold('a', late);
  kept.adopt('a', 'adopted');
  expect(kept.held('a')).toBe('adopted');
  finish[0]('late');
  expect(await holding).toBe('late');
  expect([kept.held('a'), released]).toEqual(['adopted', ['late']]);
  // given up, and made nevertheless
  const controller = new AbortController();
  const aborted = kept.use('b', late, (thing) => thing, controller.signal);
  controller.abort();
  await expect(aborted).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  const again = kept.use('b', late, (thing) => thing);
  finish[1]('given up');
  finish[2]('again');
  expect(await again).toBe('again');
  expect(released).toEqual(['late', 'given up']);
});

test('dispose() releases each once, also what is in use and what is not made yet', async () => {
  const { kept, released, use, hold } = keep(1, 1);
  await hold('held');
  await use('used');
  let finish = (_: string) => {};
  const late = kept.use(
    'late',
    () =>
      new Promise<string>((resolve) => {
        finish = resolve;
      }),
    (thing) => thing,
  );
  const busy = kept.use(
    'busy',
    async () => 'busy',
    () => new Promise<string>((resolve) => setTimeout(resolve, 20, 'done')),
  );
  kept.dispose();
  finish('late');
  expect(await Promise.all([late, busy])).toEqual(['late', 'done']);
  expect([...released].sort()).toEqual(['busy', 'held', 'late', 'used']);
  await expect(use('used')).rejects.toThrow('model: it was disposed of');
  await expect(hold('held')).rejects.toThrow(expect.objectContaining({ code: 'disposed' }));
});
