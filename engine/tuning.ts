// Tunings that outlive a run: under which name they are kept, and when one is made.
import type { Capabilities, Device } from './device.ts';
import type { Graph } from './graph.ts';
import { expectOneOf } from './options.ts';
import type { TextStore } from './text-store.ts';
import { defaultTextStore } from './text-stores.ts';
import type { TunedProblem, Tuning } from './tuned.ts';
import type { TuneOptions } from './tuner.ts';
import { version } from './version.ts';

/**
 * The name of a device's tunings: everything on which they depend. A new driver (it stands in the adapter's description), other
 * features or another version of the engine have a name of their own.
 */
export function tuningName({ adapter, features, subgroupSize }: Capabilities): string {
  const { vendor, architecture, device, description } = adapter;
  return [
    version,
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
  const { tune } = await import('./tuner.ts');
  const tuning = await tune(device, graph, options);
  let origin = `tuned now, in ${(tuning.ms / 1000).toFixed(1)} s${untriedText(tuning)}`;
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
  if (tuning) return { tuning, origin: `tuned ${tuning.date}${untriedText(tuning)}`, ms: 0 };
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

function untriedText({ untried }: Tuning): string {
  return untried ? `; ${untried} cheaper problems take what their operator's costliest one got` : '';
}

function storedName(capabilities: Capabilities, use: string): string {
  return `${tuningName(capabilities)}|${use}`;
}

/** Undefined for what is no tuning: half a text, or another version's. */
function parseTuning(text: string | undefined): Tuning | undefined {
  if (text === undefined) return undefined;
  try {
    const tuning = JSON.parse(text) as Tuning;
    const isProblem = ({ operator, problem, way, tried, wrong }: TunedProblem) =>
      [operator, problem, way, ...tried.map((one) => one.way), ...wrong].every((word) => typeof word === 'string');
    return Array.isArray(tuning.problems) && tuning.problems.every(isProblem) ? tuning : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}
