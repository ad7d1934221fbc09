// The device that GPU tests run on: STAM_ADAPTER, by default the bundled software adapter. None is a failure, not a skip.
import { Device } from '../engine/device.ts';
import { requestNodeAdapter } from '../engine/node-adapter.ts';

/** A device with everything the adapter has, or with just what `descriptor` asks for. */
export async function openTestDevice(descriptor?: GPUDeviceDescriptor, adapterName?: string): Promise<Device> {
  const { adapter } = await requestNodeAdapter(adapterName ?? process.env['STAM_ADAPTER'] ?? 'software');
  return await Device.request(adapter, descriptor);
}
