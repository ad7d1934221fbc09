// Mutated checkpoints, each of which must end in values or in a StamError that blames the file: no other exception, no hang, no
// memory to speak of.
// An input is a function of (seed, index), so that any failure can be had again by itself.
import { StamError } from '../../engine/errors.ts';
import { openCheckpoint } from '../../loaders/open-checkpoint.ts';
import { bufferSource } from '../../loaders/source.ts';
import { seedFiles } from './corpus.ts';
import { mutate, type Specimen, specimenOf } from './mutate.ts';
import { randomOf } from './random.ts';

export interface FuzzOptions {
  readonly seed: number;
  /** The first index. */
  readonly first?: number;
  readonly inputs: number;
  /** Stops earlier after so much time. */
  readonly seconds?: number;
  /** The most processor time that one input may take, twice in a row. */
  readonly maxMilliseconds?: number;
  /** Called before each input. */
  readonly onInput?: (index: number) => void;
}

export interface FuzzReport {
  readonly inputs: number;
  /** How many inputs ended in which way. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly slowestMilliseconds: number;
  /** How far the memory of the process has grown, at most. */
  readonly grownBytes: number;
}

/** An input that did not end as it must. */
export class FuzzFailure extends Error {
  override readonly name = 'FuzzFailure';
  readonly index: number;
  readonly bytes: Uint8Array<ArrayBuffer>;

  constructor(seed: number, index: number, bytes: Uint8Array<ArrayBuffer>, problem: string, cause?: unknown) {
    super(`seed ${seed}, index ${index}: ${problem}`, { cause });
    this.index = index;
    this.bytes = bytes;
  }
}

/** What no input may take, in one tensor and in the whole process. */
const maxBytes = 1e9;

/** Throws FuzzFailure at the first input that does not end as it must. */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { seed, first = 0, inputs, seconds = Number.POSITIVE_INFINITY, onInput } = options;
  const { maxMilliseconds = Number.POSITIVE_INFINITY } = options;
  const specimens = await Promise.all(seedFiles().map(specimenOf));
  const outcomes = new Map<string, number>();
  const before = peakBytes();
  const end = performance.now() + 1000 * seconds;
  let slowest = 0;
  let index = first;
  for (; index < first + inputs && performance.now() < end; index++) {
    onInput?.(index);
    const bytes = makeInput(specimens, seed, index);
    const fail = (problem: string, cause?: unknown) => new FuzzFailure(seed, index, bytes, problem, cause);
    const begin = process.cpuUsage();
    const outcome = await outcomeOf(bytes, index % 2 === 0).catch((error: unknown) => {
      throw fail(String(error), error);
    });
    const time = milliseconds(begin);
    slowest = Math.max(slowest, time);
    if (time > maxMilliseconds) {
      // once may have been a collection of garbage
      const again = process.cpuUsage();
      await outcomeOf(bytes, index % 2 === 0);
      if (milliseconds(again) > maxMilliseconds) throw fail(`took ${Math.round(milliseconds(again))} ms`);
    }
    if (peakBytes() - before > maxBytes) throw fail(`grew the process by ${peakBytes() - before} bytes`);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  return { inputs: index - first, outcomes, slowestMilliseconds: slowest, grownBytes: peakBytes() - before };
}

/** Small files are taken most often: nearly all that can go wrong in a large one can in them. */
function makeInput(specimens: readonly Specimen[], seed: number, index: number): Uint8Array<ArrayBuffer> {
  const random = randomOf(seed, index);
  const weights = specimens.map(({ bytes }) => Math.ceil(1e7 / (bytes.length + 1000)));
  let rest = random.below(weights.reduce((sum, weight) => sum + weight, 0));
  const chosen = specimens.find((_, i) => {
    rest -= weights[i];
    return rest < 0;
  });
  return mutate(chosen ?? specimens[0], specimens, random);
}

/** Opens a file and reads all that it holds. Throws whatever is no answer to a bad file. */
async function outcomeOf(bytes: Uint8Array<ArrayBuffer>, verifyChecksums: boolean): Promise<string> {
  let opened = false;
  try {
    const checkpoint = await openCheckpoint(bufferSource(bytes), { verifyChecksums });
    opened = true;
    let unsupported = 0;
    for (const name of checkpoint.order()) {
      const tensor = checkpoint.tensors.get(name);
      if (!tensor || tensor.bytes > maxBytes) throw new RangeError(`${name}: ${tensor?.bytes} bytes`);
      const elements = await checkpoint.readBytes(name).catch(ifUnsupported);
      if (elements && elements.byteLength !== tensor.bytes) throw new RangeError(`${name}: wrong number of bytes`);
      if (!elements || !(await checkpoint.read(name).catch(ifUnsupported))) unsupported++;
    }
    await checkpoint.close();
    return unsupported ? 'read, with tensors that are no floats' : 'read';
  } catch (error) {
    // other codes blame the caller, who has done nothing but hand over a file
    const isAnswer = error instanceof StamError && ['bad-checkpoint', 'unsupported'].includes(error.code);
    if (isAnswer) return `${opened ? 'opened, then ' : ''}refused: ${error.code}`;
    throw error;
  }
}

function ifUnsupported(error: unknown): undefined {
  if (!(error instanceof StamError && error.code === 'unsupported')) throw error;
}

function milliseconds(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
}

function peakBytes(): number {
  return 1024 * process.resourceUsage().maxRSS;
}
