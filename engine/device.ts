// A GPUDevice and what the engine needs to know of it.
import { unlessAborted } from './abort.ts';
import { DeviceLoss } from './device-loss.ts';
import { asRefusal, scoped } from './error-scopes.ts';
import { StamError, throwIfAborted } from './errors.ts';
import { laneRegistersOf, unitsOf } from './hardware.ts';
import { importModules } from './kernel-modules.ts';
import type { MatrixShape } from './matrices.ts';
import { matrixFeature, matrixFeatures } from './matrices.ts';
import { GpuMemory } from './memory.ts';
import { PipelineCache } from './pipeline-cache.ts';

/** Who the adapter is, as WebGPU tells it. */
export interface AdapterDescription {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** Whether it computes on the CPU. */
  readonly software: boolean;
}

/** What a device can do, as far as kernels and plans depend on it. Plain data: tests make their own. */
export interface Capabilities {
  readonly adapter: AdapterDescription;
  readonly features: ReadonlySet<string>;
  /** Lanes of a subgroup that a kernel can count on: the device's only size, or one that a kernel can ask for. */
  readonly subgroupSize: number | undefined;
  /** Whether a kernel has that size only if it asks for it: by the feature subgroup-size-control. */
  readonly subgroupSizeVaries: boolean;
  /**
   * Registers of 32 bits that a lane can fill, as far as one can know: kernels that take more come after those that do not. Infinity where
   * there are enough for all.
   */
  readonly laneRegisters: number;
  /** How many units run workgroups at the same time, as far as one can know. */
  readonly units: number;
  /** Of the shapes of subgroup matrices that kernels know, those that the device multiplies. */
  readonly matrices: readonly MatrixShape[];
  readonly limits: {
    readonly storageBufferBindingBytes: number;
    readonly bufferBytes: number;
    readonly storageBuffers: number;
    readonly storageOffsetAlignment: number;
    readonly uniformOffsetAlignment: number;
    readonly workgroupStorageBytes: number;
    readonly workgroupInvocations: number;
  };
}

/** Features that the engine uses when the adapter has them; it works without any. */
const usefulFeatures = [
  'shader-f16',
  'subgroups',
  'subgroup-size-control' as GPUFeatureName,
  'timestamp-query',
  ...(Object.keys(matrixFeatures) as GPUFeatureName[]),
] as const;

/** Limits of which the engine can use more than WebGPU's default. */
const usefulLimits = [
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
] as const;

/** What to ask of an adapter so that the engine runs at its best: pass it to `adapter.requestDevice()`, together with your own needs. */
export function requiredDevice(adapter: GPUAdapter): {
  requiredFeatures: GPUFeatureName[];
  requiredLimits: Record<string, number>;
} {
  return {
    requiredFeatures: usefulFeatures.filter((feature) => adapter.features.has(feature)),
    requiredLimits: Object.fromEntries(usefulLimits.map((limit) => [limit, adapter.limits[limit]])),
  };
}

/** What is known of an adapter, and whether it computes on the processor. */
export function describeAdapter(info: GPUAdapterInfo): AdapterDescription {
  const { vendor, architecture, device, description } = info;
  const software =
    info.isFallbackAdapter || /swiftshader|llvmpipe|software|basic render/i.test(`${architecture} ${description}`);
  return { vendor, architecture, device, description, software };
}

/** `mesa llvmpipe: Mesa 25 (software)`: a line that names the adapter. */
export function formatAdapter(adapter: AdapterDescription): string {
  const { vendor, device, description, architecture, software } = adapter;
  if (software)
    return `${[vendor, description || device || architecture].filter(Boolean).join(' ') || 'unnamed adapter'} (software)`;
  // Dawn on Vulkan describes the driver alone, and names the card as the device, its maker included
  const maker = device.startsWith(vendor) ? '' : vendor;
  return [maker, device, description || (device ? '' : architecture)].filter(Boolean).join(' ') || 'unnamed adapter';
}

/** `adapterInfo` is that of the adapter where it is at hand: it may list shapes of matrices, which a device's does not. */
async function capabilitiesOf(device: GPUDevice, adapterInfo = device.adapterInfo): Promise<Capabilities> {
  const info = device.adapterInfo;
  const { limits } = device;
  const adapter = describeAdapter(info);
  const capabilities: Capabilities = {
    adapter,
    features: device.features,
    ...subgroupsOf(device.features, info),
    laneRegisters: laneRegistersOf(adapter),
    units: unitsOf(adapter),
    matrices: await matricesOf(device, adapterInfo),
    limits: {
      storageBufferBindingBytes: limits.maxStorageBufferBindingSize,
      bufferBytes: limits.maxBufferSize,
      storageBuffers: limits.maxStorageBuffersPerShaderStage,
      storageOffsetAlignment: limits.minStorageBufferOffsetAlignment,
      uniformOffsetAlignment: limits.minUniformBufferOffsetAlignment,
      workgroupStorageBytes: limits.maxComputeWorkgroupStorageSize,
      workgroupInvocations: limits.maxComputeInvocationsPerWorkgroup,
    },
  };
  await importModules(capabilities);
  return capabilities;
}

/** The shapes of subgroup matrices that a device multiplies. The probe is imported on demand: few devices have the feature. */
async function matricesOf(device: GPUDevice, info: GPUAdapterInfo): Promise<readonly MatrixShape[]> {
  const feature = matrixFeature(device.features);
  if (!feature) return [];
  const { probeMatrices } = await import('./probe-matrices.ts');
  return await probeMatrices(device, feature, info);
}

/**
 * The subgroup size to count on. Where sizes vary and one can be asked for, that is 16, at which a lane of Intel's GPUs has twice the
 * registers that it has at 32, or the nearest to it: 32 on AMD's.
 */
function subgroupsOf(
  features: ReadonlySet<string>,
  { subgroupMinSize: least, subgroupMaxSize: most }: GPUAdapterInfo,
): Pick<Capabilities, 'subgroupSize' | 'subgroupSizeVaries'> {
  if (!features.has('subgroups')) return { subgroupSize: undefined, subgroupSizeVaries: false };
  if (least === most) return { subgroupSize: least, subgroupSizeVaries: false };
  const canAsk = features.has('subgroup-size-control');
  return { subgroupSize: canAsk ? Math.min(Math.max(16, least), most) : undefined, subgroupSizeVaries: true };
}

/** The engine's side of a GPUDevice: its capabilities, pipelines and memory. Several programs may share one. */
export class Device {
  readonly gpu: GPUDevice;
  readonly capabilities: Capabilities;
  readonly pipelines: PipelineCache;
  readonly memory: GpuMemory;
  readonly #owned: boolean;
  readonly #loss: DeviceLoss;
  readonly #disposal = new AbortController();

  private constructor(gpu: GPUDevice, capabilities: Capabilities, owned: boolean) {
    this.gpu = gpu;
    this.#owned = owned;
    this.capabilities = capabilities;
    this.pipelines = new PipelineCache(gpu, this);
    this.memory = new GpuMemory(gpu);
    this.#loss = DeviceLoss.of(gpu);
  }

  /** Wraps a device of the caller's, which is used and never destroyed. */
  static async adopt(gpu: GPUDevice): Promise<Device> {
    return new Device(gpu, await capabilitiesOf(gpu), false);
  }

  /** Asks the adapter for a device with everything the engine can use. `descriptor` overrides that: tests ask for less. */
  static async request(adapter: GPUAdapter, descriptor?: GPUDeviceDescriptor): Promise<Device> {
    let gpu: GPUDevice | undefined;
    try {
      gpu = await adapter.requestDevice({ label: 'stam', ...(descriptor ?? requiredDevice(adapter)) });
      return new Device(gpu, await capabilitiesOf(gpu, adapter.info), true);
    } catch (cause) {
      gpu?.destroy();
      throw new StamError('no-adapter', {
        where: formatAdapter(describeAdapter(adapter.info)),
        problem: 'the adapter gives no device',
        got: cause instanceof Error ? cause.message : String(cause),
        cause,
      });
    }
  }

  /** Throws what has made the device unusable. */
  check(): void {
    throwIfAborted(this.#disposal.signal);
    if (this.#loss.info) throw this.#lost();
  }

  /**
   * Waits for what the GPU is to do. Throws device-lost when the device goes away meanwhile and disposed when this is disposed of, whether
   * or not `work` ever settles then.
   */
  async settle<T>(work: Promise<T>): Promise<T> {
    try {
      return await unlessAborted(
        this.#loss.settle(work, () => this.#lost()),
        this.#disposal.signal,
      );
    } catch (error) {
      this.check();
      throw error;
    }
  }

  /** Waits until the GPU has done what was submitted. Throws as settle() does. */
  async finished(): Promise<void> {
    await this.settle(this.gpu.queue.onSubmittedWorkDone());
  }

  /** The bytes of a buffer that can be mapped, once the GPU has written them. Throws as settle() does, and limit for what WebGPU refuses. */
  async read(where: string, buffer: GPUBuffer): Promise<ArrayBuffer> {
    const { result: mapped, accepted } = this.scoped(where, () => buffer.mapAsync(GPUMapMode.READ));
    mapped.catch(() => undefined); // what is accepted is awaited first: it tells why
    await accepted;
    try {
      await this.settle(mapped);
      const bytes = buffer.getMappedRange().slice(0);
      buffer.unmap();
      return bytes;
    } catch (error) {
      throw asRefusal(where, error);
    }
  }

  #lost(): StamError {
    const { reason, message } = this.#loss.info ?? {};
    return new StamError('device-lost', {
      where: formatAdapter(this.capabilities.adapter),
      problem: `the GPU device was lost (${reason})`,
      got: message || undefined,
      hint: 'recover() or load the model again',
    });
  }

  /** scoped(), waiting for what WebGPU has to say. */
  async checked<T>(where: string, create: () => T): Promise<T> {
    try {
      const { result, accepted } = this.scoped(where, create);
      await accepted;
      return result;
    } catch (error) {
      return await this.settle(Promise.reject(error)); // a device that is gone is the reason, and its news may come second
    }
  }

  /**
   * Runs `work`, which calls WebGPU without waiting. `accepted` settles when WebGPU has looked at that: it rejects with out-of-memory, or
   * with limit for all else that WebGPU refuses; what WebGPU throws is thrown likewise. Buffers that `work` made are freed then.
   */
  scoped<T>(where: string, work: () => T): { readonly result: T; readonly accepted: Promise<void> } {
    this.check();
    const made: GPUBuffer[] = [];
    const release = () => {
      for (const buffer of made) this.memory.destroy(buffer);
    };
    try {
      const { result, refusal } = scoped(this.gpu, where, () => this.memory.noting(made, work));
      const accepted = this.settle(refusal).then((error) => {
        this.check();
        if (error) throw error;
      });
      accepted.catch(release);
      return { result, accepted };
    } catch (error) {
      release();
      throw error;
    }
  }

  /**
   * Frees everything the engine made here, and the device itself if the engine made that too; calls that are not over reject with
   * `reason`, by default disposed. Safe to call twice.
   */
  dispose(reason = new StamError('disposed', { where: 'device', problem: 'it was disposed of' })): void {
    if (this.#disposal.signal.aborted) return;
    this.#disposal.abort(reason);
    this.memory.dispose();
    this.pipelines.release();
    if (this.#owned) this.gpu.destroy();
  }
}
