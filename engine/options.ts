// What an app hands over is checked where it comes in: a wrong option shall not show as an error of something else, or not at all.
import { StamError } from './errors.ts';

/** Throws bad-input unless the option is a positive integer. */
export function expectCount(option: string, value: number): void {
  if (Number.isSafeInteger(value) && value > 0) return;
  throw new StamError('bad-input', { where: option, problem: 'no positive integer', got: shown(value) });
}

/** Throws bad-input unless the option is one of these words. */
export function expectOneOf(option: string, value: string, words: readonly string[]): void {
  if (words.includes(value)) return;
  const expected = words.join(', ');
  throw new StamError('bad-input', { where: option, problem: 'no such choice', got: shown(value), expected });
}

const shown = (value: unknown) => (typeof value === 'string' ? JSON.stringify(value) : String(value));
