import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findLibrary, loadedLibraries, pinnedEnvironment, systemDrivers } from '../../../bench/peers/driver.ts';
import { installOnnxruntime, onnxruntimeVersion } from '../../../bench/peers/install.ts';

let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'stam-test-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

test('drivers are those of the named manifests, else of the folders of the loader', () => {
  const place = path.join(folder, 'data', 'vulkan', 'icd.d');
  fs.mkdirSync(place, { recursive: true });
  const manifest = path.join(place, 'some_icd.json');
  fs.writeFileSync(manifest, '{ "ICD": { "library_path": "/usr/lib/libGLX_some.so.0" } }');
  fs.writeFileSync(path.join(place, 'broken.json'), '{');
  const driver = { manifest, library: 'libGLX_some' };
  expect(systemDrivers({ VK_DRIVER_FILES: `${manifest}:/none.json` })).toEqual([driver]);
  expect(systemDrivers({ VK_ICD_FILENAMES: manifest })).toEqual([driver]);
  expect(systemDrivers({ XDG_DATA_HOME: '/none', XDG_DATA_DIRS: path.join(folder, 'data') })).toContainEqual(driver);
  expect(pinnedEnvironment(driver, '/loader')).toMatchObject({ VK_DRIVER_FILES: manifest });
  expect(pinnedEnvironment(driver, '/loader')['LD_LIBRARY_PATH']).toMatch(/(^|:)\/loader$/);
});

test('libraries are found in the memory map by the name without what stands behind .so', () => {
  const maps = path.join(folder, 'maps');
  fs.writeFileSync(
    maps,
    '7f00-7f01 r-xp 0 00:00 1    /usr/lib/libGLX_some.so.570.1\n7f01-7f02 r--p 0 00:00 1    /usr/lib/libGLX_some.so.570.1\n7f02-7f03 rw-p 0 00:00 0 [heap]\n',
  );
  expect(loadedLibraries(maps)).toEqual(['libGLX_some.so.570.1']);
  expect(loadedLibraries(path.join(folder, 'none'))).toBeUndefined();
  expect(findLibrary({ manifest: '', library: 'libGLX_some' }, ['libGLX_some.so.570.1'])).toBe('libGLX_some.so.570.1');
  expect(findLibrary({ manifest: '', library: 'libGLX' }, ['libGLX_some.so.570.1'])).toBeUndefined();
});

test('an installation that fails says why and leaves nothing', async () => {
  const cache = path.join(folder, 'cache');
  const options = { signal: new AbortController().signal, log: () => undefined };
  await expect(installOnnxruntime(cache, { ...options, npm: '/no/such/npm' })).rejects.toThrow(
    /onnxruntime-node: npm could not install it; got spawn .*ENOENT.*; the first comparison needs npm/,
  );
  // node takes no `install`, and says so in more than one line
  await expect(installOnnxruntime(cache, { ...options, npm: process.execPath })).rejects.toThrow(
    /got exit 9|got exit 1/,
  );
  expect(fs.readdirSync(cache)).toEqual([]);
});

test('an installation that is there is taken as it is', async () => {
  const cache = path.join(folder, 'installed');
  const there = path.join(cache, `onnxruntime-node-${onnxruntimeVersion}`);
  fs.mkdirSync(there, { recursive: true });
  const options = { signal: new AbortController().signal, log: () => undefined, npm: '/no/such/npm' };
  expect(await installOnnxruntime(cache, options)).toBe(there);
});
