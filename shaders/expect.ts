// What every operator asks of its tensors before it adds a node: kernels read memory as it was agreed on, and would take anything else
// for numbers too.
import type { ElementType } from '../engine/dtype.ts';
import { StamError } from '../engine/errors.ts';
import type { AnyValue } from '../engine/graph.ts';
import { formatTensor } from '../engine/graph.ts';
import type { Layout } from '../engine/layout.ts';
import { rowLayout } from '../engine/layout.ts';
import type { Shape } from '../engine/shape.ts';
import { sameShape } from '../engine/shape.ts';
import { panelLayout } from './panels.ts';

/**
 * Throws shape-mismatch unless `value` has this shape, storage type and layout. Leading dimensions of one, which checkpoints like, do not
 * count. By default it may hold floats of either size, in rowLayout.
 */
export function expectTensor(
  where: string,
  value: AnyValue,
  shape: Shape,
  storage: ElementType = value.storage === 'f16' ? 'f16' : 'f32',
  layout: Layout = rowLayout,
): void {
  const fits = sameShape(withoutLeadingOnes(value.shape), withoutLeadingOnes(shape));
  if (fits && value.storage === storage && value.layout === layout) return;
  throw new StamError('shape-mismatch', {
    where,
    problem: `${value.name} does not fit`,
    got: formatTensor(value),
    expected: formatTensor({ shape, storage, layout }),
    hint: layout === panelLayout ? 'graph.weight(..., panelLayout)' : undefined,
  });
}

function withoutLeadingOnes(shape: Shape): Shape {
  return shape[0] === 1 ? withoutLeadingOnes(shape.slice(1)) : shape;
}
