// Tunings that outlive a run: under which name they are kept, and when one is made.
import type { Capabilities, Device } from './device.ts';
import type { Graph } from './graph.ts';
import { expectOneOf } from './options.ts';
import type { TextStore } from './text-store.ts';
import { defaultTextStore } from './text-stores.ts';
import type { TunedPass, TunedProblem, Tuning } from './tuned.ts';
import type { TuneOptions } from './tuner.ts';
import { version } from './version.ts';

/** What stored tunings look like: counted up when that changes, or what their numbers mean. */
const format = 2;

/**
 * The name of a device's tunings: everything on which they depend. A new driver (it stands in the adapter's description), other
 * features or another version of the engine have a name of their own.
 */
export function tuningName({ adapter, features, subgroupSize }: Capabilities): string {
  const { vendor, architecture, device, description } = adapter;
  return [
    version,
    `tuning ${format}`,
    vendor,
    architecture,
    device,
    description,
    `lanes ${subgroupSize ?? 'any'}`,
    ...[...features].sort(),
  ].join('|');
}

/** How kernels are chosen: by rule, from an earlier tuning (else by one now), or by a tuning in any case. */
export type TuneMode = 'off' | 'cached' | 'full';

export interface TuningOutcome {
  /** Undefined: kernels are chosen by rule. */
  readonly tuning: Tuning | undefined;
  /** Where the choice comes from, for people. */
  readonly origin: string;
  /** Milliseconds spent on it now. */
  readonly ms: number;
}

export interface ObtainOptions extends TuneOptions {
  readonly mode: TuneMode;
  /** What the graph is, with everything that its shapes depend on: tunings are kept under this name. */
  readonly use: string;
  /** Left out, what defaultTextStore() gives. */
  readonly store?: TextStore | undefined;
}

/**
 * The tuning of a graph on a device: an earlier one, or one made and kept now. With `cached` a software adapter is not tuned unasked,
 * because it takes most of a minute there. Throws bad-input for another mode.
 */
export async function obtainTuning(device: Device, graph: Graph, options: ObtainOptions): Promise<TuningOutcome> {
  const { mode, use } = options;
  expectOneOf('tune', mode, ['off', 'cached', 'full']);
  if (mode === 'off') return { tuning: undefined, origin: 'chosen by rule: tuning is off', ms: 0 };
  const store = options.store ?? (await defaultTextStore());
  if (mode === 'cached') {
    const known = await knownTuning(device.capabilities, use, store);
    if (known.tuning || device.capabilities.adapter.software) return known;
  }
  const { tuneDevice } = await import('./tune-device.ts');
  const tuning = await tuneDevice(device, graph, options);
  let origin = `tuned now, in ${(tuning.ms / 1000).toFixed(1)} s, ${tuning.how}`;
  try {
    if (store) await store.write(storedName(device.capabilities, use), JSON.stringify(tuning));
    else origin += '; there is nowhere to keep it';
  } catch (error) {
    origin += `; it could not be kept: ${error instanceof Error ? error.message : error}`;
  }
  return { tuning, origin, ms: tuning.ms };
}

/** An earlier tuning, if there is one. Makes none. */
export async function knownTuning(
  capabilities: Capabilities,
  use: string,
  store: TextStore | undefined,
): Promise<TuningOutcome> {
  const tuning = parseTuning(await textOf(store, storedName(capabilities, use)));
  if (tuning) return { tuning, origin: `tuned ${tuning.date}, ${tuning.how}`, ms: 0 };
  const hint = capabilities.adapter.software ? '; a software adapter is tuned only when asked to, with full' : '';
  return { tuning: undefined, origin: `chosen by rule: not tuned yet${hint}`, ms: 0 };
}

/** A store that fails holds no tuning. */
async function textOf(store: TextStore | undefined, name: string): Promise<string | undefined> {
  try {
    return await store?.read(name);
  } catch {
    return undefined;
  }
}

function storedName(capabilities: Capabilities, use: string): string {
  return `${tuningName(capabilities)}|${use}`;
}

/** Undefined for what is no tuning: half a text, or another version's. */
function parseTuning(text: string | undefined): Tuning | undefined {
  if (text === undefined) return undefined;
  try {
    const tuning = JSON.parse(text) as Tuning;
    const isProblem = ({ operator, problem, way, tried, wrong, unreached }: TunedProblem) =>
      [operator, problem, way, ...tried.map((one) => one.way), ...wrong, ...unreached].every(
        (word) => typeof word === 'string',
      );
    const countsOf = ({ items, tried }: TunedPass) => [items, ...tried.map((one) => one.items)];
    const counts = [tuning.units ?? 1, ...(tuning.pass ? countsOf(tuning.pass) : [])];
    const isTuning =
      Array.isArray(tuning.problems) &&
      tuning.problems.every(isProblem) &&
      typeof tuning.how === 'string' &&
      counts.every((count) => Number.isSafeInteger(count) && count > 0);
    return isTuning ? tuning : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}
