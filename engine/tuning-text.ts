// A tuning in words. It is loaded with the tuner, and its words are kept with what it found.
import type { TunedPass, Tuning } from './tuned.ts';

/** By which clock it was tuned, for what there was no time, and what was found beside kernels. */
export function howText({ clock, untried, problems, units, pass }: Omit<Tuning, 'how'>): string {
  const unreached = problems.reduce((sum, one) => sum + one.unreached.length, 0);
  return [
    `by ${clock}`,
    ...(units ? [`${units} units measured`] : []),
    ...(untried ? [`${untried} cheaper problems take what their operator's costliest one got`] : []),
    ...(unreached ? [`there was no time for ${unreached} candidates`] : []),
    ...(pass ? [formatPass(pass)] : []),
  ].join('; ');
}

/** `64 at a time, measured (ms each: 0.31 by 32, 0.25 by 64, 0.25 by 128; not tried: 256)` */
export function formatPass({ items, tried, unreached }: TunedPass): string {
  const times = tried.map(({ items, ms }) => `${ms.toPrecision(3)} by ${items}`).join(', ');
  const others = unreached.length > 0 ? `; not tried: ${unreached.join(', ')}` : '';
  return `${items} at a time, measured (ms each: ${times}${others})`;
}
