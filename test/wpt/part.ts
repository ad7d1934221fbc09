// What a case becomes.
import type { RunnableCase } from '../conformance.ts';
import type { Tolerance } from './tolerance.ts';

/** One call of an operator. A case is one or, where each matrix of a batch has its own weight, several. */
export interface Part extends RunnableCase {
  readonly expected: Float32Array<ArrayBuffer>;
  readonly tolerance: Tolerance;
}
