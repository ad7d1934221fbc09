// Compiles kernels, each distinct text once for a GPUDevice, and explains what the compiler refuses.
import { scoped } from './error-scopes.ts';
import { StamError } from './errors.ts';
import type { Kernel } from './kernel.ts';
import { kernelLabel } from './kernel.ts';
import { KernelTexts } from './kernel-texts.ts';
import type { Binding, ResolvedKernel } from './wgsl.ts';

export interface CompiledKernel extends ResolvedKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

const layoutEntries: Readonly<Record<Binding['access'], Partial<GPUBindGroupLayoutEntry>>> = {
  uniform: { buffer: { type: 'uniform' } },
  read: { buffer: { type: 'read-only-storage' } },
  read_write: { buffer: { type: 'storage' } },
  // kernels load single texels: any format of floats will do, filtered or not
  texture_2d: { texture: { sampleType: 'unfilterable-float' } },
  texture_external: { externalTexture: {} },
};

/** A pipeline, and who has asked for it: it goes with the last of them. */
interface Kept {
  readonly compiling: Promise<CompiledKernel>;
  readonly users: Set<symbol>;
}

/** What the engine keeps of a GPUDevice while any Device of it is in use. */
interface Shared {
  readonly texts: KernelTexts;
  readonly pipelines: Map<string, Kept>;
  /** How many Devices there are. */
  users: number;
}

const shared = new WeakMap<GPUDevice, Shared>();

/** A Device, as far as those who wait for its pipelines are concerned. */
interface Waiting {
  check(): void;
  settle<T>(work: Promise<T>): Promise<T>;
}

/**
 * The pipelines of a Device. All Devices of one GPUDevice share them, so that what one model has compiled the next finds; each can be
 * disposed of while another waits for the same pipeline, and takes along what it alone has asked for.
 */
export class PipelineCache {
  readonly #gpu: GPUDevice;
  readonly #device: Waiting;
  readonly #shared: Shared;
  /** Stands for this one among the users: what is shared keeps no Device in memory. */
  readonly #user = Symbol();

  constructor(gpu: GPUDevice, device: Waiting) {
    this.#gpu = gpu;
    this.#device = device;
    this.#shared = shared.get(gpu) ?? { texts: new KernelTexts(), pipelines: new Map(), users: 0 };
    this.#shared.users++;
    shared.set(gpu, this.#shared);
  }

  /** How many distinct pipelines the GPUDevice has, whoever asked for them. */
  get size(): number {
    return this.#shared.pipelines.size;
  }

  /** The text of a kernel, written out once. */
  get resolve(): KernelTexts['resolve'] {
    return this.#shared.texts.resolve;
  }

  /**
   * The pipeline of a kernel. Asked for twice, it compiles once. Throws `shader` with the numbered source lines in question, and as
   * Device.settle() does.
   */
  async compile(kernel: Kernel, resolved: ResolvedKernel = this.resolve(kernel)): Promise<CompiledKernel> {
    this.#device.check(); // what is asked for after release() would stay
    const { pipelines } = this.#shared;
    let kept = pipelines.get(resolved.code);
    if (!kept) {
      const made: Kept = { compiling: compile(this.#gpu, kernel, resolved), users: new Set() };
      pipelines.set(resolved.code, made);
      // a failure must not stay: the next attempt may meet a device in better health
      made.compiling.catch(() => pipelines.get(resolved.code) === made && pipelines.delete(resolved.code));
      kept = made;
    }
    kept.users.add(this.#user);
    return await this.#device.settle(kept.compiling);
  }

  /** Lets go of a pipeline that this Device shall not use any more; another that does keeps it. */
  forget(kernel: Kernel): void {
    const resolved = this.#shared.texts.forget(kernel);
    if (resolved) this.#leave(resolved.code);
  }

  /** Lets go of everything, once. With the last Device of a GPUDevice nothing is left. */
  release(): void {
    for (const code of [...this.#shared.pipelines.keys()]) this.#leave(code);
    if (--this.#shared.users === 0) shared.delete(this.#gpu);
  }

  #leave(code: string): void {
    const { pipelines } = this.#shared;
    const users = pipelines.get(code)?.users;
    if (users?.delete(this.#user) && users.size === 0) pipelines.delete(code);
  }
}

/** Waits for WebGPU alone: those who wait for this may leave, or lose their device, on their own. */
async function compile(gpu: GPUDevice, kernel: Kernel, resolved: ResolvedKernel): Promise<CompiledKernel> {
  const where = kernelLabel(kernel);
  const label = `stam: ${where}`;
  let module: GPUShaderModule | undefined;
  const begin = () => {
    const layout = gpu.createBindGroupLayout({
      label,
      entries: resolved.bindings.map(({ index, access }) => ({
        binding: index,
        visibility: GPUShaderStage.COMPUTE,
        ...layoutEntries[access],
      })),
    });
    module = gpu.createShaderModule({ label, code: resolved.code });
    const compiling = gpu.createComputePipelineAsync({
      label,
      layout: gpu.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: 'main' },
    });
    compiling.catch(() => undefined); // awaited below
    return { layout, compiling };
  };
  try {
    const { result, refusal } = scoped(gpu, where, begin);
    const pipeline = await result.compiling;
    const error = await refusal;
    if (error) throw error;
    return { ...resolved, pipeline, layout: result.layout };
  } catch (cause) {
    const isRefusal = !(cause instanceof StamError) || cause.code === 'limit';
    if (!isRefusal) throw cause;
    const messages = module ? (await module.getCompilationInfo()).messages : [];
    const problems = messages.filter(({ type }) => type === 'error').map((message) => quote(resolved.code, message));
    throw new StamError('shader', {
      where,
      problem: 'the kernel does not compile on this device',
      got: problems.length ? `\n${problems.join('\n')}` : String(cause instanceof Error ? cause.message : cause),
      cause,
    });
  }
}

function quote(code: string, { lineNum, message }: GPUCompilationMessage): string {
  const around = code.split('\n').slice(Math.max(0, lineNum - 3), lineNum + 1);
  const first = Math.max(1, lineNum - 2);
  return `${message}\n${around.map((line, i) => `${String(first + i).padStart(5)} | ${line}`).join('\n')}`;
}
