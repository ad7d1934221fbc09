// All commands of `stam`, in the order of --help.
import type { Command } from './command.ts';
import { inspect } from './inspect.ts';

/** What `stam COMMAND` can be. */
export const commands: readonly Command[] = [inspect];
