// The one layout in which every matmul kernel reads its weight.
import type { Layout } from '../engine/layout.ts';
import { elementCount } from '../engine/shape.ts';

/** Columns of a panel. */
export const panelColumns = 16;
const depthMultiple = 32;
const padTo = (count: number, multiple: number) => Math.ceil(count / multiple) * multiple;

/** K as it lies in memory. */
export const paddedDepth = (k: number): number => padTo(k, depthMultiple);

/**
 * The layout in which matmul kernels want a weight: PyTorch's [N, K] (or [N, ...], flattened) transposed and cut into panels of 16
 * columns, [N/16, K, 16], K padded to a multiple of 32. One layout serves every kernel family, so that the choice of a kernel never
 * binds a weight.
 */
export const panelLayout: Layout = {
  name: 'panels',
  elements: ([n, ...rest]) => padTo(n, panelColumns) * paddedDepth(elementCount(rest)),
  pack(data, [n, ...rest], allocate = (elements) => new Float32Array(elements)) {
    const k = elementCount(rest);
    const depth = paddedDepth(k);
    const packed = allocate(padTo(n, panelColumns) * depth);
    for (let column = 0; column < n; column++) {
      const panel = Math.floor(column / panelColumns) * depth * panelColumns + (column % panelColumns);
      for (let i = 0; i < k; i++) packed[panel + i * panelColumns] = data[column * k + i];
    }
    return packed;
  },
};
