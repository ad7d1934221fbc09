// The text stores of the environments that have one.
import type { TextStore } from './text-store.ts';

/**
 * Where this environment keeps texts: the Cache API of browsers and workers, a folder of the user's cache in Node, nothing elsewhere.
 */
export async function defaultTextStore(): Promise<TextStore | undefined> {
  const storage = cacheStorage();
  if (storage) return browserTextStore(storage);
  if (typeof process !== 'undefined' && process.versions?.node) {
    const { cacheFolder, fileTextStore } = await import('./node-cache.ts');
    try {
      return fileTextStore(`${cacheFolder()}/tunings`);
    } catch {
      return undefined; // a user without a home, as containers have
    }
  }
  return undefined;
}

/** The Cache API of a page or worker. Undefined also where a page may not have it: in a sandboxed frame the mere name throws. */
export function cacheStorage(): CacheStorage | undefined {
  try {
    return typeof caches === 'undefined' ? undefined : caches;
  } catch {
    return undefined;
  }
}

/** Texts as responses to requests that nobody sends. */
export function browserTextStore(storage: CacheStorage): TextStore {
  const request = (name: string) => new Request(`https://stam-webgpu.invalid/${encodeURIComponent(name)}`);
  return {
    async read(name) {
      const cache = await storage.open('stam-webgpu');
      return await (await cache.match(request(name)))?.text();
    },
    async write(name, text) {
      const cache = await storage.open('stam-webgpu');
      await cache.put(request(name), new Response(text));
    },
  };
}
