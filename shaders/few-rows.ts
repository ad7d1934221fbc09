// How much of a problem the self-check takes.
import type { Shape } from '../engine/shape.ts';
import { rowCount } from '../engine/shape.ts';

/** A tile of any family and a little more. For so many rows the families offer every kernel that they offer for more. */
export const mostRows = 133;

/** The shape with as many of its rows as a self-check takes, all of them in one dimension. */
export function fewRows(shape: Shape): Shape {
  return [Math.min(rowCount(shape), mostRows), shape.at(-1) ?? 1];
}
