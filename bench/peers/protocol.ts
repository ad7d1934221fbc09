// What the processes of a comparison say to each other: one per program, so that each has its own driver and memory.
import type { AdapterDescription } from '../../engine/device.ts';
import type { StorageType } from '../../engine/dtype.ts';

/** The tasks that a program is given, one at a time, in this order. */
export interface Tasks {
  /** Who would compute, without loading a model. Of this engine only: a peer cannot be asked. */
  adapter: { request: { choice: string }; reply: AdapterReply };
  load: { request: LoadRequest; reply: LoadReply };
  /** Something short that makes the program compile what a run needs. */
  warmUp: { request: Record<string, never>; reply: RunReply };
  /** One video of synthetic frames of seed 1, from frames in memory to logits in memory. */
  run: { request: Record<string, never>; reply: RunReply };
}

export interface AdapterReply {
  readonly adapter: AdapterDescription;
  readonly origin: 'system' | 'bundled' | 'null';
  /** Names of all adapters that the drivers of this process show. */
  readonly names: readonly string[];
}

export interface LoadRequest {
  /** A published name. */
  readonly model: string;
  readonly dtype: 'auto' | StorageType;
  /** Where a peer is installed, its model and the small one to warm up with. */
  readonly peer?: { readonly folder: string; readonly model: string; readonly warmUpModel: string };
}

export interface LoadReply {
  readonly version: string;
  readonly dtype: StorageType;
  /** Undefined where the program does not tell. */
  readonly adapter: AdapterDescription | undefined;
  /** File names of the libraries in the process's memory, its driver among them; undefined where the system does not tell. */
  readonly libraries: readonly string[] | undefined;
}

export interface RunReply {
  readonly ms: number;
  /** Processor time of all threads of the process meanwhile. On a software adapter it tells what a busy machine hides. */
  readonly cpuMs: number;
  /** Empty after a warm-up. */
  readonly logits: Float32Array;
}

export type TaskName = keyof Tasks;
export type Message = { readonly task: TaskName; readonly request: Tasks[TaskName]['request'] };
export type Answer = { readonly reply: Tasks[TaskName]['reply'] } | { readonly error: string };

/** One program that can be measured: its half of the tasks. */
export type Runner = { [Name in TaskName]?: (request: Tasks[Name]['request']) => Promise<Tasks[Name]['reply']> };
