// The device that GPU tests run on: STAM_ADAPTER, by default the bundled software adapter. None is a failure, not a skip.
import { Device } from '../engine/device.ts';
import { requestNodeAdapter } from '../engine/node-adapter.ts';

/** One device of an adapter, which this process keeps with all that is compiled for it. */
interface SharedGpu {
  /** Keeps the pipelines when no test has them any more. */
  readonly keeper: Device;
  /** Buffers, textures and query sets that were made and not destroyed. */
  readonly live: Set<GPUObjectBase>;
}

const opening = new Map<string, Promise<SharedGpu>>();
const opened: SharedGpu[] = [];

/** The adapter that the tests run on. */
export async function requestTestAdapter(name = process.env['STAM_ADAPTER'] ?? 'software'): Promise<GPUAdapter> {
  return (await requestNodeAdapter(name)).adapter;
}

/**
 * A Device with everything that the adapter has, on a GPUDevice that other tests of this process have, too: not to be destroyed, or have its
 * methods replaced for longer than a test.
 */
export async function openTestDevice(adapterName?: string): Promise<Device> {
  const key = adapterName ?? '';
  const shared = opening.get(key) ?? openShared(adapterName);
  opening.set(key, shared);
  return await Device.adopt((await shared).keeper.gpu);
}

/** A Device of the test's own, which dispose() destroys: with everything that the adapter has, or with just what `descriptor` asks for. */
export async function openOwnTestDevice(descriptor?: GPUDeviceDescriptor): Promise<Device> {
  return await Device.request(await requestTestAdapter(), descriptor);
}

/** Labels of what is left on the shared devices. */
export function liveObjects(): string[] {
  return opened.flatMap(({ live }) => [...live].map(({ label }) => label || 'unlabelled'));
}

/** Of what is left now, liveObjects() tells no more. */
export function forgetLiveObjects(): void {
  for (const { live } of opened) live.clear();
}

async function openShared(adapterName: string | undefined): Promise<SharedGpu> {
  const keeper = await Device.request(await requestTestAdapter(adapterName));
  const shared = { keeper, live: watchCreations(keeper.gpu) };
  opened.push(shared);
  return shared;
}

/** What is made on a device from now on and not destroyed. */
function watchCreations(gpu: GPUDevice): Set<GPUObjectBase> {
  const live = new Set<GPUObjectBase>();
  for (const name of ['createBuffer', 'createTexture', 'createQuerySet'] as const) {
    const create = (gpu[name] as (descriptor: never) => GPUBuffer | GPUTexture | GPUQuerySet).bind(gpu);
    const watched = (descriptor: never) => {
      const made = create(descriptor);
      const destroy = made.destroy.bind(made);
      live.add(made);
      Object.defineProperty(made, 'destroy', {
        configurable: true,
        value: () => {
          live.delete(made);
          return destroy();
        },
      });
      return made;
    };
    Object.defineProperty(gpu, name, { value: watched, configurable: true, writable: true });
  }
  return live;
}
