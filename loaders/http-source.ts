// A file on an HTTP server, read by ranges. A response stays open and is read on as long as each read begins where the last one ended, so
// that a checkpoint read front to back is one request, however many tensors it has.
import { StamError } from '../engine/errors.ts';
import {
  cannotFetch,
  changed,
  describeFailure,
  HttpBody,
  Interruption,
  partialVersion,
  printableAddress,
  readWhole,
  refuseChange,
  statusText,
  strongValidator,
  type Version,
  type Watch,
} from './http-response.ts';
import { type AllocateBytes, type ByteSource, bufferSource, rangedSource } from './source.ts';

/** What httpSource() takes beside the address; everything may be left out. */
export interface HttpSourceOptions {
  /** Ends the opening; each `read` of the source takes a signal of its own. */
  signal?: AbortSignal | undefined;
  /** In place of the global fetch. */
  fetch?: typeof fetch | undefined;
  /** Sent with every request, for example `authorization`. */
  headers?: HeadersInit | undefined;
  /** The largest file to hold in memory where the server answers no ranges, in bytes: 2 GiB unless told, 0 for none. */
  maxBufferedBytes?: number | undefined;
  /** Waits before each new attempt at a request that failed or broke off, in milliseconds: 250, 500, 1000, 2000 unless told. */
  retryDelays?: readonly number[] | undefined;
  /** Milliseconds after which a server that sends nothing counts as a connection that broke: 60,000 unless told. */
  stallTimeout?: number | undefined;
}

const defaultMaxBufferedBytes = 2 ** 31;
const defaultRetryDelays = [250, 500, 1000, 2000];
const defaultStallTimeout = 60_000;

/**
 * A file at an http or https address. Its first response stays open: close the source when done.
 *
 * Reads run one after another. One that begins where the last ended goes on with the same response; any other is a new request, from its
 * first byte on. What broke off or stalled, or failed with a status from 500 on, is asked for again from where it stopped. A server that answers
 * no ranges (200) sends the whole file into memory while it is opened, if that is not larger than `maxBufferedBytes`.
 *
 * A change of the file between two responses is noticed by its size, ETag and Last-Modified, as far as the server tells them.
 * Throws bad-input for an address that cannot be fetched, with the status; bad-checkpoint, from reads too, for a file that changes or
 * breaks off for good; unsupported for a server that compresses, or sends another range than asked for, and for a file too large.
 */
export async function httpSource(url: string | URL | Request, options: HttpSourceOptions = {}): Promise<ByteSource> {
  return await new HttpFile(url, options).open(options.signal);
}

class HttpFile {
  readonly #name: string;
  readonly #request: Request;
  readonly #headers: Headers;
  readonly #fetch: typeof fetch;
  readonly #maxBufferedBytes: number;
  readonly #retryDelays: readonly number[];
  readonly #stallTimeout: number;
  readonly #closing = new AbortController();
  /** As the first response had it. */
  #version: Version | undefined;
  #connection: AbortController | undefined;
  #body: HttpBody | undefined;
  /** Settles when the reads asked for so far are over. */
  #turn: Promise<void> = Promise.resolve();

  constructor(url: string | URL | Request, options: HttpSourceOptions) {
    this.#request = checkRequest(url);
    this.#name = describeUrl(this.#request.url);
    this.#headers = mergeHeaders(this.#request.headers, options.headers);
    this.#fetch = options.fetch ?? fetch;
    this.#maxBufferedBytes = options.maxBufferedBytes ?? defaultMaxBufferedBytes;
    this.#retryDelays = options.retryDelays ?? defaultRetryDelays;
    this.#stallTimeout = options.stallTimeout ?? defaultStallTimeout;
    if (!Number.isSafeInteger(this.#maxBufferedBytes) || this.#maxBufferedBytes < 0) {
      throw badOption('maxBufferedBytes', `${options.maxBufferedBytes}`, 'a number of bytes');
    }
    if (!this.#retryDelays.every((ms) => ms >= 0 && Number.isFinite(ms))) {
      throw badOption('retryDelays', `${options.retryDelays}`, 'milliseconds');
    }
    if (!(this.#stallTimeout > 0 && this.#stallTimeout < 2 ** 31)) {
      throw badOption('stallTimeout', `${options.stallTimeout}`, 'milliseconds, more than 0 and less than 2^31');
    }
  }

  async open(signal: AbortSignal | undefined): Promise<ByteSource> {
    const stop = this.#stopSignal(signal);
    const whole = await this.#persist(stop, () => this.#begin());
    const name = this.#name;
    if (whole) {
      this.#drop();
      return bufferSource(whole, name);
    }
    return rangedSource({
      name,
      size: this.#version?.size ?? 0,
      version: (this.#version && strongValidator(this.#version)) ?? undefined,
      readRange: (start, end, readSignal, allocate) => this.#readInTurn(start, end, readSignal, allocate),
      release: async () => {
        const reason = new StamError('disposed', { where: name, problem: 'the source has been closed' });
        this.#closing.abort(reason);
        this.#drop(reason);
      },
    });
  }

  /** The first response: its body is kept to be read on, or, where it is no range, read whole. */
  async #begin(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const response = await this.#send(0);
    if (response.status === 206) {
      this.#version = partialVersion(response, this.#name, 0);
      this.#body = new HttpBody(response, this.#name, { position: 0, size: this.#version.size, watch: this.#watch });
      return undefined;
    }
    if (response.status === 200) {
      return await readWhole(response, this.#name, { limit: this.#maxBufferedBytes, watch: this.#watch });
    }
    // an empty file has no first byte to begin a range at
    if (response.status === 416 && response.headers.get('content-range') === 'bytes */0') return new Uint8Array(0);
    throw cannotFetch(this.#name, statusText(response));
  }

  /** Bytes [start, end). The reads before this one are over first: there is one connection. */
  async #readInTurn(
    start: number,
    end: number,
    signal: AbortSignal | undefined,
    allocate: AllocateBytes,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const stop = this.#stopSignal(signal);
    const before = this.#turn;
    let finish = () => {};
    const over = new Promise<void>((resolve) => {
      finish = resolve;
    });
    this.#turn = before.then(() => over);
    try {
      await orAborted(before, stop);
      return await this.#read(start, allocate(end - start), stop);
    } finally {
      finish();
    }
  }

  async #read(start: number, bytes: Uint8Array<ArrayBuffer>, stop: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    let filled = 0;
    await this.#persist(stop, async () => {
      const body = await this.#bodyAt(start + filled);
      while (filled < bytes.byteLength) {
        filled += await body.readInto(bytes.subarray(filled));
      }
    });
    return bytes;
  }

  /** A body whose next byte is that at `position`. */
  async #bodyAt(position: number): Promise<HttpBody> {
    if (this.#body?.position === position) return this.#body;
    this.#drop();
    const response = await this.#send(position);
    const { status } = response;
    // both are answers to a range, or an If-Range, that fitted the file as it was
    if (status === 200 || status === 416) throw changed(this.#name, statusText(response), 'status 206');
    if (status !== 206) throw cannotFetch(this.#name, statusText(response));
    const version = partialVersion(response, this.#name, position);
    if (this.#version) refuseChange(this.#version, version, this.#name);
    this.#body = new HttpBody(response, this.#name, { position, size: version.size, watch: this.#watch });
    return this.#body;
  }

  /** Asks for everything from byte `start` on. Throws an Interruption where asking again may help. */
  async #send(start: number): Promise<Response> {
    const request = this.#request;
    const headers = new Headers(this.#headers);
    headers.set('range', `bytes=${start}-`);
    const validator = this.#version && isOwnOrigin(request.url) ? strongValidator(this.#version) : null;
    if (validator !== null) headers.set('if-range', validator);
    const connection = new AbortController();
    this.#connection = connection;
    const send = this.#fetch; // a browser's fetch is no method of ours
    let response: Response;
    try {
      response = await this.#watch(send(request, { headers, signal: connection.signal }));
    } catch (cause) {
      const hint = 'check the address and the network; in a browser, the server must admit this page';
      throw new Interruption(cannotFetch(this.#name, describeFailure(cause), { hint, cause }));
    }
    if (response.status >= 500) throw new Interruption(cannotFetch(this.#name, statusText(response)));
    return response;
  }

  /** Gives up the connection when nothing comes for too long. */
  readonly #watch: Watch = async (work) => {
    const connection = this.#connection ?? new AbortController();
    const seconds = this.#stallTimeout / 1000;
    const timer = setTimeout(() => {
      connection.abort(new Error(`the server has sent nothing for ${seconds} s`));
    }, this.#stallTimeout);
    return await orAborted(work, connection.signal).finally(() => clearTimeout(timer));
  };

  /** Makes attempts, with waits between them, until one succeeds or fails for good, or `stop` is aborted. */
  async #persist<T>(stop: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    const drop = () => this.#drop(stop.reason);
    stop.addEventListener('abort', drop);
    try {
      for (let failures = 0; ; failures++) {
        stop.throwIfAborted();
        try {
          const result = await attempt();
          stop.throwIfAborted();
          return result;
        } catch (error) {
          this.#drop();
          stop.throwIfAborted();
          if (!(error instanceof Interruption)) throw error;
          if (failures >= this.#retryDelays.length) throw error.cause;
          await pause(this.#retryDelays[failures], stop);
        }
      }
    } finally {
      stop.removeEventListener('abort', drop);
    }
  }

  /** Whatever ends a read: its own signal, `close`, and the signal of the request that the caller made. */
  #stopSignal(signal: AbortSignal | undefined): AbortSignal {
    const own = [this.#closing.signal, this.#request.signal];
    return AbortSignal.any(signal ? [signal, ...own] : own);
  }

  /** Lets go of the response that is open, if one is. */
  #drop(reason?: unknown): void {
    this.#connection?.abort(reason);
    this.#connection = undefined;
    this.#body = undefined;
  }
}

function mergeHeaders(own: Headers, added: HeadersInit | undefined): Headers {
  const headers = new Headers(own);
  try {
    for (const [name, value] of new Headers(added)) headers.set(name, value);
  } catch (cause) {
    throw badOption('headers', String(cause), 'names and values of HTTP headers');
  }
  return headers;
}

function checkRequest(url: string | URL | Request): Request {
  const refuse = (problem: string, hint?: string) => {
    const got = printableAddress(String(url instanceof Request ? url.url : url));
    return new StamError('bad-input', { where: 'httpSource', problem, got, hint });
  };
  let request: Request;
  try {
    request = new Request(url);
  } catch {
    throw refuse('not an address that can be fetched', 'name and password go into the header `authorization`');
  }
  if (request.method !== 'GET') throw refuse(`the request is a ${request.method}`);
  if (!/^https?:/.test(request.url)) throw refuse('not an http address', 'a Blob or File has blobSource');
  return request;
}

/** The address without what may be secret: signatures and tokens stand in the query. */
function describeUrl(url: string): string {
  const { origin, pathname, search } = new URL(url);
  return `${origin}${pathname}${search && '?...'}`;
}

/** To another origin a page may not send If-Range unasked: the browser would ask the server first, and many refuse. */
function isOwnOrigin(url: string): boolean {
  return typeof location === 'undefined' || new URL(url).origin === location.origin;
}

function badOption(option: string, got: string, expected: string): StamError {
  return new StamError('bad-input', { where: `httpSource: ${option}`, problem: 'bad option', got, expected });
}

/** Rejects with the signal's reason as soon as that is aborted, whatever becomes of `work`. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const waited = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  return orAborted(waited, signal).finally(() => clearTimeout(timer));
}
