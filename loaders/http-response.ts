// What a server answers, and what of it is believed.
import { StamError, type StamErrorParts } from '../engine/errors.ts';

/** A failure that may pass: `cause` is what to throw when it does not. */
export class Interruption extends Error {
  override readonly cause: StamError;

  constructor(cause: StamError) {
    super(cause.message);
    this.cause = cause;
  }
}

/** What tells one version of a file from another; null where the server does not say. */
export interface Version {
  readonly size: number;
  readonly etag: string | null;
  readonly modified: string | null;
}

/**
 * The version that a 206 tells of, whose body must run from byte `start` to the end of the file.
 * Throws unsupported when it is another part, or the headers do not tell.
 */
export function partialVersion(response: Response, file: string, start: number): Version {
  refuseEncoding(response, file);
  const range = response.headers.get('content-range');
  const size = Number(/^bytes \d+-\d+\/(\d+)$/.exec(range ?? '')?.[1] ?? Number.NaN);
  if (!Number.isSafeInteger(size) || range !== `bytes ${start}-${size - 1}/${size}`) {
    throw new StamError('unsupported', {
      where: file,
      problem: 'the server does not say which part of the file it sends, or sends another than it was asked for',
      got: range === null ? 'no Content-Range' : `Content-Range: ${range.slice(0, 100)}`,
      expected: Number.isSafeInteger(size) ? `bytes ${start}-${size - 1}/${size}` : `bytes ${start}-LAST/SIZE`,
      hint: range === null ? 'a server of another origin must list it in Access-Control-Expose-Headers' : undefined,
    });
  }
  const length = contentLength(response);
  if (length !== undefined && length !== size - start) {
    throw new StamError('unsupported', {
      where: file,
      problem: 'Content-Length and Content-Range contradict each other',
      got: `${length} bytes for ${range}`,
      expected: `${size - start}`,
    });
  }
  return { size, etag: response.headers.get('etag'), modified: response.headers.get('last-modified') };
}

/** What If-Range may name: a weak ETag does not promise the same bytes. */
export function strongValidator({ etag, modified }: Version): string | null {
  return etag?.startsWith('"') ? etag : etag === null ? modified : null;
}

/** Throws bad-checkpoint when both versions say what they are and it is not the same. */
export function refuseChange(before: Version, now: Version, file: string): void {
  const differs = (a: string | null, b: string | null) => a !== null && b !== null && a !== b;
  if (before.size !== now.size) throw changed(file, `${now.size} bytes`, `${before.size}`);
  if (differs(before.etag, now.etag)) throw changed(file, `ETag ${now.etag}`, `${before.etag}`);
  if (differs(before.modified, now.modified))
    throw changed(file, `Last-Modified ${now.modified}`, `${before.modified}`);
}

export function changed(file: string, got: string, expected: string): StamError {
  return new StamError('bad-checkpoint', {
    where: file,
    problem: 'the file changed on the server while it was read',
    got,
    expected,
    hint: 'get it again from the start',
  });
}

/** Throws unsupported for a body that is encoded: neither its ranges nor its length are then those of the file. */
function refuseEncoding(response: Response, file: string): void {
  const encoding = response.headers.get('content-encoding');
  if (encoding === null || encoding.toLowerCase() === 'identity') return;
  throw new StamError('unsupported', {
    where: file,
    problem: 'the server compresses the file on its way',
    got: `Content-Encoding: ${encoding.slice(0, 100)}`,
    expected: 'the bytes as they are',
    hint: 'exempt the file from compression on the server',
  });
}

/** Bytes of the body, if the server says. */
function contentLength(response: Response): number | undefined {
  const text = response.headers.get('content-length');
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** bad-input for a file that cannot be had at all. */
export function cannotFetch(file: string, got: string | undefined, rest: Partial<StamErrorParts> = {}): StamError {
  return new StamError('bad-input', { where: file, problem: 'the address cannot be fetched', got, ...rest });
}

export function statusText({ status, statusText: reason }: Response): string {
  return `status ${status}${reason && ` ${reason.slice(0, 100)}`}`;
}

/** Waits for what the server is to send, and rejects when that takes too long. */
export type Watch = <T>(work: Promise<T>) => Promise<T>;

/** The body of a response, read front to back in pieces of any size. */
export class HttpBody {
  /** Of the next byte, in the file. */
  position: number;
  readonly #size: number | undefined;
  readonly #file: string;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  readonly #watch: Watch;
  /** What has come and was not asked for yet. */
  #rest: Uint8Array = new Uint8Array(0);

  /** `position` is where in the file the body begins, `size` where it has to end, if that is known. */
  constructor(
    response: Response,
    file: string,
    { position, size, watch }: { position: number; size: number | undefined; watch: Watch },
  ) {
    this.#file = file;
    this.#watch = watch;
    this.#reader = response.body?.getReader();
    this.position = position;
    this.#size = size;
  }

  /**
   * Fills the front of `target`, which is not empty, and returns how many bytes that were: at least one, or 0 at the end of a body of
   * unknown size. Throws an Interruption when the body breaks off.
   */
  async readInto(target: Uint8Array): Promise<number> {
    while (this.#rest.byteLength === 0) {
      const { done, value } = await this.#next();
      if (!done) this.#rest = value;
      else if (this.#size === undefined) return 0;
      else throw new Interruption(this.#brokenOff('it ended'));
    }
    const count = Math.min(this.#rest.byteLength, target.byteLength);
    target.set(this.#rest.subarray(0, count));
    this.#rest = this.#rest.subarray(count);
    this.position += count;
    return count;
  }

  async #next(): Promise<ReadableStreamReadResult<Uint8Array>> {
    if (!this.#reader) return { done: true, value: undefined };
    try {
      return await this.#watch(this.#reader.read());
    } catch (cause) {
      throw new Interruption(this.#brokenOff(describeFailure(cause), cause));
    }
  }

  #brokenOff(why: string, cause?: unknown): StamError {
    return new StamError('bad-checkpoint', {
      where: this.#file,
      problem: `the download broke off: ${why}`,
      got: `${this.position} bytes`,
      expected: this.#size === undefined ? undefined : `${this.#size}`,
      cause,
    });
  }
}

/**
 * The whole body of a 200. Throws unsupported when it is larger than `limit` bytes, out-of-memory when so much cannot be had, and an
 * Interruption when it breaks off.
 */
export async function readWhole(
  response: Response,
  file: string,
  { limit, watch }: { limit: number; watch: Watch },
): Promise<Uint8Array<ArrayBuffer>> {
  refuseEncoding(response, file);
  const refuseMoreThanLimit = (bytes: number) => {
    if (bytes <= limit) return;
    throw new StamError('unsupported', {
      where: file,
      problem: 'the server answers no ranges, and the whole file is too large to be held in memory',
      got: `${bytes} bytes${size === undefined ? ' or more' : ''}`,
      expected: `at most ${limit}`,
      hint: 'use a server that answers range requests, or raise maxBufferedBytes',
    });
  };
  const size = contentLength(response);
  const body = new HttpBody(response, file, { position: 0, size, watch });
  if (size !== undefined) {
    refuseMoreThanLimit(size);
    const whole = reserve(size, file);
    while (body.position < size) await body.readInto(whole.subarray(body.position));
    return whole;
  }
  const pieces: Uint8Array[] = [];
  for (let count = 1; count > 0; ) {
    // filled before the next begins: however short the chunks are that come, no memory is left empty
    const piece = new Uint8Array(pieceBytes);
    let used = 0;
    do {
      count = await body.readInto(piece.subarray(used));
      used += count;
      refuseMoreThanLimit(body.position);
    } while (count > 0 && used < pieceBytes);
    pieces.push(piece.subarray(0, used));
  }
  const whole = reserve(body.position, file);
  let filled = 0;
  for (const piece of pieces) {
    whole.set(piece, filled);
    filled += piece.byteLength;
  }
  return whole;
}

/** Of a body whose length nobody knows. */
const pieceBytes = 2 ** 16;

function reserve(bytes: number, file: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new StamError('out-of-memory', { where: file, problem: `no memory for ${bytes} bytes`, cause });
  }
}

/** fetch says only `fetch failed`; why stands in its cause, or, where several addresses were tried, in the cause's code. */
export function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  return `${error.message}: ${cause.message || ('code' in cause && String(cause.code)) || cause.name}`;
}

/** For a message, which has room for no file in an address, and shows neither password nor query. */
export function printableAddress(address: string): string {
  return address
    .replace(/\/\/[^/@]*@/, '//...@')
    .replace(/\?.*/s, '?...')
    .slice(0, 100);
}
