// How a tensor's elements lie in GPU memory.
import type { Capabilities } from './device.ts';
import type { StorageType } from './dtype.ts';
import type { Shape } from './shape.ts';
import { quads, rowCount, rowLength } from './shape.ts';

/** A rule from row-major elements to positions in a buffer. Kernels name the layout in which they want a weight. */
export interface Layout {
  readonly name: string;
  /** Elements in memory, padding included; a multiple of four. */
  elements(shape: Shape): number;
  /**
   * Row-major float32 to this layout; padding is zero. Returns its argument where the two are the same, else what `allocate` gives:
   * zeros, of this many elements.
   */
  pack(data: Float32Array<ArrayBuffer>, shape: Shape, allocate?: Allocate): Float32Array<ArrayBuffer>;
  /** The layout to use in place of this one on such a device, where that depends on the device; it has as many elements. */
  on?(capabilities: Capabilities, storage: StorageType): Layout;
}

export type Allocate = (elements: number) => Float32Array<ArrayBuffer>;

/** What `pack` allocates with, unless told otherwise. */
export const newArray: Allocate = (elements) => new Float32Array(elements);

/**
 * The layout of every activation, input and output: row-major, each row padded to whole quads (groups of four elements), so that
 * kernels always load and store four at a time. A row of a multiple of four elements has no padding. Padding holds zeros.
 */
export const rowLayout: Layout = {
  name: 'rows',
  elements: (shape) => rowCount(shape) * quads(rowLength(shape)) * 4,
  pack(data, shape, allocate = newArray) {
    const length = rowLength(shape);
    const pitch = quads(length) * 4;
    if (pitch === length) return data;
    const padded = allocate(rowCount(shape) * pitch);
    for (let row = 0; row < rowCount(shape); row++) {
      padded.set(data.subarray(row * length, (row + 1) * length), row * pitch);
    }
    return padded;
  },
};

/** Undoes rowLayout.pack. */
export function unpadRows(data: Float32Array<ArrayBuffer>, shape: Shape): Float32Array<ArrayBuffer> {
  const length = rowLength(shape);
  const pitch = quads(length) * 4;
  if (pitch === length) return data;
  const rows = rowCount(shape);
  const dense = new Float32Array(rows * length);
  for (let row = 0; row < rows; row++) {
    dense.set(data.subarray(row * pitch, row * pitch + length), row * length);
  }
  return dense;
}
