// The page's GPU: one device for everything, so that its loss is seen in one place.
import type { AdapterDescription } from '../index.ts';
import { describeAdapter, formatAdapter, requiredDevice, StamError } from '../index.ts';

export interface Gpu {
  readonly device: GPUDevice;
  readonly adapter: AdapterDescription;
  /** The adapter in one line. */
  readonly name: string;
}

/** The best adapter's device. Throws no-webgpu or no-adapter, with what the visitor can do about it. */
export async function openGpu(): Promise<Gpu> {
  if (!navigator.gpu) {
    throw new StamError('no-webgpu', {
      where: 'This browser',
      problem: isSecureContext ? 'it has no WebGPU' : 'it offers WebGPU to secure pages only, and this one is not',
      hint: isSecureContext
        ? 'Chrome and Edge from 113, Safari from 26 and Firefox from 141 have it; on Linux it may need a flag'
        : 'open the page over https, or from localhost',
    });
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) {
    throw new StamError('no-adapter', {
      where: 'This machine',
      problem: 'the browser has WebGPU, but found no GPU that it would use',
      hint: "the browser's own page about it (chrome://gpu, about:support) says why",
    });
  }
  const description = describeAdapter(adapter.info);
  try {
    const device = await adapter.requestDevice({ label: 'demo', ...requiredDevice(adapter) });
    return { device, adapter: description, name: formatAdapter(description) };
  } catch (cause) {
    throw new StamError('no-adapter', {
      where: formatAdapter(description),
      problem: 'the adapter gives no device',
      got: cause instanceof Error ? cause.message : String(cause),
      hint: 'close other pages that use the GPU, then reload this one',
      cause,
    });
  }
}
