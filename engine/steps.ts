// The commands of a plan with the GPU objects that they use: how they are recorded, and how they are cut into submissions.
import type { Copy, Dispatch, Load } from './plan.ts';
import type { Profiler } from './profiler.ts';
import type { HostLoads, SourceOf } from './upload.ts';

/** Textures that a plan reads, by name. */
export type RunTextures = Readonly<Record<string, GPUTexture | GPUExternalTexture>>;

interface LoadStep {
  readonly command: Load;
  readonly into: GPUBuffer;
}

export interface DispatchStep {
  readonly command: Dispatch;
  readonly pipeline: GPUComputePipeline;
  /** Workgroups. They lie here because looking for them in each command's kernel takes as long as one of the three calls of a dispatch. */
  readonly x: number;
  readonly y: number;
  readonly z: number;
  /** Textures differ from run to run, so that the bind group of a kernel that reads one is made when it is recorded. */
  readonly bindGroup: GPUBindGroup | ((textures: RunTextures) => GPUBindGroup);
}

interface CopyStep {
  readonly command: Copy;
  readonly from: GPUBuffer;
  readonly to: GPUBuffer;
}

export type Step = LoadStep | DispatchStep | CopyStep;

/** What steps read beside what they were made with. */
export interface Recording {
  readonly sourceOf: SourceOf;
  readonly textures?: RunTextures | undefined;
  readonly profiler?: Profiler | undefined;
}

/** Records steps. Dispatches share a pass until a copy ends it, or, under a profiler, have one each: timestamps stand at the ends of passes. */
export function recordSteps(
  encoder: GPUCommandEncoder,
  steps: readonly Step[],
  { sourceOf, textures = {}, profiler }: Recording,
): void {
  let pass: GPUComputePassEncoder | undefined;
  const leavePass = () => {
    pass?.end();
    pass = undefined;
  };
  for (const step of steps) {
    if ('pipeline' in step) {
      if (profiler) leavePass();
      pass ??= encoder.beginComputePass(profiler ? profiler.pass(step.command) : { label: 'stam' });
      pass.setPipeline(step.pipeline);
      pass.setBindGroup(0, bindGroupOf(step, textures));
      pass.dispatchWorkgroups(step.x, step.y, step.z);
    } else {
      leavePass();
      if ('into' in step) {
        const { buffer, offset } = sourceOf(step.command);
        encoder.copyBufferToBuffer(buffer, offset, step.into, 0, step.command.size);
      } else {
        encoder.copyBufferToBuffer(step.from, 0, step.to, step.command.offset, step.command.size);
      }
    }
  }
  leavePass();
  profiler?.resolve(encoder);
}

export function bindGroupOf({ bindGroup }: DispatchStep, textures: RunTextures): GPUBindGroup {
  return typeof bindGroup === 'function' ? bindGroup(textures) : bindGroup;
}

/** Steps that are submitted together. */
export interface Window {
  readonly steps: readonly Step[];
  readonly flops: number;
  readonly hostLoads: HostLoads;
}

/** How much may come together in one window. */
export interface WindowLimits {
  readonly flops: number;
  /** Of inputs that come from the host. */
  readonly bytes: number;
}

/**
 * Cuts before each load, so that the host copies an input while the GPU computes on the one before, where enough work has come together,
 * since a submission must not run into a driver's time limit, and where no buffer would hold what comes from the host. There is one window
 * at least.
 */
export function cutIntoWindows(
  steps: readonly Step[],
  isOnHost: (input: string) => boolean,
  limits: WindowLimits,
): readonly Window[] {
  let window = { steps: [] as Step[], flops: 0, hostLoads: new Map<Load, number>() };
  const windows = [window];
  let bytes = 0;
  for (const step of steps) {
    const { command } = step;
    const isLoad = command.kind === 'load';
    const staged = isLoad && isOnHost(command.input) ? command.size : 0;
    if (window.flops >= limits.flops || (isLoad && window.flops > 0) || bytes + staged > limits.bytes) {
      window = { steps: [], flops: 0, hostLoads: new Map() };
      windows.push(window);
      bytes = 0;
    }
    window.steps.push(step);
    if (command.kind === 'dispatch') window.flops += command.flops;
    if (staged > 0 && isLoad) window.hostLoads.set(command, bytes);
    bytes += staged;
  }
  return windows;
}
