// One program of a comparison, seen from outside: a process that is given tasks and may be ended at any time.
import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { StamError, throwIfAborted } from '../../engine/errors.ts';
import type { Answer, TaskName, Tasks } from './protocol.ts';

export interface ProgramOptions {
  /** What the process runs; it is told the name as its argument. */
  readonly file: string;
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
}

/** What `ask` gives when the time was over first. The process has been ended then. */
export const outOfTime = Symbol('out of time');

type Reply = Tasks[TaskName]['reply'];

export class Program {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #signal: AbortSignal;
  /** Settles the task that the process is at. */
  #settle: ((outcome: Reply | typeof outOfTime | Error) => void) | undefined;
  #stderr = '';
  /** How the process ended, once it has. */
  #lastWords: string | undefined;

  constructor({ file, name, env, signal }: ProgramOptions) {
    this.name = name;
    this.#signal = signal;
    this.#child = fork(file, [name], {
      env,
      execArgv: [],
      serialization: 'advanced', // logits stay a Float32Array
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = `${this.#stderr}${text}`.slice(-4000); // for the message, should it fail
    });
    this.#child.on('message', (answer: Answer) => {
      this.#settle?.('error' in answer ? new Error(answer.error) : answer.reply);
    });
    this.#child.on('error', (error) => this.#settle?.(error));
    // not 'exit': 'close' comes after the last of stderr
    this.#child.on('close', (code, by) => {
      const line = this.#stderr.trim().split('\n').at(-1);
      this.#lastWords = `the process ended with ${by ?? `exit ${code}`}${line ? `: ${line}` : ''}`;
      this.#settle?.(new Error(this.#lastWords));
    });
    signal.addEventListener('abort', () => this.end(), { once: true });
  }

  /**
   * Gives the process a task, one at a time, and waits for the reply, for at most `limitMs`; then the process is ended. Throws
   * unsupported, with the program's own words, when it fails or has ended, and the signal's reason once that is aborted.
   */
  async ask<Name extends TaskName>(
    task: Name,
    request: Tasks[Name]['request'],
    limitMs?: number,
  ): Promise<Tasks[Name]['reply'] | typeof outOfTime> {
    throwIfAborted(this.#signal);
    const outcome = await new Promise<Reply | typeof outOfTime | Error>((resolve) => {
      const timer = limitMs === undefined ? undefined : setTimeout(() => resolve(outOfTime), limitMs);
      this.#settle = (settled) => {
        clearTimeout(timer);
        resolve(settled);
      };
      if (this.#lastWords !== undefined) this.#settle(new Error(this.#lastWords));
      // of a process that is ending, 'close' tells more than a channel that is closed already
      else this.#child.send({ task, request }, (error) => error && this.#child.connected && this.#settle?.(error));
    });
    this.#settle = undefined;
    throwIfAborted(this.#signal);
    if (outcome === outOfTime) this.end();
    if (outcome instanceof Error) {
      const where = `${this.name}: ${task}`;
      throw new StamError('unsupported', {
        where,
        problem: 'the program failed',
        got: outcome.message,
        cause: outcome,
      });
    }
    return outcome as Tasks[Name]['reply'] | typeof outOfTime;
  }

  /** Ends the process now: it may be inside a driver for minutes, where it hears nothing else. */
  end(): void {
    this.#child.kill('SIGKILL');
  }
}
