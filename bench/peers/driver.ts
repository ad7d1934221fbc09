// The Vulkan driver that both programs of a comparison are held to, and the proof that they loaded it.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A driver by its manifest, the JSON file that the Vulkan loader reads. */
export interface Driver {
  readonly manifest: string;
  /** File name of its library, without what stands behind `.so`. */
  readonly library: string;
}

/** Reads a manifest; undefined when it is none. */
export function readDriver(manifest: string): Driver | undefined {
  try {
    const { ICD } = JSON.parse(fs.readFileSync(manifest, 'utf8')) as { ICD?: { library_path?: unknown } };
    if (typeof ICD?.library_path !== 'string') return undefined;
    return { manifest, library: path.basename(ICD.library_path).replace(/\.so\b.*$/, '') };
  } catch {
    return undefined;
  }
}

/** The system's drivers: those that the environment names, else those in the folders where the Vulkan loader looks. */
export function systemDrivers(env: NodeJS.ProcessEnv = process.env): Driver[] {
  const named = env['VK_DRIVER_FILES'] ?? env['VK_ICD_FILENAMES'];
  const places = named?.split(path.delimiter) ?? [...dataFolders(env), '/etc', '/usr/local/etc'].map(manifestFolder);
  const manifests = places.filter(fs.existsSync).flatMap((place) =>
    fs.statSync(place).isDirectory()
      ? fs
          .readdirSync(place)
          .filter((file) => file.endsWith('.json'))
          .map((file) => path.join(place, file))
      : [place],
  );
  return [...new Set(manifests)].flatMap((manifest) => readDriver(manifest) ?? []);
}

const manifestFolder = (folder: string) => path.join(folder, 'vulkan', 'icd.d');

function dataFolders(env: NodeJS.ProcessEnv): string[] {
  const own = env['XDG_DATA_HOME'] ?? path.join(os.homedir(), '.local', 'share');
  return [own, ...(env['XDG_DATA_DIRS'] ?? '/usr/local/share:/usr/share').split(':')];
}

/** The environment of a process that sees this driver only. `loader` is a folder with a libvulkan.so.1, for systems without one. */
export function pinnedEnvironment({ manifest }: Driver, loader?: string): NodeJS.ProcessEnv {
  const { VK_ICD_FILENAMES, VK_ADD_DRIVER_FILES, ...env } = process.env;
  const libraries = [env['LD_LIBRARY_PATH'], loader].filter(Boolean).join(':');
  return { ...env, VK_DRIVER_FILES: manifest, ...(libraries && { LD_LIBRARY_PATH: libraries }) };
}

/** File names of the libraries in this process's memory; undefined where the system does not show them. */
export function loadedLibraries(maps = '/proc/self/maps'): readonly string[] | undefined {
  if (!fs.existsSync(maps)) return undefined;
  const mapped = fs
    .readFileSync(maps, 'utf8')
    .split('\n')
    .flatMap((line) => /(?:\/[^/\n]+)*\/([^/\n]+\.so[^/\n]*)$/.exec(line)?.[1] ?? []);
  return [...new Set(mapped)];
}

/** The driver's library among loaded ones: `libGLX_nvidia` is there as libGLX_nvidia.so.570. */
export function findLibrary({ library }: Driver, loaded: readonly string[]): string | undefined {
  return loaded.find((file) => file.startsWith(`${library}.so`));
}
