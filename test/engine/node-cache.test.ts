// Where the cache lies: native code is loaded from it, so never in whatever folder the process happens to run in.
import os from 'node:os';
import path from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { cacheFolder } from '../../engine/node-cache.ts';
import { defaultTextStore } from '../../engine/text-stores.ts';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const absolute = path.resolve('/some/where');

test('XDG_CACHE_HOME says where, if it is an absolute path', () => {
  vi.stubEnv('XDG_CACHE_HOME', absolute);
  expect(cacheFolder()).toBe(path.join(absolute, 'stam-webgpu'));
});

test.each([undefined, '', '.', 'cache', './cache'])('XDG_CACHE_HOME %j counts as unset', (value) => {
  vi.stubEnv('XDG_CACHE_HOME', value);
  vi.stubEnv('HOME', absolute);
  vi.stubEnv('USERPROFILE', absolute);
  expect(cacheFolder()).toBe(path.join(absolute, '.cache', 'stam-webgpu'));
});

test.each(['', 'home'])('HOME %j is no home: the system says which it is', (value) => {
  vi.stubEnv('XDG_CACHE_HOME', undefined);
  vi.stubEnv('HOME', value);
  vi.stubEnv('USERPROFILE', value);
  expect(cacheFolder()).toBe(path.join(os.userInfo().homedir, '.cache', 'stam-webgpu'));
});

test('a user without a home has nowhere to keep texts, and that is no error', async () => {
  vi.stubEnv('XDG_CACHE_HOME', undefined);
  expect(await defaultTextStore()).toBeDefined();
  vi.stubEnv('HOME', '');
  vi.stubEnv('USERPROFILE', '');
  vi.spyOn(os, 'userInfo').mockImplementation(() => {
    throw new Error('ENOENT');
  });
  expect(await defaultTextStore()).toBeUndefined();
});
