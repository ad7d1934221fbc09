// Videos per second: the same video again and again, its pixels in GPU memory, each answer read back before the next begins.
import type { Stam } from '../index.ts';
import { rowLayout } from '../index.ts';

/** Most runs that count, and the time after which no new one begins. */
export const mostRuns = 24;
const mostMs = 10_000;

/** The milliseconds of each run, after one that does not count. `onRun` is told of all so far. Rejects when the signal is aborted. */
export async function benchmark(
  stam: Stam,
  device: GPUDevice,
  { signal, onRun }: { readonly signal: AbortSignal; readonly onRun: (times: readonly number[]) => void },
): Promise<readonly number[]> {
  const { frames, imageSize } = stam.config;
  const size = 4 * rowLayout.elements([frames, 3, imageSize, imageSize]);
  const pixels = device.createBuffer({
    label: 'benchmark',
    size,
    usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  try {
    device.queue.writeBuffer(pixels, 0, Float32Array.from({ length: size / 4 }, Math.random));
    await stam.logits(pixels, { signal });
    const times: number[] = [];
    const begin = performance.now();
    do {
      const start = performance.now();
      await stam.logits(pixels, { signal });
      times.push(performance.now() - start);
      onRun(times);
    } while (times.length < mostRuns && performance.now() - begin < mostMs);
    return times;
  } finally {
    pixels.destroy();
  }
}
