// In Node, with Dawn from the npm package `webgpu`: a checkpoint by its path, frames from wherever you have them.
//   node node.js stam_16.safetensors
import { create, globals } from 'webgpu';
import { loadStam, requiredDevice } from '../../index.ts'; // 'stam-webgpu' in your app
import { syntheticWeights, tiny } from '../models.ts';

Object.assign(globalThis, globals); // GPUBufferUsage and its kin, which browsers have built in
const gpu = create([]); // keep it: adapters and devices end with it
const adapter = await gpu.requestAdapter();
if (!adapter)
  throw new Error('no GPU adapter: npm install @sparticuz/chromium has a software one for `stam --adapter software`');
const device = await adapter.requestDevice(requiredDevice(adapter));

const [path] = process.argv.slice(2);
const stam = await loadStam(path ?? syntheticWeights(tiny), { device });
const { frames } = stam.config;
const [width, height] = [320, 240];
const data = new Uint8Array(frames * width * height * 3).map((_, i) => (i * 31) % 256); // [F, H, W, 3]: your video here
const [predictions] = await stam.classify([{ width, height, data }], { topk: 3 });
for (const { label, index, score } of predictions) {
  process.stdout.write(`${label ?? index}: ${(100 * score).toFixed(1)} %\n`);
}

stam.dispose();
device.destroy(); // the device is yours, and so is its end
