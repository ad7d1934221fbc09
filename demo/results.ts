// The answer: bars for the most probable classes, and what each stage took.
import type { Prediction } from '../index.ts';
import { byId, element, formatDuration } from './dom.ts';

/** Rows that are always there, so that nothing moves when the answer comes. */
export const shownClasses = 5;

export type Stage = 'load' | 'read' | 'decode' | 'compute';

export function clearResults(): void {
  showRows([]);
  for (const stage of ['read', 'decode', 'compute'] as const) showTime(stage, undefined);
}

/** Shows the classes; `announced` says whether assistive technology reads the first one aloud. */
export function showPredictions(predictions: readonly Prediction[], announced = true): void {
  showRows(predictions);
  const [best] = predictions;
  if (announced && best) {
    byId('announcement', HTMLElement).textContent = `${nameOf(best)}, ${percent(best.score)}`;
  }
}

/** Shows the milliseconds of a stage; undefined stands for not yet. */
export function showTime(stage: Stage, ms: number | undefined): void {
  byId(`time-${stage}`, HTMLElement).textContent = ms === undefined ? '\u2013' : formatDuration(ms);
}

function showRows(predictions: readonly Prediction[]): void {
  const rows = Array.from({ length: shownClasses }, (_, i) => {
    const prediction = predictions[i];
    const fill = element('span', 'bar-fill');
    fill.style.width = `${100 * (prediction?.score ?? 0)}%`;
    const bar = element('span', 'bar', fill);
    bar.setAttribute('aria-hidden', 'true');
    return element(
      'li',
      prediction ? 'class' : 'class class-empty',
      element('span', 'class-name', prediction ? nameOf(prediction) : '\u2013'),
      element('span', 'class-score', prediction ? percent(prediction.score) : ''),
      bar,
    );
  });
  byId('classes', HTMLElement).replaceChildren(...rows);
}

const nameOf = ({ index, label }: Prediction) => label ?? `class ${index}`;
const percent = (score: number) => `${(100 * score).toFixed(1)} %`;
