// Moves elements about, so that an axis that an operator works on becomes the last one. Nothing here computes.
import type { Shape } from '../../engine/shape.ts';
import { elementCount } from '../../engine/shape.ts';

/** The axes that are not in `axes`, then those in `axes`, in their order. */
export function axesLast(rank: number, axes: readonly number[]): number[] {
  return [...Array(rank).keys()].filter((axis) => !axes.includes(axis)).concat(axes);
}

/** A transpose: axis i of the result is axis order[i] of `data`, whose shape is `shape`. */
export function permute(
  data: Float32Array<ArrayBuffer>,
  shape: Shape,
  order: readonly number[],
): Float32Array<ArrayBuffer> {
  const strides = shape.map((_, axis) => elementCount(shape.slice(axis + 1)));
  const sizes = order.map((axis) => shape[axis]);
  return Float32Array.from({ length: data.length }, (_, index) => {
    let rest = index;
    let from = 0;
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      from += (rest % sizes[axis]) * strides[order[axis]];
      rest = Math.floor(rest / sizes[axis]);
    }
    return data[from];
  });
}
