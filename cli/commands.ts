// All commands of `stam`, in the order of --help.

import { bench } from './bench.ts';
import { classify } from './classify.ts';
import type { Command } from './command.ts';
import { convert } from './convert.ts';
import { infer } from './infer.ts';
import { info } from './info.ts';
import { inspect } from './inspect.ts';
import { merge } from './merge.ts';
import { peers } from './peers.ts';
import { run } from './run.ts';
import { selftest } from './selftest.ts';

/** What `stam COMMAND` can be. */
export const commands: readonly Command[] = [
  bench,
  peers,
  infer,
  merge,
  classify,
  run,
  convert,
  inspect,
  selftest,
  info,
];
