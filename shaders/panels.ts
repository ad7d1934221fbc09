// The layouts in which matmul kernels read their weight: panels, or blocks on devices that multiply subgroup matrices.
import type { Layout } from '../engine/layout.ts';
import { newArray } from '../engine/layout.ts';
import { elementCount } from '../engine/shape.ts';
import { usableMatrices } from './usable-matrices.ts';

/** Columns of a panel. */
export const panelColumns = 16;
const depthMultiple = 32;
/** Neighbours in k of one column of a block. */
const blockDepth = 16;
const padTo = (count: number, multiple: number) => Math.ceil(count / multiple) * multiple;

/** K as it lies in memory. */
export const paddedDepth = (k: number): number => padTo(k, depthMultiple);

/**
 * The layout in which matmul kernels want a weight: PyTorch's [N, K] (or [N, ...], flattened) transposed and cut into panels of 16
 * columns, [N/16, K, 16], K padded to a multiple of 32. It is blockLayout on devices that multiply subgroup matrices. One layout serves
 * every kernel family of a device, so that the choice of a kernel never binds a weight.
 */
export const panelLayout: Layout = {
  name: 'panels',
  elements: ([n, ...rest]) => padTo(n, panelColumns) * paddedDepth(elementCount(rest)),
  pack(data, [n, ...rest], allocate = newArray) {
    const k = elementCount(rest);
    const depth = paddedDepth(k);
    const packed = allocate(padTo(n, panelColumns) * depth);
    for (let column = 0; column < n; column++) {
      const panel = Math.floor(column / panelColumns) * depth * panelColumns + (column % panelColumns);
      for (let i = 0; i < k; i++) packed[panel + i * panelColumns] = data[column * k + i];
    }
    return packed;
  },
  on: (capabilities, storage) => (usableMatrices(storage, capabilities).length > 0 ? blockLayout : panelLayout),
};

/**
 * Panels in which each column's k are neighbours, 16 at a time: [N/16, K/16, 16 columns, 16 k]. A block is a matrix, or four, of any
 * shape that devices have, and each lane's part of it is a whole run of memory.
 */
export const blockLayout: Layout = {
  name: 'blocks',
  elements: panelLayout.elements,
  pack(data, [n, ...rest], allocate = newArray) {
    const k = elementCount(rest);
    const depth = paddedDepth(k);
    const packed = allocate(padTo(n, panelColumns) * depth);
    for (let column = 0; column < n; column++) {
      const panel = Math.floor(column / panelColumns) * depth * panelColumns + (column % panelColumns) * blockDepth;
      for (let i = 0; i < k; i += blockDepth) {
        packed.set(data.subarray(column * k + i, column * k + Math.min(i + blockDepth, k)), panel + i * panelColumns);
      }
    }
    return packed;
  },
};
