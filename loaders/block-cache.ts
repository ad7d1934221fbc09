// Bytes of a source, kept from one visit to the next in blocks, so that a download that broke off goes on where it was. Each block carries
// its SHA-256: one that has changed on disk is fetched again.
import { StamError } from '../engine/errors.ts';
import { type ByteSource, rangedSource } from './source.ts';

/** Where blocks are kept, by name. */
export interface BlockStore {
  /** Undefined where there is none. */
  read(name: string): Promise<StoredBlock | undefined>;
  /** Rejects where there is no room. */
  write(name: string, block: StoredBlock): Promise<void>;
  /** Removes the blocks whose names begin so. */
  remove(prefix: string): Promise<void>;
}

export interface StoredBlock {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** SHA-256 in hexadecimal. */
  readonly hash: string;
}

export interface BlockCacheOptions {
  readonly store: BlockStore;
  /** Told once when nothing can be kept, for want of room for example; reading goes on without. */
  readonly onProblem?: ((text: string) => void) | undefined;
  /** Bytes of a block: 8 MiB unless told. */
  readonly blockBytes?: number | undefined;
}

const defaultBlockBytes = 8 * 2 ** 20;

/**
 * The bytes of `source`, each block of which is fetched once. What is kept belongs to one version of the source; blocks of others are
 * removed. A source that cannot tell its version is returned as it is: nobody could say whether what is kept is still true.
 */
export async function cachedSource(source: ByteSource, options: BlockCacheOptions): Promise<ByteSource> {
  if (source.version === undefined || source.size === 0) return source;
  const cache = new BlockCache(source, source.version, options);
  await cache.forgetOtherVersions();
  return rangedSource({
    name: source.name,
    size: source.size,
    version: source.version,
    async readRange(start, end, signal, allocate) {
      const bytes = allocate(end - start);
      await cache.readInto(bytes, start, signal);
      return bytes;
    },
    release: () => source.close(),
  });
}

class BlockCache {
  readonly #source: ByteSource;
  readonly #store: BlockStore;
  readonly #blockBytes: number;
  readonly #place: string;
  readonly #version: string;
  readonly #onProblem: (text: string) => void;
  #isBroken = false;
  /** The block read last: neighbouring tensors share one. */
  #last: { readonly index: number; readonly bytes: Uint8Array<ArrayBuffer> } | undefined;

  constructor(source: ByteSource, version: string, options: BlockCacheOptions) {
    const { store, onProblem = () => undefined, blockBytes = defaultBlockBytes } = options;
    if (!Number.isSafeInteger(blockBytes) || blockBytes < 1) {
      throw new StamError('bad-input', { where: 'blockBytes', problem: 'no size of a block', got: `${blockBytes}` });
    }
    this.#source = source;
    this.#store = store;
    this.#blockBytes = blockBytes;
    this.#onProblem = onProblem;
    this.#place = `${source.name} `;
    this.#version = `${version} ${source.size} ${blockBytes}`;
  }

  async forgetOtherVersions(): Promise<void> {
    const name = `${this.#place}version`;
    const known = await this.#attempt(() => this.#store.read(name));
    const bytes = new TextEncoder().encode(this.#version);
    if (known && new TextDecoder().decode(known.bytes) === this.#version) return;
    await this.#attempt(async () => {
      await this.#store.remove(this.#place);
      await this.#store.write(name, { bytes, hash: await hashOf(bytes) });
    });
  }

  async readInto(bytes: Uint8Array<ArrayBuffer>, start: number, signal: AbortSignal | undefined): Promise<void> {
    for (let filled = 0; filled < bytes.byteLength; ) {
      const position = start + filled;
      const index = Math.floor(position / this.#blockBytes);
      const block = await this.#block(index, signal);
      const piece = block.subarray(position - index * this.#blockBytes).subarray(0, bytes.byteLength - filled);
      bytes.set(piece, filled);
      filled += piece.byteLength;
    }
  }

  async #block(index: number, signal: AbortSignal | undefined): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#last?.index === index) return this.#last.bytes;
    const bytes = (await this.#kept(index)) ?? (await this.#fetch(index, signal));
    this.#last = { index, bytes };
    return bytes;
  }

  #name(index: number): string {
    return `${this.#place}${index}`;
  }

  async #kept(index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const block = await this.#attempt(() => this.#store.read(this.#name(index)));
    const isWhole = block?.bytes.byteLength === this.#end(index) - index * this.#blockBytes;
    return block && isWhole && (await hashOf(block.bytes)) === block.hash ? block.bytes : undefined;
  }

  async #fetch(index: number, signal: AbortSignal | undefined): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.#source.read(index * this.#blockBytes, this.#end(index), signal);
    await this.#attempt(async () => this.#store.write(this.#name(index), { bytes, hash: await hashOf(bytes) }));
    return bytes;
  }

  #end(index: number): number {
    return Math.min(this.#source.size, (index + 1) * this.#blockBytes);
  }

  /** A store that fails is told of once and then left alone: it is there to save time, not to cost any. */
  async #attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (this.#isBroken) return undefined;
    try {
      return await work();
    } catch (error) {
      this.#isBroken = true;
      this.#onProblem(`${this.#source.name}: not kept for the next time: ${error}`);
      return undefined;
    }
  }
}

async function hashOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const hashHeader = 'x-stam-sha256';

/** Blocks as responses in the Cache API of a page or worker, to requests that nobody sends. */
export function browserBlockStore(storage: CacheStorage): BlockStore {
  const open = () => storage.open('stam-webgpu-weights');
  const address = (name: string) => `https://stam-webgpu.invalid/${encodeURIComponent(name)}`;
  return {
    async read(name) {
      const response = await (await open()).match(address(name));
      if (!response) return undefined;
      return { bytes: new Uint8Array(await response.arrayBuffer()), hash: response.headers.get(hashHeader) ?? '' };
    },
    async write(name, { bytes, hash }) {
      await (await open()).put(address(name), new Response(bytes, { headers: { [hashHeader]: hash } }));
    },
    async remove(prefix) {
      const cache = await open();
      const first = address(prefix);
      for (const request of await cache.keys()) if (request.url.startsWith(first)) await cache.delete(request);
    },
  };
}
