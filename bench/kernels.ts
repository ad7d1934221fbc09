// The kernel laboratory: every candidate of every problem, checked against its operator's definition, timed beside the others, ranked.
import { unlessAborted } from '../engine/abort.ts';
import type { Device } from '../engine/device.ts';
import { StamError } from '../engine/errors.ts';
import type { Kernel } from '../engine/kernel.ts';
import { kernelLabel, kernelsOf, wayOf } from '../engine/kernel.ts';
import { median } from '../engine/median.ts';
import { PassTimer } from '../engine/pass-timer.ts';
import { problemOf } from '../engine/tuned.ts';
import type { KernelResult } from './kernel-report.ts';
import type { Bench } from './kernel-trial.ts';
import { KernelTrial } from './kernel-trial.ts';
import type { UnitCeilings } from './kernel-units.ts';
import { ceilingOf, unitOf } from './kernel-units.ts';
import { Operands } from './operands.ts';
import type { Problem } from './problems.ts';
import { boundBytes, excessFor, ruleChoice } from './problems.ts';
import { RowCheck } from './row-check.ts';

export interface KernelBenchOptions {
  /** What all problems together may take. The one at hand is finished with what it has, in at most a tenth of that again. */
  readonly seconds: number;
  readonly ceilings: UnitCeilings;
  readonly signal: AbortSignal;
  /** Called before each candidate is compiled: problems done, and what is at hand. */
  readonly onProgress: (done: number, note: string) => void;
  /** A device in place of one that a kernel has lost. Without it nothing is measured after a loss. */
  readonly renew?: (() => Promise<Device>) | undefined;
}

/** A candidate on its way to a row. */
interface Entrant {
  readonly kernel: Kernel;
  status: string;
  error: number | null;
  trial?: KernelTrial;
  /** Whether its result was compared with a definition and is right; undefined as long as it has not run. */
  isChecked?: boolean;
}

const notReached = 'not reached: no time was left';
/** The status of the candidate that the device is busy with. */
const atHand = 'at hand';

const rounds = { gpu: 9, software: 3 } as const;
/** How long a GPU's compiler may take for one kernel. Software drivers compile when a kernel first runs, which cannot be left. */
const compileMs = 20_000;
/** A GPU raises its clock while it is kept busy, and the host has just been so instead: an H200 from 345 to 1980 MHz. */
const warmUpMs = { gpu: 300, software: 0 } as const;
/** Passes of a candidate beside those of its rounds, as far as time is planned. */
const otherPasses = 2;
/** A dispatch that takes no longer than this does the whole problem, however little time there is. */
const shortMs = { gpu: 50, software: 250 } as const;
/** After one round, a candidate slower than the best by this factor has been timed enough. */
const hopeless = 5;
/** So many candidates of a problem are tried however long their compilers take, as long as there is any time: the others may have to wait. */
const leastEntrants = 2;

/**
 * Measures the problems in their order. What fails is a row that says why; what there was no time for is a row that says so, as is all that
 * is left when the signal is aborted or the device is lost for good.
 */
export async function measureKernels(
  device: Device,
  problems: readonly Problem[],
  options: KernelBenchOptions,
): Promise<KernelResult[]> {
  const { seconds, signal, renew } = options;
  const end = performance.now() + 1000 * seconds;
  // a compiler that does not come to an end must not keep the others from being reported
  const timeUp = AbortSignal.timeout(1100 * seconds);
  const stop = { ...options, signal: AbortSignal.any([signal, timeUp]) };
  const results: KernelResult[] = [];
  let current = device;
  let stopped: string | undefined;
  const met = new Set<string>();
  const weights = problems.map(({ candidates }) => weightOf(candidates, met));
  for (const [done, problem] of problems.entries()) {
    const entrants: Entrant[] = problem.candidates.map((kernel) => ({ kernel, status: notReached, error: null }));
    const leave = (why: string) => {
      for (const one of entrants) if (one.status === notReached) one.status = `not reached: ${why}`;
    };
    const now = performance.now();
    if (stopped !== undefined) leave(stopped);
    else if (now < end) {
      // what a problem leaves over is shared by those after it
      const left = weights.slice(done).reduce((sum, weight) => sum + weight, 0);
      const until = now + ((end - now) * weights[done]) / left;
      try {
        await measureProblem({ device: current, problem, entrants, until, end }, stop, done);
      } catch (error) {
        const why = reasonToStop(error, signal, timeUp, entrants);
        leave(why);
        if (stop.signal.aborted || !renew) stopped = why;
        else current = await renew();
      }
    }
    results.push(...rowsOf(problem, entrants, device, options.ceilings));
  }
  return results;
}

/** What a problem takes beside others: where time is short, most of it goes into compiling what was not met before. */
function weightOf(candidates: readonly Kernel[], met: Set<string>): number {
  const fresh = candidates.map(kernelLabel).filter((label) => !met.has(label));
  for (const label of fresh) met.add(label);
  return 1 + fresh.length;
}

/** Why nothing more is measured on a device. Throws what is neither an abort nor a loss. */
function reasonToStop(error: unknown, signal: AbortSignal, timeUp: AbortSignal, entrants: readonly Entrant[]): string {
  const busy = entrants.filter(({ status }) => status === atHand);
  const isLost = error instanceof StamError && error.code === 'device-lost';
  if (!signal.aborted && !timeUp.aborted && !isLost) throw error;
  const statusOfBusy = signal.aborted
    ? notReached
    : timeUp.aborted
      ? 'not reached: it was still compiling or running when time was up'
      : `lost: ${firstLine(error)}`;
  for (const one of busy) one.status = statusOfBusy;
  if (signal.aborted) return 'interrupted';
  return timeUp.aborted ? 'no time was left' : 'the device was lost';
}

const firstLine = (error: unknown) => (error instanceof Error ? error.message : String(error)).split('\n')[0];

interface Task {
  readonly device: Device;
  readonly problem: Problem;
  readonly entrants: readonly Entrant[];
  /** When this problem should be over, and when all must, on performance.now()'s clock. */
  readonly until: number;
  readonly end: number;
}

async function measureProblem(
  { device, problem: { node }, entrants, until, end }: Task,
  { signal, onProgress }: KernelBenchOptions,
  done: number,
): Promise<void> {
  const { software } = device.capabilities.adapter;
  const kind = software ? 'software' : 'gpu';
  const timer = await PassTimer.create(device);
  let operands: Operands | undefined;
  try {
    operands = await unlessRefused(entrants, () => Operands.create(device, node));
    if (!operands) return;
    const bench: Bench = { device, node, operands, timer, signal };
    // a GPU's compilers work side by side; on a software adapter they share the processors with what is timed
    if (!software) compileAll(device, entrants);
    for (const entrant of entrants) {
      const isEnough = entrants.filter(({ trial }) => trial).length >= leastEntrants;
      if (performance.now() > (isEnough ? until : end)) break;
      onProgress(done, `${node.operator} ${wayOf(entrant.kernel)}`);
      await enter(entrant, bench);
    }
    const entered = () => entrants.filter(({ trial }) => trial);
    if (entered().length === 0) return;
    const passes = entered().length * (rounds[kind] + otherPasses);
    const passMs = Math.max(shortMs[kind], (until - performance.now()) / passes);
    for (const entrant of entered()) await attend(entrant, (trial) => trial.fit(passMs));
    const rows = new RowCheck(node, operands, Math.min(1, ...entered().map(({ trial }) => trial?.fraction ?? 1)));
    for (const entrant of entered()) await check(entrant, rows);
    for (const entrant of entered()) await attend(entrant, (trial) => trial.calibrate());
    for (const warm = performance.now() + warmUpMs[kind]; performance.now() < warm; ) {
      for (const entrant of entered()) await attend(entrant, (trial) => trial.rehearse());
    }
    // at the higher clock a pass needs more dispatches
    for (const entrant of entered()) await attend(entrant, (trial) => trial.calibrate());
    for (let round = 0; round < rounds[kind]; round++) {
      const leader = Math.min(...entered().map(timeOf));
      // each round begins with another, so that none always follows the same
      for (const entrant of entered().map((_, i, all) => all[(i + round) % all.length])) {
        const isTimed = Number.isFinite(timeOf(entrant));
        if (isTimed && (timeOf(entrant) > hopeless * leader || performance.now() > until)) continue;
        await attend(entrant, (trial) => trial.time());
      }
    }
  } finally {
    for (const entrant of entrants) settle(entrant);
    operands?.dispose();
    timer.dispose();
  }
}

/** Milliseconds of the whole problem. */
function timeOf({ trial }: Entrant): number {
  if (!trial || trial.times.length === 0) return Number.POSITIVE_INFINITY;
  return median(trial.times) / trial.fraction;
}

/** Begins to compile all that keep the device's limits; what is refused shows when it is their turn. */
function compileAll(device: Device, entrants: readonly Entrant[]): void {
  for (const { kernel } of entrants) {
    try {
      if (excessFor(kernel, device.capabilities)) continue;
      for (const one of kernelsOf(kernel)) device.pipelines.compile(one).catch(() => undefined);
    } catch {
      // its text cannot be read, which shows when it is its turn, too
    }
  }
}

/** Whether a kernel compiles, or is refused, before a compiler of a GPU has been waited for too long. */
async function compilesInTime({ device, signal }: Bench, kernel: Kernel, most: number): Promise<boolean> {
  const timeout = AbortSignal.timeout(most);
  const compiling = Promise.all(kernelsOf(kernel).map((one) => device.pipelines.compile(one))).then(
    () => undefined,
    () => undefined,
  );
  try {
    await unlessAborted(compiling, signal, timeout);
    return true;
  } catch (error) {
    if (signal.aborted || !timeout.aborted) throw error;
    return false;
  }
}

/** What `work` gives; where it is refused, undefined, and every entrant says so. */
async function unlessRefused<T>(entrants: readonly Entrant[], work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof StamError) || ['device-lost', 'disposed'].includes(error.code)) throw error;
    for (const one of entrants) {
      one.status = `refused: ${firstLine(error)}`;
      one.trial?.dispose();
      delete one.trial;
    }
    return undefined;
  }
}

async function enter(entrant: Entrant, bench: Bench): Promise<void> {
  entrant.status = atHand;
  await unlessRefused([entrant], async () => {
    const excess = excessFor(entrant.kernel, bench.device.capabilities);
    if (excess) {
      entrant.status = `refused: ${excess.limit} is ${excess.given}, the kernel needs ${excess.needed}`;
      return;
    }
    const isGpu = !bench.device.capabilities.adapter.software;
    if (isGpu && !(await compilesInTime(bench, entrant.kernel, compileMs))) {
      entrant.status = `refused: it does not compile in ${compileMs / 1000} s`;
      return;
    }
    entrant.trial = await KernelTrial.create(bench, entrant.kernel);
    entrant.status = notReached;
  });
}

/** Runs what one entrant has to do; one that is refused is out. */
async function attend(entrant: Entrant, work: (trial: KernelTrial) => Promise<void>): Promise<void> {
  const { trial } = entrant;
  if (!trial) return;
  entrant.status = atHand;
  await unlessRefused([entrant], async () => {
    await work(trial);
    entrant.status = notReached;
  });
}

async function check(entrant: Entrant, rows: RowCheck): Promise<void> {
  let problem: string | undefined;
  await attend(entrant, async (trial) => {
    const verdict = await trial.check(rows);
    entrant.error = verdict.error;
    problem = verdict.problem;
  });
  entrant.isChecked = rows.isDefined;
  if (problem === undefined) return;
  entrant.status = `wrong: ${problem}`;
  entrant.trial?.dispose();
  delete entrant.trial;
}

/** Nothing more is done with an entrant: its status is what came of it. */
function settle(entrant: Entrant): void {
  const { trial, isChecked } = entrant;
  trial?.dispose();
  if (!trial || isChecked === undefined || trial.times.length === 0) return;
  if (timeOf(entrant) === 0) entrant.status = 'not timed: the clock of the device is too coarse';
  else if (isChecked) entrant.status = 'ok';
  else entrant.status = 'unchecked: its operator has no definition to compare with';
}

function rowsOf(
  { node, models, calls, candidates }: Problem,
  entrants: readonly Entrant[],
  { capabilities }: Device,
  ceilings: UnitCeilings,
): KernelResult[] {
  const { weights, others } = boundBytes(node);
  const bytes = weights + others;
  const choice = ruleChoice(candidates, capabilities);
  const rows = entrants.map((entrant): KernelResult => {
    const { kernel, status, error, trial } = entrant;
    const unit = unitOf(kernel, { flops: node.flops, bytes });
    const ceiling = ceilingOf(unit, ceilings) ?? null;
    const isTimed = status === 'ok' || status.startsWith('unchecked: ');
    const part = trial && isTimed ? trial.fraction : null;
    const ms = isTimed ? timeOf(entrant) : null;
    const rate = (amount: number) => (ms === null || ms === 0 ? null : amount / ms / 1e6);
    const [gflops, gbps] = [rate(node.flops), rate(bytes)];
    const reached = unit === 'memory' ? gbps : gflops;
    const range = trial?.times.map((time) => time / trial.fraction) ?? [];
    return {
      operator: node.operator,
      problem: problemOf(node),
      models,
      calls,
      flops: node.flops,
      bytes,
      kernel: kernelLabel(kernel),
      tile: kernel.tile ?? null,
      ms,
      msRange:
        trial && ms !== null
          ? { min: Math.min(...range), max: Math.max(...range), rounds: range.length, repeats: trial.repeats }
          : null,
      part,
      gflops,
      gbps,
      unit,
      share: reached === null || ceiling === null ? null : reached / ceiling,
      ceiling,
      error,
      status,
      chosen: kernel === choice,
    };
  });
  return rows.sort((a, b) => (a.ms ?? Number.POSITIVE_INFINITY) - (b.ms ?? Number.POSITIVE_INFINITY));
}
