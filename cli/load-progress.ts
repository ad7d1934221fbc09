// Loading and running a model as progress bars.
import type { LoadProgress } from '../model/network.ts';
import type { Context } from './command.ts';
import type { Progress } from './progress.ts';

/** A bar over the problems tuned, if any, and one over the bytes of weights that have reached the GPU. Each begins with its first report. */
export function loadProgress(begin: Context['progress']): { update(progress: LoadProgress): void; finish(): void } {
  let tuning: Progress | undefined;
  let bar: Progress | undefined;
  return {
    update({ stage, loaded, total }) {
      if (stage === 'tune') {
        tuning ??= begin('tuning kernels', total, 'problems');
        tuning.update(loaded);
        if (loaded === total) tuning.finish();
      }
      if (stage !== 'upload') return;
      bar ??= begin('loading weights', total, 'bytes');
      bar.update(loaded);
    },
    finish() {
      bar?.finish();
    },
  };
}

/** A bar over the work of a run, in billions of floating-point operations. */
export function computeProgress(
  begin: Context['progress'],
  label: string,
): { update(done: number, total: number): void; finish(): void } {
  let bar: Progress | undefined;
  return {
    update(done, total) {
      bar ??= begin(label, Math.round(total / 1e9), 'GFLOP');
      bar.update(Math.round(done / 1e9));
    },
    finish() {
      bar?.finish();
    },
  };
}
