// averagePool: means over windows of frames, lines and columns.
import type { StorageType } from '../engine/dtype.ts';
import type { Graph, Value } from '../engine/graph.ts';
import { linearGrid } from '../engine/kernel.ts';
import { elementCount, quads } from '../engine/shape.ts';
import source from './average-pool.wgsl';
import { averagePoolRow } from './convolution-definitions.ts';
import { expectTensor } from './expect.ts';
import resultF32 from './shared/result-f32.wgsl';
import resultSame from './shared/result-same.wgsl';
import { storageOf } from './storage.ts';

/** What averagePool() takes beside its input. */
export interface AveragePoolOptions {
  readonly name: string;
  /** Frames, lines and columns of a window; windows begin at every place where they fit. */
  readonly window: readonly [number, number, number];
  /** Storage type of the result; by default that of the input. f16 only where that is. */
  readonly result?: StorageType;
}

/**
 * Means over all windows of a size, the stride being one: [V, T, H, W, C] -> [V, T - kT + 1, H - kH + 1, W - kW + 1, C].
 * Throws shape-mismatch for a window larger than the input, and for a result in f16 of an input in f32.
 */
export function averagePool(graph: Graph, input: Value, options: AveragePoolOptions): Value {
  const { name, window, result = input.storage } = options;
  const [videos, frames, height, width, channels] = input.shape;
  const [kt, kh, kw] = window;
  const most = [videos, Math.max(kt, frames), Math.max(kh, height), Math.max(kw, width), channels];
  // kernels write their sums in f32 or as the input is stored
  expectTensor(name, input, most, result === 'f16' ? result : undefined);
  const places = [frames - kt + 1, height - kh + 1, width - kw + 1];
  const shape = [videos, ...places, channels];
  const output = graph.activation(name, shape, result);
  const count = videos * elementCount(places);
  graph.add({
    name,
    operator: 'averagePool',
    inputs: { input },
    outputs: { output },
    flops: elementCount(window) * elementCount(shape),
    candidates: (capabilities) => {
      const storage = storageOf(input.storage, capabilities);
      const [across, down] = linearGrid(count);
      return [
        {
          name: 'average-pool',
          variant: `${storage.label}${result === input.storage ? '' : `-${result}`} ${window.join('x')} of ${frames}x${height}x${width}x${channels}`,
          source,
          imports: { storage: storage.text, result: result === input.storage ? resultSame : resultF32 },
          constants: {
            T: frames,
            HEIGHT: height,
            WIDTH: width,
            OUT_T: places[0],
            OUT_HEIGHT: places[1],
            OUT_WIDTH: places[2],
            KH: kh,
            KW: kw,
            QUADS: quads(channels),
          },
          params: { window: elementCount(window), places: count },
          workgroups: [Math.ceil(quads(channels) / 16), across, down],
          features: storage.features,
        },
      ];
    },
    check: {
      shapes: { input: [1, ...input.shape.slice(1)] },
      build: (small, operands) => averagePool(small, operands['input'], options),
      row: averagePoolRow(input.shape, window),
    },
  });
  return output;
}
