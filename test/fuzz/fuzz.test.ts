// A few thousand inputs of the fuzzer; `npm run fuzz` runs as many as one likes.
import { describe, expect, test } from 'vitest';
import { fuzz } from './fuzz.ts';

describe('mutated checkpoints end in values or in a StamError', () => {
  test.each([1, 2, 3])('seed %i', async (seed) => {
    const { inputs, outcomes } = await fuzz({ seed, inputs: 1500 });
    expect(inputs).toBe(1500);
    // mutations that leave nothing to read, or nothing to refuse, would test nothing
    const count = (pattern: RegExp) =>
      [...outcomes].reduce((sum, [outcome, inputs]) => sum + (pattern.test(outcome) ? inputs : 0), 0);
    expect(count(/^read/)).toBeGreaterThan(50);
    expect(count(/^refused: bad-checkpoint/)).toBeGreaterThan(500);
    expect(count(/^opened, then refused/)).toBeGreaterThan(0);
  });
});
