// Where a GPU adapter comes from in Node: Dawn, through the npm package `webgpu`, on the system's driver or on the software
// driver (SwiftShader) that the npm package @sparticuz/chromium carries. The only file that knows either package.
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { describeAdapter } from './device.ts';
import { StamError } from './errors.ts';
import { cacheFolder } from './node-cache.ts';
import { pollPatiently } from './node-polling.ts';

/** How Dawn is switched on this project's behalf; the reasons stand beside each name. */
const toggles = {
  enable: [
    'allow_unsafe_apis', // experimental features (subgroup matrices) are offered at all
    'vulkan_enable_f16_on_nvidia', // shader-f16 is held back on NVIDIA's Vulkan driver otherwise
    'use_vulkan_memory_model', // what subgroup matrices need on Vulkan
  ],
  disable: ['timestamp_quantization'], // per-kernel times would be rounded to 100 us
};

/** What is enabled besides for shaders that run unchecked, as no browser runs them. */
const uncheckedToggles = [
  'disable_robustness', // indices are not clamped
  'disable_workgroup_init', // workgroup memory is not zeroed
];

export interface NodeAdapterOptions {
  /** Whether Dawn leaves its own checks out of shaders: a kernel with an error may then read and write anything. False by default. */
  readonly unchecked?: boolean;
}

/** An adapter and the way it was found. */
export interface NodeAdapter {
  readonly adapter: GPUAdapter;
  /** 'system': the machine's own driver; 'bundled': the software driver out of an npm package; 'null': Dawn's compile-only backend. */
  readonly origin: 'system' | 'bundled' | 'null';
}

/**
 * By driver and flags. Dawn ends with the object that created it, under the feet of its adapters and devices: these live as long as the
 * process, and one serves all who want the same, however often a device is lost.
 */
const instances = new Map<string, GPU>();

const softwarePackage = '@sparticuz/chromium';
const require = createRequire(import.meta.url);

/**
 * Finds an adapter. `choice` is
 * - `auto`: the system's default adapter, else the bundled software adapter;
 * - `software`: the bundled software adapter;
 * - `null`: Dawn's null backend, which compiles every shader and computes nothing;
 * - anything else: the first adapter whose name contains it, letter case aside, the bundled one included.
 * Throws no-webgpu when the package `webgpu` cannot be loaded and no-adapter, naming what there is, when nothing fits.
 */
export async function requestNodeAdapter(
  choice: string,
  { unchecked = false }: NodeAdapterOptions = {},
): Promise<NodeAdapter> {
  const wanted = choice.toLowerCase();
  const enable = [...toggles.enable, ...(unchecked ? uncheckedToggles : [])];
  if (wanted === 'null') return { adapter: await nullAdapter(enable), origin: 'null' };
  if (wanted !== 'software') {
    const adapter = wanted === 'auto' ? await systemDefault(enable) : await systemNamed(wanted, enable);
    if (adapter) {
      if (describeAdapter(adapter.info).software) pollPatiently();
      return { adapter, origin: 'system' };
    }
  }
  const bundled = await bundledAdapter(enable);
  if (bundled && (wanted === 'auto' || wanted === 'software' || nameOf(bundled.info).includes(wanted))) {
    pollPatiently();
    return { adapter: bundled, origin: 'bundled' };
  }
  const names = [...(await systemAdapterNames()), ...(bundled ? [bundled.info.description || 'SwiftShader'] : [])];
  throw new StamError('no-adapter', {
    where: 'adapter',
    problem: 'no GPU adapter fits',
    got: `'${choice}'`,
    expected: names.length ? `a part of one of: ${names.join('; ')}` : 'a Vulkan, Metal or D3D12 driver',
    hint: bundled ? undefined : `npm install ${softwarePackage} for a software adapter that needs no driver`,
  });
}

/** Names of the system's adapters, as Dawn prints them. */
export async function systemAdapterNames(): Promise<string[]> {
  // without a loader Dawn finds nothing on Linux, and warns of that on stderr: who has no GPU there need not hear of it
  if (process.platform === 'linux' && !hasSystemLoader()) return [];
  try {
    const gpu = await createGpu(['adapter=\u0000none']);
    await gpu.requestAdapter();
    return [];
  } catch (error) {
    // Dawn has no call that lists adapters; asked for one that cannot exist, it names them all
    return [...String(error).matchAll(/name: '([^']*)'/g)].map((match) => match[1]);
  }
}

const nameOf = (info: GPUAdapterInfo): string =>
  `${info.vendor} ${info.architecture} ${info.device} ${info.description}`.toLowerCase();

async function systemDefault(enable: readonly string[]): Promise<GPUAdapter | undefined> {
  if ((await systemAdapterNames()).length === 0) return undefined;
  const gpu = await createGpu([], enable);
  return (await gpu.requestAdapter({ powerPreference: 'high-performance' })) ?? undefined;
}

async function systemNamed(wanted: string, enable: readonly string[]): Promise<GPUAdapter | undefined> {
  const name = (await systemAdapterNames()).find((candidate) => candidate.toLowerCase().includes(wanted));
  if (name === undefined) return undefined;
  const gpu = await createGpu([`adapter=${name}`], enable);
  return (await gpu.requestAdapter()) ?? undefined;
}

async function nullAdapter(enable: readonly string[]): Promise<GPUAdapter> {
  const gpu = await createGpu(['backend=null'], enable);
  const adapter = await gpu.requestAdapter();
  if (adapter) return adapter;
  throw new StamError('no-adapter', { where: 'adapter', problem: "Dawn's null backend is missing from this build" });
}

/** The software adapter out of the npm package, or undefined when that package is not installed. */
async function bundledAdapter(enable: readonly string[]): Promise<GPUAdapter | undefined> {
  const folder = unpackBundledDriver();
  if (folder === undefined) return undefined;
  const before = process.env['VK_DRIVER_FILES'];
  process.env['VK_DRIVER_FILES'] = path.join(folder, 'vk_swiftshader_icd.json');
  hasSystemLoader();
  try {
    loadVulkanLoader(path.join(folder, 'libvulkan.so.1'));
    const gpu = await createGpu([], enable);
    return (await gpu.requestAdapter()) ?? undefined;
  } finally {
    // the loader has read it; other instances of this process are to see the system's drivers again
    if (before === undefined) delete process.env['VK_DRIVER_FILES'];
    else process.env['VK_DRIVER_FILES'] = before;
  }
}

/** Looked for once, before the bundled loader is there, which would be found from then on. */
let systemLoader: boolean | undefined;

/** Whether Dawn's own dlopen of the Vulkan loader finds the system's. */
function hasSystemLoader(): boolean {
  if (systemLoader !== undefined) return systemLoader;
  try {
    loadVulkanLoader('libvulkan.so.1');
    systemLoader = true;
  } catch {
    systemLoader = false;
  }
  return systemLoader;
}

/**
 * Makes libvulkan.so.1 known to the process, so that Dawn's own dlopen by that name finds it on a machine without one.
 * Where the system has the library, that one is in memory already and stays.
 */
function loadVulkanLoader(file: string): void {
  const keepLoaded = 0x1000; // RTLD_NODELETE, which os.constants does not list
  try {
    process.dlopen({ exports: {} }, file, os.constants.dlopen.RTLD_NOW | keepLoaded);
  } catch (error) {
    // it is no Node addon, and Node says so after having loaded it
    if (!/did not self-register/.test(String(error))) throw error;
  }
}

/**
 * Unpacks the software driver once per user and version; returns the folder of vk_swiftshader_icd.json and libvulkan.so.1, or
 * undefined where the npm package that carries them is not installed.
 */
export function unpackBundledDriver(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  let root: string;
  try {
    root = path.resolve(path.dirname(require.resolve(softwarePackage)), '..');
  } catch {
    return undefined;
  }
  while (!fs.existsSync(path.join(root, 'package.json'))) root = path.dirname(root);
  const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
  const archive = path.join(root, 'bin', 'swiftshader.tar.br');
  if (!fs.existsSync(archive)) return undefined;
  const folder = path.join(cacheFolder(), `swiftshader-${version}`);
  if (fs.existsSync(folder)) return folder;
  const partial = `${folder}.${randomUUID()}`;
  fs.mkdirSync(partial, { recursive: true, mode: 0o700 });
  for (const { name, data } of tarEntries(zlib.brotliDecompressSync(fs.readFileSync(archive)))) {
    if (/^(libvk_swiftshader\.so|libvulkan\.so\.1|vk_swiftshader_icd\.json)$/.test(name)) {
      fs.writeFileSync(path.join(partial, name), data, { mode: 0o700 });
    }
  }
  try {
    fs.renameSync(partial, folder);
  } catch {
    fs.rmSync(partial, { recursive: true }); // another process was first
  }
  return folder;
}

function* tarEntries(tar: Buffer): Generator<{ name: string; data: Buffer }> {
  const block = 512;
  for (let offset = 0; offset + block <= tar.length; ) {
    const text = (from: number, to: number) => tar.toString('latin1', offset + from, offset + to).replace(/\0.*$/s, '');
    const name = text(0, 100);
    if (name === '') return;
    const size = Number.parseInt(text(124, 136), 8);
    yield { name, data: tar.subarray(offset + block, offset + block + size) };
    offset += block + Math.ceil(size / block) * block;
  }
}

async function createGpu(flags: readonly string[], enable: readonly string[] = toggles.enable): Promise<GPU> {
  let dawn: typeof import('webgpu');
  try {
    dawn = await import('webgpu');
  } catch (cause) {
    throw new StamError('no-webgpu', {
      where: 'Node',
      problem: 'the npm package `webgpu` (Dawn) cannot be loaded',
      hint: 'npm install webgpu',
      cause,
    });
  }
  for (const [name, value] of Object.entries(dawn.globals))
    if (!(name in globalThis)) Reflect.set(globalThis, name, value);
  const key = JSON.stringify([process.env['VK_DRIVER_FILES'], ...enable, ...flags]);
  const known = instances.get(key);
  if (known) return known;
  const gpu = dawn.create([
    `enable-dawn-features=${enable.join(',')}`,
    `disable-dawn-features=${toggles.disable.join(',')}`,
    ...flags,
  ]);
  instances.set(key, gpu);
  return gpu;
}
