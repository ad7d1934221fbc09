// Views of a run of elements, as PyTorch saves them: an offset, sizes and strides. They are checked to stay inside, and read
// by ranges into row-major order without holding more than the tensor and a bounded piece of what it is a view of.
import type { AllocateBytes } from '../source.ts';

/** Counted in elements of `elementBytes`. */
export interface TensorView {
  readonly offset: number;
  readonly size: readonly number[];
  readonly stride: readonly number[];
  readonly elementBytes: number;
}

/** What is wrong with a view. */
export interface ViewProblem {
  readonly problem: string;
  readonly got?: string;
  readonly expected?: string;
}

/** PyTorch itself allows 64. */
const maxRank = 64;

/** What tensors may become by repeating elements (`expand`), unless what they are of is larger: a small file must stay small. */
export const maxExpandedBytes = 16 * 1024 * 1024;

/** The largest piece of a storage that is held while the elements of a view are picked out of it. */
const maxPieceBytes = 8 * 1024 * 1024;

/** Bytes of the elements of a view that `checkView` has passed. */
export function viewBytes({ size, elementBytes }: Pick<TensorView, 'size' | 'elementBytes'>): number {
  return size.reduce((product, length) => product * length, elementBytes);
}

/** Bytes of the elements of a view that repeats some of them; 0 for one that repeats none. */
export function expandedBytes(view: TensorView): number {
  return view.size.some((length, d) => length > 1 && view.stride[d] === 0) ? viewBytes(view) : 0;
}

/** Why a view of `storageBytes` bytes cannot be read; undefined when it can. Its numbers are safe non-negative integers. */
export function checkView(view: TensorView, storageBytes: number): ViewProblem | undefined {
  const { offset, size, stride, elementBytes } = view;
  if (size.length !== stride.length) {
    const [got, expected] = [`${stride.length} strides`, `${size.length}, one for each dimension`];
    return { problem: 'sizes and strides differ in number', got, expected };
  }
  if (size.length > maxRank) {
    return { problem: 'too many dimensions', got: `${size.length}`, expected: `at most ${maxRank}` };
  }
  // empty dimensions count as one, so that no reader overflows on the way to zero
  if (!Number.isSafeInteger(size.reduce((product, length) => product * Math.max(1, length), elementBytes))) {
    return { problem: 'the shape is too large', expected: 'less than 2^53 bytes' };
  }
  if (size.includes(0)) return undefined;
  const last = size.reduce((index, length, d) => index + (length - 1) * stride[d], offset);
  const elements = Math.floor(storageBytes / elementBytes);
  if (!(last < elements)) {
    const problem = 'the tensor reaches beyond its storage';
    return { problem, got: `a last element at ${last}`, expected: `below ${elements}` };
  }
  // one that PyTorch makes by slicing, transposing or expanding: its elements lie apart, or are one and the same
  let reach = 1;
  for (const { length, step } of byStep(size, stride)) {
    if (step === 0) continue;
    if (step < reach) return { problem: 'the elements overlap each other in the storage' };
    reach = (length - 1) * step + reach;
  }
  const bytes = viewBytes(view);
  if (bytes > Math.max(storageBytes, maxExpandedBytes)) {
    const expected = `at most ${Math.max(storageBytes, maxExpandedBytes)}`;
    return { problem: 'the tensor repeats the elements of its storage too often', got: `${bytes} bytes`, expected };
  }
  return undefined;
}

/** Reads bytes [start, end) of the storage. */
export type ReadStorage = (start: number, end: number, allocate?: AllocateBytes) => Promise<Uint8Array<ArrayBuffer>>;

/**
 * The elements of a view that `checkView` has passed, row-major. Reads nothing outside of what the view spans, and nothing
 * twice; the result lies in what `allocate` gives.
 */
export async function readView(
  view: TensorView,
  read: ReadStorage,
  allocate: AllocateBytes = (bytes) => new Uint8Array(bytes),
): Promise<Uint8Array<ArrayBuffer>> {
  const { offset, elementBytes } = view;
  const bytes = viewBytes(view);
  const begin = offset * elementBytes;
  const axes = axesOf(view);
  if (bytes === 0) return new Uint8Array(0);
  if (axes.every(({ from, to }) => from === to)) return read(begin, begin + bytes, allocate);
  const output = allocate(bytes);
  await gather(axes, begin, output, 0, { elementBytes, read });
  return output;
}

/** One dimension: its length, and how many bytes a step takes in the storage and in the output. */
interface Axis {
  readonly length: number;
  readonly from: number;
  readonly to: number;
}

/** The dimensions that are more than one long, those with the widest steps in the storage first. */
function axesOf({ size, stride, elementBytes }: TensorView): Axis[] {
  const axes: Axis[] = [];
  let to = elementBytes;
  for (let d = size.length - 1; d >= 0; d--) {
    if (size[d] > 1) axes.push({ length: size[d], from: stride[d] * elementBytes, to });
    to *= size[d];
  }
  // of equal steps the one that is inner in the output stays inner
  return axes.reverse().sort((a, b) => b.from - a.from);
}

interface Gathering {
  readonly elementBytes: number;
  readonly read: ReadStorage;
}

/** Reads pieces of at most `maxPieceBytes` along the widest axis, and goes one axis further in where a single step is more. */
async function gather(
  axes: readonly Axis[],
  begin: number,
  output: Uint8Array<ArrayBuffer>,
  at: number,
  gathering: Gathering,
): Promise<void> {
  const { elementBytes, read } = gathering;
  const [{ length, from, to }, ...inner] = axes;
  const span = inner.reduce((reach, axis) => reach + (axis.length - 1) * axis.from, elementBytes);
  if (span > maxPieceBytes) {
    for (let i = 0; i < length; i++) await gather(inner, begin + i * from, output, at + i * to, gathering);
    return;
  }
  const steps = from === 0 ? length : Math.max(1, Math.floor((maxPieceBytes - span) / from) + 1);
  for (let i = 0; i < length; i += steps) {
    const count = Math.min(steps, length - i);
    const start = begin + i * from;
    const piece = await read(start, start + (count - 1) * from + span);
    scatter([{ length: count, from, to }, ...inner], piece, 0, output, at + i * to, elementBytes);
  }
}

function scatter(
  axes: readonly Axis[],
  piece: Uint8Array,
  position: number,
  output: Uint8Array,
  at: number,
  elementBytes: number,
): void {
  const [{ length, from, to }, ...inner] = axes;
  if (inner.length > 0) {
    for (let i = 0; i < length; i++) {
      scatter(inner, piece, position + i * from, output, at + i * to, elementBytes);
    }
  } else if (from === elementBytes && to === elementBytes) {
    output.set(piece.subarray(position, position + length * elementBytes), at);
  } else {
    for (let i = 0; i < length; i++) {
      for (let byte = 0; byte < elementBytes; byte++) {
        output[at + i * to + byte] = piece[position + i * from + byte];
      }
    }
  }
}

/** Lengths and steps of the dimensions that are more than one long, the smallest steps first. */
function byStep(size: readonly number[], stride: readonly number[]): { length: number; step: number }[] {
  return size
    .map((length, d) => ({ length, step: stride[d] }))
    .filter(({ length }) => length > 1)
    .sort((a, b) => a.step - b.step);
}
