// A plan made ready on a device: pipelines compiled, memory taken, bind groups built. Once the buffers exist that take inputs and
// outputs between host and GPU, running it makes no GPU object but command encoders.

import { unlessAborted } from './abort.ts';
import type { Device } from './device.ts';
import { callingGpu } from './error-scopes.ts';
import { StamError, throwIfAborted } from './errors.ts';
import { ParamsArena } from './params-arena.ts';
import type { CompiledKernel } from './pipeline-cache.ts';
import type { Dispatch, Place, Plan } from './plan.ts';
import type { Profiler } from './profiler.ts';
import type { Outputs } from './read-back.ts';
import { ReadBack, Reading } from './read-back.ts';
import type { RunTextures, Step, Window } from './steps.ts';
import { bindGroupOf, cutIntoWindows, recordSteps } from './steps.ts';
import { Turns } from './turns.ts';
import { isOnGpu, sourceIn, stagedBytes, Upload } from './upload.ts';
import type { Weights } from './weights.ts';
import { paramsBinding } from './wgsl.ts';

/** How a run is watched and ended; everything may be left out. */
export interface RunOptions {
  /** Ends the wait at once; what is submitted by then the GPU does nevertheless. */
  readonly signal?: AbortSignal | undefined;
  /** Called as submissions finish, with floating-point operations done. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly profiler?: Profiler | undefined;
  /** What the plan reads beside its inputs. */
  readonly textures?: RunTextures | undefined;
  /** Records what is to run behind the plan's own commands, in the last submission. */
  readonly afterwards?: ((encoder: GPUCommandEncoder) => void) | undefined;
}

/**
 * What a run reads: a buffer in GPU memory, or memory of the host's whose bits are the input's elements. In rowLayout either way.
 */
export type RunInput = GPUBuffer | Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
/** The inputs of a run, by name. */
export type RunInputs = Readonly<Record<string, RunInput>>;

/** Settles when WebGPU has looked at what was submitted, and when that has run; both reject with what WebGPU refuses. */
export interface Execution {
  readonly accepted: Promise<unknown>;
  readonly computed: Promise<void>;
}

/**
 * Windows of a plan that are submitted at a time, so that one computes while the next is recorded. Of a GPU's there are more: the last ones
 * compute while the host copies the next run's inputs.
 */
const windowsInFlight = { gpu: 6, software: 2 } as const;

/** A plan cut into submissions. */
interface Windows {
  readonly windows: readonly Window[];
  /** Of a buffer that stages what any of them takes from the host. */
  readonly stagingBytes: number;
}

/** Runs a plan, as often as one likes; what it needs of the device it holds. */
export class Program {
  readonly plan: Plan;
  readonly #device: Device;
  readonly #buffers: GPUBuffer[] = [];
  readonly #outputs = new Map<string, GPUBuffer>();
  readonly #upload: Upload;
  readonly #readBack: ReadBack;
  #slots: GPUBuffer[] = [];
  #steps: readonly Step[] = [];
  /** By the inputs that the host holds: which those are decides where the plan is cut. */
  readonly #windows = new Map<string, Windows>();
  /** Of those who want something computed: all have the same memory. */
  readonly #turns = new Turns();
  readonly #disposal = new AbortController();

  private constructor(device: Device, plan: Plan) {
    this.#device = device;
    this.plan = plan;
    this.#upload = new Upload(device);
    this.#readBack = new ReadBack(device, plan);
  }

  /** Compiles what is new to the device, in parallel, and takes the memory. Throws shader, out-of-memory, limit or device-lost. */
  static async create(device: Device, plan: Plan, weights: Weights): Promise<Program> {
    const program = new Program(device, plan);
    const dispatches = plan.commands.filter((command): command is Dispatch => command.kind === 'dispatch');
    const compiled = await Promise.all(
      dispatches.map(({ kernel, resolved }) => device.pipelines.compile(kernel, resolved)),
    );
    try {
      await device.checked('activations', () =>
        program.#build(new Map(dispatches.map((d, i) => [d, compiled[i]])), weights),
      );
    } catch (error) {
      program.dispose();
      throw error;
    }
    return program;
  }

  /** The buffer that holds an output after the commands have run: [the output's shape] in rowLayout. */
  output(name: string): GPUBuffer {
    return this.#outputs.get(name) ?? unknown(name, 'output', this.#outputs);
  }

  /**
   * Records the whole plan; `inputs`, in rowLayout, and `textures` are read when the commands run. Nothing is submitted or read back.
   * What is recorded must not be submitted while a run is on its way, whose memory it would overwrite. Throws bad-input for an input that
   * is missing or too small, and for a texture that is missing. What else WebGPU may have against it, `encoder.finish()` says.
   */
  encode(encoder: GPUCommandEncoder, inputs: Readonly<Record<string, GPUBuffer>>, textures: RunTextures = {}): void {
    this.#check();
    this.#checkInputs(inputs, ({ size }, planned) => size >= planned);
    callingGpu('encode', () => recordSteps(encoder, this.#steps, { sourceOf: sourceIn(inputs), textures }));
  }

  /** submit(), and then the outputs. Runs may overlap: they are submitted in turn, and read `inputs` then. */
  async run(inputs: RunInputs, options: RunOptions = {}): Promise<Outputs> {
    return await (await this.submit(inputs, options)).outputs;
  }

  /**
   * execute(), and a copy of the outputs. Settles when all is submitted; `outputs` settle when they are back: dense row-major float32.
   * Nobody has to wait for them.
   */
  async submit(inputs: RunInputs, options: RunOptions = {}): Promise<{ readonly outputs: Promise<Outputs> }> {
    return await this.#inTurn(async () => {
      const reading = new Reading(this.#device, this.plan, this.#readBack);
      try {
        const { computed } = await this.#execute(inputs, options, reading);
        const outputs = this.#read(reading, computed, options.signal);
        outputs.catch(() => undefined);
        return { outputs };
      } catch (error) {
        reading.release();
        throw error;
      }
    }, options.signal);
  }

  /**
   * Submits the plan in pieces of bounded work, inputs of the host's being written before the first command that reads them. Settles
   * when all is submitted; `accepted` settles when WebGPU has looked at it, and `computed` when it has run: both reject with what WebGPU
   * refuses. Another submission may follow at once: the GPU takes them in order, and neither waits for the host. Throws bad-input for an
   * input that is missing or of another size than planned.
   */
  execute(inputs: RunInputs, options: RunOptions = {}): Promise<Execution> {
    return this.#inTurn(() => this.#execute(inputs, options), options.signal);
  }

  async #execute(inputs: RunInputs, options: RunOptions, reading?: Reading): Promise<Execution> {
    const { signal, onProgress, profiler, textures, afterwards } = options;
    this.#check();
    throwIfAborted(signal);
    this.#checkInputs(inputs, (input, planned) =>
      isOnGpu(input) ? input.size >= planned : input.byteLength === planned,
    );
    const { gpu } = this.#device;
    let done = 0;
    const scopes: Promise<void>[] = [];
    const computed: Promise<void>[] = [];
    const inFlight = windowsInFlight[this.#device.capabilities.adapter.software ? 'software' : 'gpu'];
    const { windows, stagingBytes } = this.#windowsFor(inputs);
    for (const window of windows) {
      const { steps, flops, hostLoads } = window;
      const room = hostLoads.size > 0 ? this.#upload.room(stagingBytes) : undefined;
      await unlessAborted(Promise.all([computed.at(-inFlight), room]), signal, this.#disposal.signal);
      this.#check(); // what is made after dispose() would stay
      throwIfAborted(signal); // what `afterwards` writes to may be another run's by now
      const isLast = window === windows.at(-1);
      const { accepted } = this.#upload.submit(stagingBytes, hostLoads, inputs, (sourceOf) => {
        const encoder = gpu.createCommandEncoder({ label: 'stam' });
        recordSteps(encoder, steps, { sourceOf, textures, profiler });
        if (isLast) afterwards?.(encoder);
        if (isLast) reading?.record(encoder, (name) => this.output(name));
        gpu.queue.submit([encoder.finish()]);
        if (isLast) reading?.map();
      });
      scopes.push(accepted);
      const running = Promise.all([computed.at(-1), accepted, this.#device.finished()]).then(() => {
        done += flops;
        onProgress?.(done, this.plan.flops);
      });
      running.catch(() => undefined); // awaited in a later turn, or with the outputs
      computed.push(running);
    }
    const accepted = Promise.all(scopes);
    accepted.catch(() => undefined); // `computed` tells it too
    return { accepted, computed: computed.at(-1) ?? Promise.resolve() };
  }

  /**
   * Dispatches one workgroup of each pipeline, for drivers that compile when a pipeline is first used. What the workgroups compute is
   * overwritten by the next run.
   */
  async warmUp(): Promise<void> {
    await this.#inTurn(() => this.#warmUp(), undefined);
  }

  async #warmUp(): Promise<void> {
    this.#check();
    const { gpu } = this.#device;
    await this.#device.checked('warm-up', () => {
      const encoder = gpu.createCommandEncoder({ label: 'stam: warm-up' });
      const pass = encoder.beginComputePass({ label: 'stam: warm-up' });
      const seen = new Set<GPUComputePipeline>();
      for (const step of this.#steps) {
        if (!('pipeline' in step) || seen.has(step.pipeline)) continue;
        seen.add(step.pipeline);
        pass.setPipeline(step.pipeline);
        pass.setBindGroup(0, bindGroupOf(step, {}));
        pass.dispatchWorkgroups(1);
      }
      pass.end();
      gpu.queue.submit([encoder.finish()]);
    });
    await this.#device.finished();
  }

  /** Fills all memory but that of weights with NaN, so that tests see what a kernel leaves unwritten. */
  poison(): void {
    this.#check();
    for (const buffer of [...this.#slots, ...this.#outputs.values()]) {
      this.#device.gpu.queue.writeBuffer(buffer, 0, new Uint8Array(buffer.size).fill(0xff));
    }
  }

  /** Frees the memory; runs that are not over reject with disposed. */
  dispose(): void {
    this.#disposal.abort(new StamError('disposed', { where: 'program', problem: 'it was disposed of' }));
    this.#upload.dispose();
    this.#readBack.dispose();
    for (const buffer of this.#buffers) this.#device.memory.destroy(buffer);
    this.#buffers.length = 0;
  }

  #inTurn<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    return this.#turns.take(work, signal, this.#disposal.signal);
  }

  /** The outputs once they are computed. Gives the buffer back. */
  async #read(reading: Reading, computed: Promise<void>, signal: AbortSignal | undefined): Promise<Outputs> {
    try {
      const outputs = computed.then(() => reading.outputs());
      return await unlessAborted(outputs, signal, this.#disposal.signal);
    } finally {
      reading.release();
    }
  }

  #check(): void {
    this.#device.check();
    throwIfAborted(this.#disposal.signal);
  }

  #build(compiled: ReadonlyMap<Dispatch, CompiledKernel>, weights: Weights): void {
    const { plan } = this;
    const make = (label: string, size: number, usage: GPUBufferUsageFlags) => {
      const buffer = this.#device.memory.create(label, 'activations', size, usage);
      this.#buffers.push(buffer);
      return buffer;
    };
    const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.#slots = plan.slots.map((size, i) => make(`activation ${i}`, size, storage));
    for (const [name, { size }] of plan.outputs) this.#outputs.set(name, make(name, size, storage));
    const params = new ParamsArena(compiled, this.#device.capabilities.limits.uniformOffsetAlignment);
    const uniforms = make('params', params.bytes.byteLength, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
    this.#device.gpu.queue.writeBuffer(uniforms, 0, params.bytes);

    const bufferOf = (place: Place): GPUBuffer => {
      if (place.kind === 'slot') return this.#slots[place.slot];
      const value = plan.weights.get(place.name);
      return value ? weights.buffer(value) : unknown(place.name, 'weight', plan.weights);
    };
    this.#steps = plan.commands.map((command): Step => {
      if (command.kind === 'load') return { command, into: this.#slots[command.slot] };
      if (command.kind === 'copy') return { command, from: bufferOf(command.from), to: this.output(command.output) };
      const { pipeline, layout, bindings } = compiled.get(command) ?? unknown(command.name, 'kernel', new Map());
      const textured = bindings.filter(({ name }) => command.bindings[name]?.kind === 'texture');
      const buffers = bindings
        .filter((binding) => !textured.includes(binding))
        .map(({ name, index }) => {
          if (name === paramsBinding)
            return { binding: index, resource: { buffer: uniforms, ...params.range(command) } };
          const place = command.bindings[name];
          return { binding: index, resource: { buffer: bufferOf(place), size: Math.ceil(place.size / 16) * 16 } };
        });
      const bind = (textures: RunTextures) => {
        const images = textured.map(({ name, index }) => ({
          binding: index,
          resource: viewOf(textures, command, name),
        }));
        const entries = [...buffers, ...images];
        return this.#device.gpu.createBindGroup({ label: `stam: ${command.name}`, layout, entries });
      };
      const [x, y, z] = command.kernel.workgroups;
      return { command, pipeline, bindGroup: textured.length > 0 ? bind : bind({}), x, y, z };
    });
  }

  #windowsFor(inputs: RunInputs): Windows {
    const onHost = Object.keys(inputs).filter((name) => !isOnGpu(inputs[name]));
    const key = JSON.stringify(onHost.sort());
    const known = this.#windows.get(key);
    if (known) return known;
    const { adapter, limits } = this.#device.capabilities;
    const windows = cutIntoWindows(this.#steps, (name) => onHost.includes(name), {
      flops: adapter.software ? 4e9 : 5e11,
      bytes: limits.bufferBytes,
    });
    const made = { windows, stagingBytes: Math.max(...windows.map(({ hostLoads }) => stagedBytes(hostLoads))) };
    this.#windows.set(key, made);
    return made;
  }

  #checkInputs<T extends RunInput>(
    inputs: Readonly<Record<string, T>>,
    fits: (input: T, planned: number) => boolean,
  ): void {
    for (const name of Object.keys(inputs)) if (!this.plan.inputs.has(name)) unknown(name, 'input', this.plan.inputs);
    for (const [name, { size }] of this.plan.inputs) {
      const got: T | undefined = inputs[name];
      const problem = got && problemOf(got);
      if (problem) throw new StamError('bad-input', { where: name, problem });
      if (got && fits(got, size)) continue;
      throw new StamError('bad-input', {
        where: name,
        problem: got ? 'the input has another size than the plan' : 'the input is missing',
        got: got && `${isOnGpu(got) ? got.size : got.byteLength} bytes`,
        expected: `${size} bytes`,
      });
    }
  }
}

function viewOf(textures: RunTextures, { bindings }: Dispatch, binding: string): GPUTextureView | GPUExternalTexture {
  const place = bindings[binding];
  const texture = place.kind === 'texture' ? textures[place.name] : undefined;
  if (!texture) throw new StamError('bad-input', { where: binding, problem: 'the texture is missing' });
  return 'createView' in texture ? texture.createView({ dimension: '2d', arrayLayerCount: 1 }) : texture;
}

/** What is wrong with an input whatever its size. */
function problemOf(input: RunInput): string | undefined {
  if (!isOnGpu(input)) return input.BYTES_PER_ELEMENT === 4 ? undefined : 'its elements do not take four bytes';
  if ((input.usage & GPUBufferUsage.COPY_SRC) === 0) return 'the buffer has no usage COPY_SRC';
  return input.mapState === 'unmapped' ? undefined : 'the buffer is mapped';
}

function unknown(name: string, what: string, known: ReadonlyMap<string, unknown>): never {
  throw new StamError('bad-input', { where: name, problem: `no such ${what}`, expected: [...known.keys()].join(', ') });
}
