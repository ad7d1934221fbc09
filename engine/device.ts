// A GPUDevice and what the engine needs to know of it.
import { DeviceLoss } from './device-loss.ts';
import { StamError } from './errors.ts';
import type { MatrixShape } from './matrices.ts';
import { probeMatrices } from './matrices.ts';
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
  'chromium-experimental-subgroup-matrix' as GPUFeatureName,
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
  const name = [adapter.vendor, adapter.description || adapter.device || adapter.architecture]
    .filter(Boolean)
    .join(' ');
  return `${name || 'unnamed adapter'}${adapter.software ? ' (software)' : ''}`;
}

async function capabilitiesOf(device: GPUDevice): Promise<Capabilities> {
  const info = device.adapterInfo;
  const { limits } = device;
  return {
    adapter: describeAdapter(info),
    features: device.features,
    ...subgroupsOf(device.features, info),
    matrices: await probeMatrices(device),
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
}

/** The subgroup size to count on. Where sizes vary and one can be asked for, that is 32, the most common one, or the nearest to it. */
function subgroupsOf(
  features: ReadonlySet<string>,
  { subgroupMinSize: least, subgroupMaxSize: most }: GPUAdapterInfo,
): Pick<Capabilities, 'subgroupSize' | 'subgroupSizeVaries'> {
  if (!features.has('subgroups')) return { subgroupSize: undefined, subgroupSizeVaries: false };
  if (least === most) return { subgroupSize: least, subgroupSizeVaries: false };
  const canAsk = features.has('subgroup-size-control');
  return { subgroupSize: canAsk ? Math.min(Math.max(32, least), most) : undefined, subgroupSizeVaries: true };
}

/** The engine's side of a GPUDevice: its capabilities, pipelines and memory. Several programs may share one. */
export class Device {
  readonly gpu: GPUDevice;
  readonly capabilities: Capabilities;
  readonly pipelines: PipelineCache;
  readonly memory: GpuMemory;
  readonly #owned: boolean;
  readonly #loss: DeviceLoss;
  #disposed = false;

  private constructor(gpu: GPUDevice, capabilities: Capabilities, owned: boolean) {
    this.gpu = gpu;
    this.#owned = owned;
    this.capabilities = capabilities;
    this.pipelines = new PipelineCache(gpu, (work) => this.settle(work));
    this.memory = new GpuMemory(gpu);
    this.#loss = DeviceLoss.of(gpu);
  }

  /** Wraps a device of the caller's, which is used and never destroyed. */
  static async adopt(gpu: GPUDevice): Promise<Device> {
    return new Device(gpu, await capabilitiesOf(gpu), false);
  }

  /** Asks the adapter for a device with everything the engine can use. `descriptor` overrides that: tests ask for less. */
  static async request(adapter: GPUAdapter, descriptor?: GPUDeviceDescriptor): Promise<Device> {
    try {
      const gpu = await adapter.requestDevice({ label: 'stam', ...(descriptor ?? requiredDevice(adapter)) });
      return new Device(gpu, await capabilitiesOf(gpu), true);
    } catch (cause) {
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
    if (this.#disposed) throw new StamError('disposed', { where: 'device', problem: 'it was disposed of' });
    if (this.#loss.info) throw this.#lost();
  }

  /**
   * Waits for what the GPU is to do. Throws device-lost when the device goes away meanwhile, whether or not `work` ever settles then, and
   * disposed when this was disposed of.
   */
  async settle<T>(work: Promise<T>): Promise<T> {
    try {
      return await this.#loss.settle(work, () => this.#lost());
    } catch (error) {
      this.check();
      throw error;
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

  /**
   * Runs `create`, which makes GPU objects without waiting, and turns WebGPU's deferred errors into StamErrors:
   * out-of-memory, or limit for what validation refuses.
   */
  async checked<T>(where: string, create: () => T): Promise<T> {
    this.check();
    this.gpu.pushErrorScope('out-of-memory');
    this.gpu.pushErrorScope('validation');
    let result: T;
    let scopes: Promise<[GPUError | null, GPUError | null]>;
    try {
      result = create();
    } finally {
      scopes = Promise.all([this.gpu.popErrorScope(), this.gpu.popErrorScope()]);
      scopes.catch(() => undefined); // awaited below unless create() threw
    }
    const [validation, memory] = await this.settle(scopes);
    if (memory)
      throw new StamError('out-of-memory', { where, problem: 'the GPU has no memory left', got: memory.message });
    if (validation) throw new StamError('limit', { where, problem: 'WebGPU refuses it', got: validation.message });
    this.check();
    return result;
  }

  /** Frees everything the engine made here, and the device itself if the engine made that too. Safe to call twice. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.memory.dispose();
    if (this.#owned) this.gpu.destroy();
  }
}
