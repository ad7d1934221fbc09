// Compiles kernels, each distinct text once, and explains what the compiler refuses.
import { scoped } from './error-scopes.ts';
import { StamError } from './errors.ts';
import type { Kernel } from './kernel.ts';
import { kernelLabel } from './kernel.ts';
import type { Binding, ResolvedKernel } from './wgsl.ts';
import { resolveKernel } from './wgsl.ts';

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

type Settle = <T>(work: Promise<T>) => Promise<T>;

export class PipelineCache {
  readonly #gpu: GPUDevice;
  readonly #settle: Settle;
  readonly #compiled = new Map<string, Promise<CompiledKernel>>();

  /** `settle` waits for the device, and throws a StamError when it is gone. */
  constructor(gpu: GPUDevice, settle: Settle) {
    this.#gpu = gpu;
    this.#settle = settle;
  }

  /** How many distinct pipelines there are. */
  get size(): number {
    return this.#compiled.size;
  }

  /** The pipeline of a kernel. Asked for twice, it compiles once. Throws `shader` with the numbered source lines in question. */
  compile(kernel: Kernel, resolved: ResolvedKernel = resolveKernel(kernel)): Promise<CompiledKernel> {
    let compiled = this.#compiled.get(resolved.code);
    if (!compiled) {
      compiled = this.#compile(kernel, resolved);
      this.#compiled.set(resolved.code, compiled);
      // a failure must not stay: the next attempt may meet a device in better health
      compiled.catch(() => this.#compiled.delete(resolved.code));
    }
    return compiled;
  }

  /** Lets go of a pipeline that nothing shall use any more. */
  forget(kernel: Kernel): void {
    this.#compiled.delete(resolveKernel(kernel).code);
  }

  async #compile(kernel: Kernel, resolved: ResolvedKernel): Promise<CompiledKernel> {
    const label = `stam: ${kernelLabel(kernel)}`;
    let module: GPUShaderModule | undefined;
    const begin = () => {
      const layout = this.#gpu.createBindGroupLayout({
        label,
        entries: resolved.bindings.map(({ index, access }) => ({
          binding: index,
          visibility: GPUShaderStage.COMPUTE,
          ...layoutEntries[access],
        })),
      });
      module = this.#gpu.createShaderModule({ label, code: resolved.code });
      const compiling = this.#gpu.createComputePipelineAsync({
        label,
        layout: this.#gpu.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: 'main' },
      });
      compiling.catch(() => undefined); // awaited below
      return { layout, compiling };
    };
    try {
      const { result, refusal } = scoped(this.#gpu, kernelLabel(kernel), begin);
      const pipeline = await this.#settle(result.compiling);
      const error = await this.#settle(refusal);
      if (error) throw error;
      return { ...resolved, pipeline, layout: result.layout };
    } catch (cause) {
      const isRefusal = !(cause instanceof StamError) || cause.code === 'limit';
      if (!isRefusal) throw cause;
      const messages = module ? (await this.#settle(module.getCompilationInfo())).messages : [];
      const problems = messages.filter(({ type }) => type === 'error').map((message) => quote(resolved.code, message));
      throw new StamError('shader', {
        where: kernelLabel(kernel),
        problem: 'the kernel does not compile on this device',
        got: problems.length ? `\n${problems.join('\n')}` : String(cause instanceof Error ? cause.message : cause),
        cause,
      });
    }
  }
}

function quote(code: string, { lineNum, message }: GPUCompilationMessage): string {
  const around = code.split('\n').slice(Math.max(0, lineNum - 3), lineNum + 1);
  const first = Math.max(1, lineNum - 2);
  return `${message}\n${around.map((line, i) => `${String(first + i).padStart(5)} | ${line}`).join('\n')}`;
}
