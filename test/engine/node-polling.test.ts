import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { ImmediateScope } from '../../engine/node-polling.ts';
import { pollPatiently } from '../../engine/node-polling.ts';

test('what native code asks for at once waits, and nothing else does', async () => {
  const asked: unknown[] = [];
  const atOnce = (...given: unknown[]) => void asked.push(given);
  const scope: ImmediateScope = { setImmediate: Object.assign(atOnce, setImmediate) as never };
  pollPatiently(scope);
  const { setImmediate: patiently } = scope;
  pollPatiently(scope);
  expect(scope.setImmediate).toBe(patiently); // a second call puts nothing on top
  const script = (..._: number[]) => undefined;
  patiently(script, 1, 2);
  expect(asked).toEqual([[script, 1, 2]]);
  await new Promise<void>((resolve) => patiently(resolve.bind(undefined))); // a bound function shows no source either
  expect(asked).toHaveLength(1);
  expect(await promisify(patiently)('kept')).toBe('kept');
});
