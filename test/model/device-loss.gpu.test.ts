// A device that goes away at any moment: whatever waits is told so, and recover() brings back the same logits.
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { Device, requiredDevice } from '../../engine/device.ts';
import { unit } from '../../loaders/synthetic.ts';
import type { LoadCheckpointOptions } from '../../model/load.ts';
import { loadStam } from '../../model/load.ts';
import { requestTestAdapter } from '../device.ts';
import { longTest, sampleOf } from '../sample.ts';
import { smallestConfig, smallestWeights } from './fixtures.ts';

const config = smallestConfig;
const weights = smallestWeights();
const frames = unit(1, 'frames', config.frames * 3 * config.imageSize ** 2);
const lost = { name: 'StamError', code: 'device-lost' };

let expected: Float32Array;
const devices: GPUDevice[] = [];

async function requestDevice(): Promise<GPUDevice> {
  const adapter = await requestTestAdapter();
  const device = await adapter.requestDevice(requiredDevice(adapter));
  devices.push(device);
  return device;
}

const load = (device: GPUDevice, options: LoadCheckpointOptions = {}) =>
  loadStam(weights, { device, dtype: 'f32', ...options });

beforeAll(async () => {
  const stam = await load(await requestDevice());
  expected = await stam.logits(frames);
  stam.dispose();
});
afterEach(() => {
  vi.unstubAllGlobals();
  for (const device of devices.splice(0)) device.destroy();
});

describe('a device that is lost while a model loads', () => {
  test.each(sampleOf('moments of a load at which a device is lost', ['upload', 'compile', 'ready'] as const, 1))(
    'at %s',
    async (stage) => {
      const device = await requestDevice();
      const loading = load(device, { onProgress: (progress) => progress.stage === stage && device.destroy() });
      if (stage === 'ready') await expect((await loading).logits(frames)).rejects.toMatchObject(lost);
      else await expect(loading).rejects.toMatchObject(lost);
    },
  );

  longTest('while it is tuned', async () => {
    const device = await requestDevice();
    const store = { read: async () => undefined, write: async () => undefined };
    const onProgress: LoadCheckpointOptions['onProgress'] = ({ stage, loaded }) =>
      stage === 'tune' && loaded > 0 && device.destroy();
    await expect(load(device, { tune: 'full', tuningStore: store, onProgress })).rejects.toMatchObject(lost);
  });

  test('before it begins', async () => {
    const device = await requestDevice();
    device.destroy();
    await device.lost;
    await expect(load(device)).rejects.toMatchObject(lost);
  });
});

describe('a device that is lost while a model runs', () => {
  test('rejects everything pending, and all that comes until it is recovered', async () => {
    const device = await requestDevice();
    const stam = await load(device);
    const stream = await stam.stream();
    const pending = Array.from({ length: 5 }, () => stam.logits(frames));
    const pushing = stream.push(frames.slice(0, frames.length / 2));
    device.destroy();
    for (const call of pending) await expect(call).rejects.toMatchObject(lost);
    await pushing.catch((error: unknown) => expect(error).toMatchObject(lost));
    await expect(stam.logits(frames)).rejects.toMatchObject(lost);
    await expect(stream.push(frames.slice(0, frames.length / 2))).rejects.toMatchObject(lost);
    expect(() => stam.encode({} as GPUCommandEncoder, { mapState: 'unmapped' } as GPUBuffer)).toThrow(
      expect.objectContaining(lost),
    );

    await expect(stam.recover()).rejects.toThrow(/recover: the device was the app's own/);
    await stam.recover(await requestDevice());
    expect(await stam.logits(frames)).toEqual(expected);
    const again = await stam.stream();
    for (const start of [0, frames.length / 2]) await again.push(frames.slice(start, start + frames.length / 2));
    expect((await again.logits()).length).toBe(config.classes);
    stam.dispose();
    await expect(stam.recover(await requestDevice())).rejects.toMatchObject({ code: 'disposed' });
  });

  longTest('in every millisecond of a run', async () => {
    for (let delay = 0; delay < 6; delay++) {
      const device = await requestDevice();
      const stam = await load(device);
      const calls = Array.from({ length: 3 }, () => stam.logits(frames));
      setTimeout(() => device.destroy(), delay);
      for (const outcome of await Promise.allSettled(calls)) {
        if (outcome.status === 'fulfilled') expect(outcome.value).toEqual(expected);
        else expect(outcome.reason).toMatchObject(lost);
      }
      await device.lost;
      await expect(stam.logits(frames)).rejects.toMatchObject(lost);
      stam.dispose();
    }
  });

  longTest("is replaced by a device of the library's own where the first was", async () => {
    const adapter = await requestTestAdapter();
    const requested: GPUDevice[] = [];
    const watched = new Proxy(adapter, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (name !== 'requestDevice') return typeof value === 'function' ? value.bind(target) : value;
        return async (descriptor: GPUDeviceDescriptor) => {
          // an adapter gives one device: the next is asked of a new one
          const fresh = await requestTestAdapter();
          const device = await fresh.requestDevice(descriptor);
          requested.push(device);
          devices.push(device);
          return device;
        };
      },
    });
    vi.stubGlobal('navigator', { gpu: { requestAdapter: async () => watched } });
    const stam = await loadStam(weights, { dtype: 'f32' });
    expect(await stam.logits(frames)).toEqual(expected);
    requested[0].destroy();
    await expect(stam.logits(frames)).rejects.toMatchObject(lost);
    await stam.recover();
    expect(requested.length).toBe(2);
    expect(await stam.logits(frames)).toEqual(expected);
    stam.dispose();
    expect((await requested[1].lost).reason).toBe('destroyed');
  });

  longTest('a failed recovery may be tried again', async () => {
    const device = await requestDevice();
    let opened = 0;
    const open = async () => {
      if (++opened === 2) throw new Error('the network is down');
      return { source: weights, close: async () => {} };
    };
    const stam = await loadStam(open, { device, dtype: 'f32' });
    device.destroy();
    const fresh = await requestDevice();
    await expect(stam.recover(fresh)).rejects.toThrow('the network is down');
    await expect(stam.logits(frames)).rejects.toMatchObject(lost);
    await stam.recover(fresh);
    expect(await stam.logits(frames)).toEqual(expected);
    stam.dispose();
  });
});

test("an app's other models on a lost device are told too", async () => {
  const gpu = await requestDevice();
  const [first, second] = [await Device.adopt(gpu), await Device.adopt(gpu)];
  const waiting = [first, second].map((device) => device.settle(new Promise(() => {})));
  gpu.destroy();
  for (const work of waiting) await expect(work).rejects.toMatchObject(lost);
});
