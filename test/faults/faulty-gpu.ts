// A GPUDevice that fails when it is told to, and counts what was made on it. The device stays Dawn's own: its methods are replaced on
// the object, so that it can still be handed to Dawn.

import { requiredDevice } from '../../engine/device.ts';
import { requestTestAdapter } from '../device.ts';

/** Calls of WebGPU that can be made to fail. */
export type GpuCall =
  | 'createBuffer'
  | 'createTexture'
  | 'writeBuffer'
  | 'createShaderModule'
  | 'createBindGroupLayout'
  | 'createComputePipelineAsync'
  | 'createBindGroup'
  | 'finish'
  | 'submit'
  | 'mapAsync'
  | 'onSubmittedWorkDone';

/**
 * How: `invalid` makes Dawn itself refuse the call, `out of memory` is told in an error scope, `throws` and `rejects` are what the call
 * does, `stalls` is a promise that does not settle (a pipeline's does when faults are over, because others may wait for it, too), and `lost`
 * takes the device away just before the call.
 */
export type FaultKind = 'invalid' | 'out of memory' | 'throws' | 'rejects' | 'stalls' | 'lost';

/** The faults that each call can have. */
export const faultsOf: Readonly<Record<GpuCall, readonly FaultKind[]>> = {
  createBuffer: ['out of memory', 'throws', 'invalid', 'lost'],
  createTexture: ['out of memory', 'invalid', 'lost'],
  writeBuffer: ['throws', 'lost'],
  createShaderModule: ['invalid', 'lost'],
  createBindGroupLayout: ['invalid'],
  createComputePipelineAsync: ['rejects', 'stalls', 'lost'],
  createBindGroup: ['invalid', 'lost'],
  finish: ['invalid'],
  submit: ['invalid', 'lost'],
  mapAsync: ['rejects', 'stalls', 'lost'],
  onSubmittedWorkDone: ['stalls', 'lost'],
};

type Method = (...args: never[]) => unknown;

export class FaultyGpu {
  readonly gpu: GPUDevice;
  /** Calls since arm() or count(), by name. */
  calls = new Map<GpuCall, number>();
  /** Messages of errors that no error scope took. */
  readonly uncaptured: string[] = [];
  /** Whether the fault has happened. */
  hasFailed = false;
  readonly #live = new Set<GPUBuffer | GPUTexture | GPUQuerySet>();
  readonly #scopes: { readonly filter: GPUErrorFilter; error?: GPUError }[] = [];
  #armed: { readonly call: GpuCall; readonly n: number; readonly kind: FaultKind } | undefined;
  #isOwn = false;
  /** Ends what stalls. */
  #resume = () => {};

  constructor(gpu: GPUDevice) {
    this.gpu = gpu;
    const note = (event: Event) => {
      event.preventDefault();
      this.uncaptured.push((event as GPUUncapturedErrorEvent).error.message);
    };
    gpu.addEventListener('uncapturederror', note);
    this.#replace(gpu, 'destroy', (destroy) => () => {
      gpu.removeEventListener('uncapturederror', note); // Dawn keeps a listener, which keeps the device with its threads
      destroy();
    });
    this.#replace(gpu, 'pushErrorScope', (push) => (filter: GPUErrorFilter) => {
      this.#scopes.push({ filter });
      push(filter);
    });
    this.#replace(gpu, 'popErrorScope', (pop) => async () => {
      const scope = this.#scopes.pop();
      const error = await pop();
      return scope?.error ?? error;
    });
    this.#replaceCreations(gpu);
    this.#replacePipelines(gpu);
    this.#replaceSubmission(gpu);
  }

  /** GPU buffers, textures and query sets made and not destroyed. */
  get live(): number {
    return this.#live.size;
  }

  /** Lets the n-th `call` from now on, counted from 0, fail. */
  arm(call: GpuCall, n: number, kind: FaultKind): void {
    this.count();
    this.#armed = { call, n, kind };
  }

  /** Counts from now on, and lets nothing fail. */
  count(): void {
    this.calls = new Map();
    this.hasFailed = false;
    this.#armed = undefined;
    this.#resume();
  }

  /** Makes something of the app's: it neither counts nor fails. */
  own<T>(make: () => T): T {
    this.#isOwn = true;
    try {
      return make();
    } finally {
      this.#isOwn = false;
    }
  }

  #replaceCreations(gpu: GPUDevice): void {
    this.#replace(gpu, 'createBuffer', (create) => (descriptor: GPUBufferDescriptor) => {
      const kind = this.#meet('createBuffer');
      if (kind === 'throws') throw new RangeError('createBuffer failed: injected');
      if (kind === 'out of memory') {
        this.#tell('out-of-memory', new GPUOutOfMemoryError('injected'));
        return this.#track(this.#silently(() => create({ ...descriptor, usage: 0 })));
      }
      const buffer = this.#track(create(kind === 'invalid' ? { ...descriptor, usage: 0 } : descriptor));
      this.#replace(buffer, 'mapAsync', (map) => (mode: GPUMapModeFlags) => {
        const fault = this.#meet('mapAsync');
        // four is no multiple of eight: Dawn refuses that offset
        return fault === 'stalls' ? never() : map(mode, fault === 'rejects' ? 4 : 0);
      });
      return buffer;
    });
    this.#replace(gpu, 'createTexture', (create) => (descriptor: GPUTextureDescriptor) => {
      const kind = this.#meet('createTexture');
      if (kind === 'out of memory') {
        this.#tell('out-of-memory', new GPUOutOfMemoryError('injected'));
        return this.#track(this.#silently(() => create({ ...descriptor, usage: 0 })));
      }
      return this.#track(create(kind === 'invalid' ? { ...descriptor, usage: 0 } : descriptor));
    });
    this.#replace(gpu, 'createQuerySet', (create) => (descriptor: GPUQuerySetDescriptor) => {
      return this.#track(create(descriptor));
    });
    this.#replace(gpu, 'createBindGroup', (create) => (descriptor: GPUBindGroupDescriptor) => {
      const isInvalid = this.#meet('createBindGroup') === 'invalid';
      return create(isInvalid ? { ...descriptor, entries: [] } : descriptor);
    });
  }

  #replacePipelines(gpu: GPUDevice): void {
    this.#replace(gpu, 'createShaderModule', (create) => (descriptor: GPUShaderModuleDescriptor) => {
      const isInvalid = this.#meet('createShaderModule') === 'invalid';
      return create(isInvalid ? { ...descriptor, code: 'fn main( {' } : descriptor);
    });
    this.#replace(gpu, 'createBindGroupLayout', (create) => (descriptor: GPUBindGroupLayoutDescriptor) => {
      const isInvalid = this.#meet('createBindGroupLayout') === 'invalid';
      const entries = [...descriptor.entries];
      return create(isInvalid ? { ...descriptor, entries: [...entries, ...entries] } : descriptor);
    });
    this.#replace(gpu, 'createComputePipelineAsync', (create) => (descriptor: GPUComputePipelineDescriptor) => {
      const kind = this.#meet('createComputePipelineAsync');
      if (kind === 'stalls') {
        return new Promise((resolve) => {
          this.#resume = () => resolve(create(descriptor));
        });
      }
      if (kind !== 'rejects') return create(descriptor);
      return Promise.reject(new GPUPipelineError('injected', { reason: 'internal' }));
    });
  }

  #replaceSubmission(gpu: GPUDevice): void {
    this.#replace(gpu, 'createCommandEncoder', (create) => (descriptor?: GPUCommandEncoderDescriptor) => {
      const encoder = create(descriptor);
      this.#replace(encoder, 'finish', (finish) => () => {
        if (this.#meet('finish') === 'invalid') encoder.pushDebugGroup('never popped');
        return finish();
      });
      return encoder;
    });
    this.#replace(gpu.queue, 'submit', (submit) => (buffers: Iterable<GPUCommandBuffer>) => {
      const isInvalid = this.#meet('submit') === 'invalid';
      return submit(isInvalid ? [this.#brokenCommands()] : buffers);
    });
    this.#replace(gpu.queue, 'writeBuffer', (write) => (...args: Parameters<GPUQueue['writeBuffer']>) => {
      if (this.#meet('writeBuffer') === 'throws') throw new DOMException('injected', 'OperationError');
      return write(...args);
    });
    this.#replace(gpu.queue, 'onSubmittedWorkDone', (done) => () => {
      return this.#meet('onSubmittedWorkDone') === 'stalls' ? never() : done();
    });
  }

  #brokenCommands(): GPUCommandBuffer {
    return this.#silently(() => {
      const encoder = Object.getPrototypeOf(this.gpu).createCommandEncoder.call(this.gpu) as GPUCommandEncoder;
      encoder.pushDebugGroup('never popped');
      return encoder.finish();
    });
  }

  /** Counts a call; the fault that it shall have, if it is the one. */
  #meet(call: GpuCall): FaultKind | undefined {
    if (this.#isOwn) return undefined;
    const n = this.calls.get(call) ?? 0;
    this.calls.set(call, n + 1);
    if (this.#armed?.call !== call || this.#armed.n !== n) return undefined;
    this.hasFailed = true;
    if (this.#armed.kind === 'lost') this.gpu.destroy();
    return this.#armed.kind;
  }

  /** Tells an error as WebGPU does: to the innermost scope for such, else to everyone. */
  #tell(filter: GPUErrorFilter, error: GPUError): void {
    const scope = this.#scopes.findLast((one) => one.filter === filter);
    if (scope) scope.error ??= error;
    else this.uncaptured.push(error.message);
  }

  /** Runs what Dawn refuses, which nobody is to hear of. */
  #silently<T>(work: () => T): T {
    const { pushErrorScope, popErrorScope } = Object.getPrototypeOf(this.gpu) as GPUDevice;
    pushErrorScope.call(this.gpu, 'validation');
    try {
      return work();
    } finally {
      void popErrorScope.call(this.gpu);
    }
  }

  #track<T extends GPUBuffer | GPUTexture | GPUQuerySet>(made: T): T {
    if (this.#isOwn) return made;
    this.#live.add(made);
    this.#replace(made as GPUBuffer, 'destroy', (destroy) => () => {
      this.#live.delete(made);
      destroy();
    });
    return made;
  }

  #replace<T extends object, K extends keyof T>(target: T, name: K, by: (method: T[K]) => Method): void {
    const method = target[name] as Method;
    Object.defineProperty(target, name, { value: by(method.bind(target) as T[K]), configurable: true });
  }
}

/** A promise of its own each time: one for all would keep alive everyone who ever waited for it. */
const never = () => new Promise<never>(() => {});

/** One of the tests' adapter, with everything that it has. */
export async function openFaultyGpu(): Promise<FaultyGpu> {
  const adapter = await requestTestAdapter();
  return new FaultyGpu(await adapter.requestDevice(requiredDevice(adapter)));
}
