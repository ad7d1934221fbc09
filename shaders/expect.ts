// Shape checks that every operator makes before it adds a node.
import { StamError } from '../engine/errors.ts';
import type { Value } from '../engine/graph.ts';
import type { Shape } from '../engine/shape.ts';
import { formatShape, sameShape } from '../engine/shape.ts';

/** Throws shape-mismatch unless `value` has this shape. Leading dimensions of one, which checkpoints like, do not count. */
export function expectShape(where: string, value: Value, shape: Shape): void {
  if (sameShape(withoutLeadingOnes(value.shape), withoutLeadingOnes(shape))) return;
  throw new StamError('shape-mismatch', {
    where,
    problem: `${value.name} does not fit`,
    got: formatShape(value.shape),
    expected: formatShape(shape),
  });
}

function withoutLeadingOnes(shape: Shape): Shape {
  const first = shape.findIndex((size) => size !== 1);
  return first < 0 ? [] : shape.slice(first);
}
