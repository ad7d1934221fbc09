// The one error class of the project: a stable code for programs, and one message grammar for people:
//   where: what is wrong; got ..., expected ...; hint

/** Stable identifiers of everything that can go wrong. An aborted call is no StamError but a DOMException named AbortError. */
export type StamErrorCode =
  | 'no-webgpu'
  | 'no-adapter'
  | 'limit'
  | 'feature'
  | 'device-lost'
  | 'out-of-memory'
  | 'shader'
  | 'bad-checkpoint'
  | 'missing-tensor'
  | 'shape-mismatch'
  | 'bad-video'
  | 'bad-input'
  | 'unsupported'
  | 'disposed';

/** The parts of a message. Only `where` and `problem` are obligatory. */
export interface StamErrorParts {
  /** The file, tensor, kernel or call that is concerned, for example `model.safetensors: head.weight`. */
  where: string;
  problem: string;
  got?: string | undefined;
  expected?: string | undefined;
  /** What the reader can do about it. */
  hint?: string | undefined;
  cause?: unknown;
}

/** Thrown by every public call. `code` is stable across releases, `message` is for people. */
export class StamError extends Error {
  override readonly name = 'StamError';
  readonly code: StamErrorCode;

  constructor(code: StamErrorCode, parts: StamErrorParts) {
    super(format(parts), parts.cause === undefined ? undefined : { cause: parts.cause });
    this.code = code;
  }
}

function format({ where, problem, got, expected, hint }: StamErrorParts): string {
  const comparison = [
    got === undefined ? '' : `got ${got}`,
    expected === undefined ? '' : `expected ${expected}`,
  ].filter(Boolean);
  return [`${where}: ${problem}`, comparison.join(', '), hint ?? ''].filter(Boolean).join('; ');
}

/** The name of a tensor in a message. What a file made up to hurt its reader is quoted, escaped and cut. */
export function quoteName(name: string): string {
  if (/^[\w.:/-]{1,200}$/.test(name)) return name;
  // JSON leaves in what a terminal obeys: C1 controls, and marks that turn the direction of the text
  const spell = (character: string) => `\\u{${character.codePointAt(0)?.toString(16)}}`;
  return JSON.stringify(name.slice(0, 200)).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, spell);
}

/** Throws the signal's reason (by default a DOMException AbortError) once it has been aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  signal?.throwIfAborted();
}
