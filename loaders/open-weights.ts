// From whatever an app calls its weights to a checkpoint: an address, a file, bytes.
import { StamError, throwIfAborted } from '../engine/errors.ts';
import { cacheStorage } from '../engine/text-stores.ts';
import type { Checkpoint } from './checkpoint.ts';
import { cannotFetch, describeFailure, printableAddress, statusText } from './http-response.ts';
import { httpSource } from './http-source.ts';
import type { OpenCheckpointOptions } from './open-checkpoint.ts';
import { openCheckpoint } from './open-checkpoint.ts';
import { type ByteSource, blobSource, bufferSource } from './source.ts';

/**
 * Where weights are: an address (http, https, blob or data; in browsers relative ones too), in Node also a path; a Request, which may
 * carry headers; a File or Blob; bytes, or a stream of Uint8Arrays, which can be read only once: recover() cannot read it again.
 * The format is told by the bytes: safetensors, or what torch.save wrote. What ends in `.index.json`, whatever query an address has behind
 * that, is the index of such files beside it; they are asked for without a query.
 */
export type WeightInput =
  | string
  | URL
  | Request
  | Blob
  | ArrayBuffer
  | Uint8Array<ArrayBuffer>
  | ReadableStream<Uint8Array>;

/** What openWeights() takes beside the weights; everything may be left out. */
export interface OpenWeightsOptions extends OpenCheckpointOptions {
  /** Told how many bytes have been read of how many there are. */
  readonly onRead?: ((loaded: number, total: number) => void) | undefined;
  /**
   * Whether files from http and https stay in the browser's Cache API, block by block: by default yes, where there is one. Then a
   * download that broke off goes on where it was, and the next load downloads nothing.
   */
  readonly cache?: boolean | undefined;
  /** Told what does not stop the loading: that nothing could be kept, for instance. */
  readonly onNotice?: ((text: string) => void) | undefined;
}

/**
 * Opens weights. The caller closes the checkpoint. Throws what openCheckpoint(), httpSource() and fileSource() throw; bad-input for an
 * address that is none or cannot be fetched, for a stream that is locked, breaks off or gives other chunks than Uint8Arrays, and for what
 * is no WeightInput at all.
 */
export async function openWeights(input: WeightInput, options: OpenWeightsOptions = {}): Promise<Checkpoint> {
  const { onRead } = options;
  const progress = { loaded: 0, total: 0 };
  const open = async (from: Place) => {
    const source = await openSource(from, options);
    progress.total += source.size;
    return onRead ? counted(source, progress, onRead) : source;
  };
  const place = placeOf(input);
  const source = await open(place);
  if (!isIndex(place, source.name)) return await openCheckpoint(source, options);
  const { openShardedSafetensors, shardPlace } = await closingOnFailure(source, shardReader());
  return await openShardedSafetensors(source, async (name) => open(shardPlace(place, name)), options);
}

/** A file of its own in the library for browsers: most models come in one file. */
const shardReader = () => import('./sharded-safetensors.ts');
/** Likewise: what comes from elsewhere than http, and where there is no Cache API, is not kept. */
const blockCache = () => import('./block-cache.ts');

/** What `work` gives. Closes the source where it fails. */
async function closingOnFailure<T>(source: ByteSource, work: Promise<T>): Promise<T> {
  return await work.catch(async (error) => {
    await source.close();
    throw error;
  });
}

/** An input whose text, where it is one, is a path: addresses are URLs. */
type Place = WeightInput;

/** A relative address is the page's, where there is a page. Throws bad-input for what is no WeightInput. */
function placeOf(input: WeightInput): Place {
  // not `instanceof URL`: Node has two of them where tests simulate a browser
  const text = typeof input === 'string' ? input : (input as Partial<URL> | null | undefined)?.href;
  if (typeof text !== 'string') {
    const types = [Request, Blob, ArrayBuffer, Uint8Array, ReadableStream];
    if (types.some((type) => input instanceof type)) return input;
    throw new StamError('bad-input', {
      where: 'weights',
      problem: 'neither an address nor bytes',
      got: Object.prototype.toString.call(input).slice(8, -1),
    });
  }
  // a drive letter is no scheme
  const isWhole = /^[a-z][a-z\d+.-]+:/i.test(text);
  if (!isWhole && typeof location === 'undefined') return text;
  try {
    return isWhole ? new URL(text) : new URL(text, location.href);
  } catch (cause) {
    throw cannotFetch(printableAddress(text), 'no valid address', { cause });
  }
}

async function openSource(place: Place, options: OpenWeightsOptions): Promise<ByteSource> {
  const { signal } = options;
  if (place instanceof Blob) return blobSource(place);
  if (place instanceof ArrayBuffer || place instanceof Uint8Array) return bufferSource(place);
  if (place instanceof ReadableStream) {
    // a file of its own in the library for browsers: few apps have their weights in a stream
    const { readStream } = await import('./read-stream.ts');
    return bufferSource(await readStream(place, signal), 'stream');
  }
  if (typeof place === 'string' || (place instanceof URL && place.protocol === 'file:')) {
    // written out, so that the bundle for browsers can leave the import out
    if (typeof process !== 'undefined' && process.versions?.node) {
      const { fileSource, pathOf } = await import('./node-source.ts');
      return await fileSource(pathOf(place));
    }
    throw new StamError('bad-input', {
      where: String(place),
      problem: 'files are read by their paths in Node only',
      hint: 'pass an http or https address, or a File that the user has chosen',
    });
  }
  if (place instanceof Request || /^https?:/.test(place.protocol)) {
    return await keep(await httpSource(place, { signal }), options);
  }
  return await fetchWhole(place, signal);
}

/** What is at an address that has no ranges: blob, data, and what a shell around a page has of its own. */
async function fetchWhole(url: URL, signal: AbortSignal | undefined): Promise<ByteSource> {
  const shown = printableAddress(url.href);
  let got: string;
  let cause: unknown;
  try {
    const response = await fetch(url, signal && { signal });
    if (response.ok) return blobSource(await response.blob(), url.protocol);
    got = statusText(response);
  } catch (error) {
    throwIfAborted(signal);
    cause = error;
    got = describeFailure(error).replace(url.href, shown); // the platform names it in some of its messages
  }
  throw cannotFetch(shown, got, { cause });
}

/** By the name that it has. An address may have a query behind that; what blob: and data: have is no name. */
function isIndex(place: Place, name: string): boolean {
  const { pathname } = place instanceof Request ? new URL(place.url) : (place as Partial<URL>);
  return (pathname?.startsWith('/') ? pathname : name).endsWith('.index.json');
}

async function keep(source: ByteSource, { cache = true, onNotice }: OpenWeightsOptions): Promise<ByteSource> {
  const storage = cache ? cacheStorage() : undefined;
  if (!storage) return source;
  const { browserBlockStore, cachedSource } = await closingOnFailure(source, blockCache());
  return await cachedSource(source, { store: browserBlockStore(storage), onProblem: onNotice });
}

/** Adds up what is read. */
function counted(
  source: ByteSource,
  progress: { loaded: number; total: number },
  onRead: (loaded: number, total: number) => void,
): ByteSource {
  return {
    ...source,
    async read(start, end, signal, allocate) {
      const bytes = await source.read(start, end, signal, allocate);
      progress.loaded = Math.min(progress.total, progress.loaded + bytes.byteLength);
      onRead(progress.loaded, progress.total);
      return bytes;
    },
  };
}
