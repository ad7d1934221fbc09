// frameConv: from the pixels of frames to channels, by a convolution within each frame.
import type { StorageType } from '../engine/dtype.ts';
import type { Graph, Value } from '../engine/graph.ts';
import type { Kernel } from '../engine/kernel.ts';
import { linearGrid } from '../engine/kernel.ts';
import { elementCount, quads } from '../engine/shape.ts';
import { frameConvRow } from './convolution-definitions.ts';
import { expectTensor } from './expect.ts';
import source from './frame-conv.wgsl';
import { storageOf } from './storage.ts';
import { tapLayout } from './taps.ts';

/** What frameConv() takes beside the frames. */
export interface FrameConvOptions {
  readonly name: string;
  /** [C, I, 1, k, k] in f32, in tapLayout; k odd. */
  readonly weight: Value;
  readonly stride: number;
  /** Pixels are normalised first: (x - mean) / deviation. */
  readonly mean: number;
  readonly deviation: number;
  readonly storage: StorageType;
}

/** Columns and quads of channels of an invocation: many make the most of each load, few make the most invocations. */
const tiles = [
  { columns: 8, quads: 2 },
  { columns: 4, quads: 1 },
] as const;
type Tile = (typeof tiles)[number];

/**
 * Pixels to channels, zeros around the frame: [V, I, T, S, S] in f32 -> [V, T, S', S', C], where S' = ceil(S / stride). Throws
 * shape-mismatch for a tensor of another shape, storage type or layout.
 */
export function frameConv(graph: Graph, frames: Value, options: FrameConvOptions): Value {
  const { name, weight, stride, mean, deviation, storage: type } = options;
  const [videos, planes, count, size] = frames.shape;
  const [channels, , , kernel] = weight.shape;
  expectTensor(name, frames, [videos, planes, count, size, size], 'f32');
  expectTensor(name, weight, [channels, planes, 1, kernel, kernel], 'f32', tapLayout);
  const outSize = Math.ceil(size / stride);
  const shape = [videos, count, outSize, outSize, channels];
  const output = graph.activation(name, shape, type);
  /** Pixels of a line that a tile's columns touch; the kernel has a bit for each in a word. */
  const spanOf = ({ columns }: Tile) => (columns - 1) * stride + kernel;
  const hasBits = (tile: Tile) => spanOf(tile) <= 32;
  graph.add({
    name,
    operator: 'frameConv',
    inputs: { frames, weight },
    outputs: { output },
    flops: 2 * planes * kernel * kernel * elementCount(shape),
    candidates: (capabilities) => {
      const storage = storageOf(type, capabilities);
      const kernels = tiles.filter(hasBits).map((tile): Kernel => {
        const laneQuads = Math.min(tile.quads, quads(channels));
        const parts = Math.ceil(quads(channels) / laneQuads);
        const invocations = videos * count * outSize * Math.ceil(outSize / tile.columns) * parts;
        return {
          name: 'frame-conv',
          tile: `${tile.columns} columns, ${tile.quads} quads`,
          variant: `${tile.columns}x${tile.quads} ${storage.label} ${kernel}x${kernel} of ${planes}x${count}x${size}x${size}, ${channels} channels every ${stride}`,
          source,
          imports: { storage: storage.text },
          constants: {
            PLANES: planes,
            FRAMES: count,
            SIZE: size,
            PITCH: quads(size) * 4,
            OUT_SIZE: outSize,
            QUADS: quads(channels),
            LANE_QUADS: laneQuads,
            COLUMNS: tile.columns,
            SUMS: tile.columns * laneQuads,
            SPAN: spanOf(tile),
            STRIDE: stride,
            PAD: (kernel - 1) / 2,
            KH: kernel,
            KW: kernel,
            MEAN: mean,
            DEVIATION: deviation,
          },
          params: {
            count: invocations,
            lines: planes * kernel,
            last: videos * planes * count * size * quads(size) * 4 - 1,
          },
          workgroups: linearGrid(Math.ceil(invocations / 64)),
          features: storage.features,
        };
      });
      return capabilities.adapter.software ? kernels : kernels.toReversed();
    },
    check: {
      shapes: { frames: [1, ...frames.shape.slice(1)] },
      build: (small, operands) => frameConv(small, operands['frames'], { ...options, ...operands }),
      row: frameConvRow(frames.shape, weight.shape, options),
    },
  });
  return output;
}
