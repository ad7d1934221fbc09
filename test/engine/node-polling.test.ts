import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { ImmediateScope } from '../../engine/node-polling.ts';
import { pollPatiently } from '../../engine/node-polling.ts';

/** What settles a promise. */
const settler = () =>
  new Promise<{ settle: () => void }>((resolve) => resolve({ settle: resolve as () => void })).then(
    ({ settle }) => settle,
  );

test('what a binding asks for at once waits, and nothing else does', async () => {
  const asked: unknown[] = [];
  const atOnce = (...given: unknown[]) => void asked.push(given);
  const scope: ImmediateScope = { setImmediate: Object.assign(atOnce, setImmediate) as never };
  pollPatiently(scope);
  const { setImmediate: patiently } = scope;
  pollPatiently(scope);
  expect(scope.setImmediate).toBe(patiently); // a second call puts nothing on top
  const script = (..._: number[]) => undefined;
  patiently(script, 1, 2);
  // what settles a promise shows no source, nor does what is bound
  const others = [await settler(), script.bind(undefined)];
  for (const other of others) patiently(other);
  expect(asked).toEqual([[script, 1, 2], ...others.map((other) => [other])]);
  const ofBinding = Function.prototype as () => void; // native, without a name or arguments
  const handle = patiently(ofBinding);
  expect(asked).toHaveLength(3);
  expect(handle).toHaveProperty('refresh'); // a timer's
  expect(await promisify(patiently)('kept')).toBe('kept');
});
