// The uniforms of a plan.
import { StamError } from './errors.ts';
import type { CompiledKernel } from './pipeline-cache.ts';
import type { Command, Dispatch } from './plan.ts';
import { packParams } from './wgsl.ts';

/** The Params of all commands in one uniform buffer, equal ones once. */
export class ParamsArena {
  readonly bytes: ArrayBuffer;
  readonly #ranges = new Map<Command, { offset: number; size: number }>();

  constructor(compiled: ReadonlyMap<Dispatch, CompiledKernel>, alignment: number) {
    const distinct = new Map<string, { offset: number; data: ArrayBuffer }>();
    let end = 0;
    for (const [command, { params }] of compiled) {
      if (params.length === 0) continue;
      const data = packParams(params, command.kernel.params);
      const key = new Uint8Array(data).join();
      const known = distinct.get(key) ?? { offset: end, data };
      if (!distinct.has(key)) {
        distinct.set(key, known);
        end = Math.ceil((end + data.byteLength) / alignment) * alignment;
      }
      this.#ranges.set(command, { offset: known.offset, size: data.byteLength });
    }
    this.bytes = new ArrayBuffer(end);
    for (const { offset, data } of distinct.values()) new Uint8Array(this.bytes).set(new Uint8Array(data), offset);
  }

  range(command: Command): { offset: number; size: number } {
    const range = this.#ranges.get(command);
    if (range) return range;
    throw new StamError('bad-input', { where: 'params', problem: 'the command is not of this plan' });
  }
}
