// How often Dawn's Node binding asks the driver whether something is done. It does so from setImmediate for as long as anything is awaited,
// which keeps a processor busy: one of those that a software adapter computes and compiles on.

/** What Dawn looks up each time before it asks again. */
export interface ImmediateScope {
  setImmediate: typeof setImmediate;
}

/** Milliseconds between two questions: compared with what a software adapter computes, nothing. */
const pauseMs = 1;
const patient = new WeakSet<ImmediateScope>();

/**
 * Makes Dawn ask once a millisecond, for the rest of the process. On two processors this halves what compiling takes on SwiftShader. Nothing
 * else that calls setImmediate() notices. Called again, it does nothing.
 */
export function pollPatiently(scope: ImmediateScope = globalThis): void {
  if (patient.has(scope)) return;
  patient.add(scope);
  const immediately = scope.setImmediate;
  const wait = setTimeout;
  const patiently = (callback: (...given: unknown[]) => void, ...given: unknown[]) =>
    isOfBinding(callback) ? wait(callback, pauseMs, ...given) : immediately(callback, ...given);
  scope.setImmediate = Object.assign(patiently, immediately) as never; // with its promisified form
}

/** Whether a function is a binding's: native code without a name or arguments. What settles a promise takes one, what is bound has a name. */
function isOfBinding(callback: unknown): boolean {
  if (typeof callback !== 'function' || callback.name !== '' || callback.length > 0) return false;
  return /\{ \[native code\] \}$/.test(Function.prototype.toString.call(callback));
}
