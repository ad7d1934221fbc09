// A kernel with its operands bound, outside of any plan: what the tuner and the kernel laboratory run.
import { unlessAborted } from './abort.ts';
import type { Device } from './device.ts';
import type { Kernel } from './kernel.ts';
import { kernelsOf } from './kernel.ts';
import { packParams, paramsBinding } from './wgsl.ts';

/** One dispatch: a split kernel has two. */
interface Step {
  readonly kernel: Kernel;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

export class BoundKernel {
  readonly #device: Device;
  readonly #steps: readonly Step[];
  readonly #buffers: readonly GPUBuffer[];

  /**
   * Compiles a kernel and gives it uniforms and, where it is split, scratch memory; `bufferOf` names the buffers of all other bindings.
   * Throws shader, limit, out-of-memory, device-lost, and the signal's reason.
   */
  static async create(
    device: Device,
    kernel: Kernel,
    where: string,
    bufferOf: (binding: string) => GPUBuffer,
    signal?: AbortSignal,
  ): Promise<BoundKernel> {
    const { gpu, memory, pipelines } = device;
    const compilations = kernelsOf(kernel).map(async (one) => ({ kernel: one, ...(await pipelines.compile(one)) }));
    const compiled = await unlessAborted(Promise.all(compilations), signal);
    return await device.checked(where, () => {
      const { split } = kernel;
      const scratch = split && memory.create(`${where} scratch`, 'staging', split.bytes, GPUBufferUsage.STORAGE);
      const buffers = scratch ? [scratch] : [];
      const steps = compiled.map(({ kernel: one, pipeline, layout, bindings, params }): Step => {
        const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
        const uniforms = memory.create(`${where} params`, 'staging', 256, usage);
        buffers.push(uniforms);
        gpu.queue.writeBuffer(uniforms, 0, packParams(params, one.params));
        const resource = (name: string) => {
          if (name === paramsBinding) return { buffer: uniforms };
          return { buffer: scratch && name === split?.scratch ? scratch : bufferOf(name) };
        };
        const bindGroup = gpu.createBindGroup({
          label: `stam: ${where}`,
          layout,
          entries: bindings.map(({ name, index }) => ({ binding: index, resource: resource(name) })),
        });
        return { kernel: one, pipeline, bindGroup };
      });
      return new BoundKernel(device, steps, buffers);
    });
  }

  private constructor(device: Device, steps: readonly Step[], buffers: readonly GPUBuffer[]) {
    this.#device = device;
    this.#steps = steps;
    this.#buffers = buffers;
  }

  /** Records its dispatches, of so many workgroups each. */
  record(pass: GPUComputePassEncoder, workgroupsOf: (kernel: Kernel) => Kernel['workgroups']): void {
    for (const { kernel, pipeline, bindGroup } of this.#steps) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...workgroupsOf(kernel));
    }
  }

  dispose(): void {
    for (const buffer of this.#buffers) this.#device.memory.destroy(buffer);
  }
}
