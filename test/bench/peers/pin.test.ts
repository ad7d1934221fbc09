// Which driver a comparison is held to, with a program that only says what it sees. Linux: elsewhere nothing can be pinned.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { pinAdapter } from '../../../bench/peers/pin.ts';
import { Program } from '../../../bench/peers/program.ts';

const file = fileURLToPath(new URL('fake-program.mjs', import.meta.url));
const { signal } = new AbortController();
const start = (env: NodeJS.ProcessEnv) => new Program({ file, name: 'ours', env, signal });
let folder: string;

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'stam-test-'));
  vi.spyOn(process, 'platform', 'get').mockReturnValue('linux');
});
afterEach(() => {
  fs.rmSync(folder, { recursive: true });
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

function drivers(...names: string[]): void {
  const manifests = names.map((name) => path.join(folder, `${name}.json`));
  for (const manifest of manifests) fs.writeFileSync(manifest, '{ "ICD": { "library_path": "libvulkan_fake.so" } }');
  vi.stubEnv('VK_DRIVER_FILES', manifests.join(path.delimiter));
}

test('the driver that shows the adapter is taken, and no other is left to see', async () => {
  drivers('bad', 'good', 'many');
  const { adapter, driver, env, description } = await pinAdapter('wanted', start);
  expect(adapter.device).toBe('wanted');
  expect(driver).toEqual({ manifest: path.join(folder, 'good.json'), library: 'libvulkan_fake' });
  expect(env['VK_DRIVER_FILES']).toBe(path.join(folder, 'good.json'));
  expect(description).toBe('each program with VK_DRIVER_FILES=good.json');
});

test('a driver with a second adapter is refused: a peer might take that one', async () => {
  drivers('bad', 'many');
  await expect(pinAdapter('wanted', start)).rejects.toThrow(/cannot be held.*shows 2 adapters: wanted; second/);
});

test('without such a driver only the default adapter can be compared on', async () => {
  drivers('bad');
  await expect(pinAdapter('wanted', start)).rejects.toThrow(/no Vulkan driver shows it and nothing else/);
  vi.spyOn(process, 'platform', 'get').mockReturnValue('darwin');
  expect(await pinAdapter('auto', start)).toMatchObject({
    driver: undefined,
    description: expect.stringMatching(/not pinned/),
  });
});
