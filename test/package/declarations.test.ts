// The published types must be such as TypeScript before 5.7 can read, in which Uint8Array has no type parameter.
import { expect, test } from 'vitest';
import { rollUpDeclarations, withoutArrayParameters } from '../../build/declarations.mjs';

test('typed arrays of an ArrayBuffer get a name that any TypeScript can read', () => {
  const text = 'declare const a: Promise<Uint8Array<ArrayBuffer>>;\ndeclare const b: Promise<ArrayBuffer>;\n';
  expect(withoutArrayParameters(text)).toBe(
    "type Uint8ArrayOfBuffer = ReturnType<Uint8ArrayConstructor['of']>;\n" +
      'declare const a: Promise<Uint8ArrayOfBuffer>;\ndeclare const b: Promise<ArrayBuffer>;\n',
  );
});

test('the types of this package have no other typed array with a type parameter', async () => {
  const before = await rollUpDeclarations();
  const arrays = /\b(?:Big)?(?:Int|Uint|Float)\d+(?:Clamped)?Array<[^>]*>/g;
  expect(before.match(arrays)).not.toBeNull();
  expect(withoutArrayParameters(before).match(arrays)).toBeNull();
});
