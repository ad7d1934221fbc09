// What `npm test` runs of the suites that take minutes. `npm run test:all` runs all of them, and so does `npx vitest run --mode all FILE`.
import { appendFileSync } from 'node:fs';
import { test } from 'vitest';

export const runsAll = process.env['STAM_TESTS'] === 'all';

/** The same `count` of the cases each time, evenly spread, the first among them; all where all shall run. `of` says what they are. */
export function sampleOf<T>(of: string, cases: readonly T[], count: number): readonly T[] {
  if (runsAll || cases.length <= count) return cases;
  noteSample(`${count} of ${cases.length} ${of}`);
  return Array.from({ length: count }, (_, i) => cases[Math.floor((i * cases.length) / count)]);
}

/** A test of a minute: it runs where all shall run, and is named at the end of a run that leaves it out. */
export function longTest(name: string, body: () => Promise<void>): void {
  longTests(name)(name, body);
}

/** Vitest's `test` for a file of minutes, as longTest() has it; `what` says of what the tests are. */
export function longTests(what: string): typeof test | typeof test.skip {
  if (runsAll) return test;
  noteSample(`none of: ${what}`);
  return test.skip;
}

/** Has the run say at its end what it left out. */
export function noteSample(what: string): void {
  const file = process.env['STAM_SAMPLES'];
  if (file) appendFileSync(file, `${what}\n`);
}
