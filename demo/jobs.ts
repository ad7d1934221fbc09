// Long work: one piece at a time, with a bar, its time so far, and a button that ends it.
import { byId, formatDuration } from './dom.ts';

/** What a piece of work is given. */
export interface Job {
  /** Aborted by the button, and by the next job. */
  readonly signal: AbortSignal;
  /** Says what is being done, and how much of it, in 0..1, where that is known. */
  report(text: string, fraction?: number): void;
}

/** Runs jobs one after another; a new one ends the one before. */
export class Jobs {
  readonly #panel = byId('progress', HTMLElement);
  readonly #text = byId('progress-text', HTMLElement);
  readonly #time = byId('progress-time', HTMLElement);
  readonly #bar = byId('progress-bar', HTMLProgressElement);
  readonly #onError: (error: unknown) => void;
  #current: AbortController | undefined;
  #last: Promise<void> = Promise.resolve();

  /** `onError` is told what made a job fail; being ended is no failure. */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
    byId('cancel', HTMLButtonElement).addEventListener('click', () => this.cancel());
  }

  /** Settles when the work is over, whatever its outcome. */
  run(work: (job: Job) => Promise<void>): Promise<void> {
    this.cancel();
    const controller = new AbortController();
    this.#current = controller;
    this.#last = this.#last.then(() => this.#carryOut(controller, work));
    return this.#last;
  }

  cancel(): void {
    this.#current?.abort();
  }

  async #carryOut(controller: AbortController, work: (job: Job) => Promise<void>): Promise<void> {
    const { signal } = controller;
    if (signal.aborted) return;
    const begin = performance.now();
    const showTime = () => {
      this.#time.textContent = formatDuration(1000 * Math.floor((performance.now() - begin) / 1000));
    };
    const clock = setInterval(showTime, 1000);
    this.#time.textContent = '';
    this.#panel.dataset['busy'] = 'yes';
    try {
      await work({ signal, report: (text, fraction) => this.#report(text, fraction) });
    } catch (error) {
      if (!signal.aborted) this.#onError(error);
    } finally {
      clearInterval(clock);
      delete this.#panel.dataset['busy'];
      this.#report('');
    }
  }

  #report(text: string, fraction?: number): void {
    // assistive technology reads the text aloud when it changes, so it is left alone when it does not
    if (this.#text.textContent !== text) this.#text.textContent = text;
    if (fraction === undefined) this.#bar.removeAttribute('value');
    else this.#bar.value = fraction;
  }
}
