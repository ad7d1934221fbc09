// A file on a server of its own for each test, and how a download of it is opened and refused.
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { type HttpSourceOptions, httpSource } from '../../loaders/http-source.ts';
import { type FileServer, serveFile } from './http-server.ts';

export const file = Uint8Array.from({ length: 3000 }, (_, i) => (i * 7 + (i >> 8)) & 255);

/** The server of the test that runs. */
export let server: FileServer;

export async function serve(): Promise<void> {
  server = await serveFile(file);
}

beforeEach(serve);
afterEach(async () => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
  await server.close();
});

/** Two new attempts, at once. */
export const open = (options?: HttpSourceOptions) => httpSource(server.url, { retryDelays: [0, 0], ...options });

export const failure = (code: string, message: RegExp) =>
  expect.objectContaining({ name: 'StamError', code, message: expect.stringMatching(message) });
