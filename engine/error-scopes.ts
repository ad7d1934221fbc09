// WebGPU tells what it refuses later, and only to whoever opened an error scope before: here that becomes StamErrors.
import { StamError } from './errors.ts';

/** The innermost last. */
const filters: readonly GPUErrorFilter[] = ['internal', 'out-of-memory', 'validation'];

/** What calls of WebGPU gave, and, later, what it has against them. */
export interface Scoped<T> {
  readonly result: T;
  /** Rejects only with the device's going away. */
  readonly refusal: Promise<StamError | undefined>;
}

/**
 * Runs `work`, which calls WebGPU and does not wait: scopes are a stack of the device's, and an app's own must not come in between. What
 * WebGPU throws is thrown as a StamError: out-of-memory, or limit for all else that it refuses.
 */
export function scoped<T>(gpu: GPUDevice, where: string, work: () => T): Scoped<T> {
  for (const filter of filters) gpu.pushErrorScope(filter);
  let result: T;
  let refusal: Promise<StamError | undefined>;
  try {
    result = callingGpu(where, work);
  } finally {
    refusal = Promise.all(filters.map(() => gpu.popErrorScope())).then(([validation, memory, internal]) => {
      if (memory) return outOfMemory(where, memory);
      const error = validation ?? internal;
      return error ? refused(where, error) : undefined;
    });
    refusal.catch(() => undefined); // for whoever waits for it: after a throw nobody does
  }
  return { result, refusal };
}

/** Runs `work`; what WebGPU throws is thrown as a StamError: out-of-memory, or limit for all else that it refuses. */
export function callingGpu<T>(where: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw asRefusal(where, error);
  }
}

/** What WebGPU threw or rejected with, as a StamError. Where its globals are missing, as in Node, that is told as it is. */
export function asRefusal(where: string, error: unknown): Error {
  if (error instanceof StamError || error instanceof ReferenceError) return error;
  return error instanceof RangeError ? outOfMemory(where, error) : refused(where, error);
}

const outOfMemory = (where: string, cause: GPUError | Error): StamError =>
  new StamError('out-of-memory', { where, problem: 'the GPU has no memory left', got: cause.message, cause });

function refused(where: string, cause: unknown): StamError {
  const { name, message } = cause as Partial<Error>;
  return new StamError('limit', { where, problem: 'WebGPU refuses it', got: message || name, cause });
}
