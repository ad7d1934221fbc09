// In Node: everything comes from files, and the device from the package `webgpu`.
import { readFile } from 'node:fs/promises';
import { requiredDevice } from 'stam-webgpu';
import { create, globals } from 'webgpu';
import { check } from './check.ts';

Object.assign(globalThis, globals);
const gpu = create([]);
const adapter = await gpu.requestAdapter();
if (!adapter) throw new Error('no GPU adapter');
const device = await adapter.requestDevice(requiredDevice(adapter));
const answer = await check(
  await readFile('public/stam_16.safetensors'),
  await readFile('public/truth.safetensors'),
  device,
);
device.destroy();
process.stdout.write(JSON.stringify(answer));
