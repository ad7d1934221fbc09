// The check before every reported time: are the logits those of the official code?
import type { StorageType } from '../engine/dtype.ts';
import { StamError } from '../engine/errors.ts';

/** Largest allowed |logit difference| to the official code at full size. */
const allowedError: Readonly<Record<StorageType, number>> = { f32: 1e-4, f16: 2e-2 };

export interface LogitsReference {
  /** Of one video, [classes]. */
  readonly reference: Float32Array;
  readonly storage: StorageType;
  /** Whether differences are taken relative to the largest |logit| of the reference: X3D's with weights by rule are in the thousands. */
  readonly relative?: boolean | undefined;
}

/** The largest difference of `logits`, [V, classes], to the reference. Throws bad-input when they are wrong. */
export function checkLogits(
  where: string,
  logits: Float32Array,
  { reference, storage, relative = false }: LogitsReference,
): number {
  const scale = relative ? reference.reduce((most, value) => Math.max(most, Math.abs(value)), 0) : 1;
  const error = logits.reduce(
    (worst, value, i) => Math.max(worst, Math.abs(value - reference[i % reference.length]) / scale),
    0,
  );
  if (logits.length > 0 && logits.length % reference.length === 0 && error <= allowedError[storage]) return error;
  throw new StamError('bad-input', {
    where,
    problem: 'the logits are not those of the official code, so no time is reported',
    got: `${logits.length} logits, a difference of ${error}${relative ? ' of the largest' : ''}`,
    expected: `at most ${allowedError[storage]} in ${storage}`,
  });
}
