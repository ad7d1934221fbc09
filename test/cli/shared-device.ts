// One GPUDevice for all commands that a file of tests calls in its own process: what is compiled for one serves the next.
import { Device } from '../../engine/device.ts';
import { requestTestAdapter } from '../device.ts';

/** From now on every request for a device of the tests' adapter gives the same one, which nothing destroys but the end of the process. */
export async function shareDevice(): Promise<void> {
  const adapter = await requestTestAdapter();
  const { description } = adapter.info;
  const keeper = await Device.request(adapter); // its pipelines stay as long as it does
  Object.defineProperty(keeper.gpu, 'destroy', { value: () => undefined });
  const prototype = Object.getPrototypeOf(adapter) as GPUAdapter;
  const request = prototype.requestDevice;
  Object.defineProperty(prototype, 'requestDevice', {
    async value(this: GPUAdapter, descriptor?: GPUDeviceDescriptor) {
      return this.info.description === description ? keeper.gpu : await request.call(this, descriptor);
    },
  });
}
