// Whether a kernel computed what its operator is defined as: rows of its result beside plain loops in double precision.
import type { GraphNode } from '../engine/graph.ts';
import { allowedError } from '../engine/self-check.ts';
import { rowCount, rowLength } from '../engine/shape.ts';
import type { Operands } from './operands.ts';

export interface Verdict {
  /** The largest difference, as a fraction of the largest element; null where nothing can be compared. */
  readonly error: number | null;
  /** What is wrong; undefined if nothing is. */
  readonly problem?: string;
}

/** Rows where tiles of powers of two begin and end, and so many more between the first and the last. */
const edges = [0, 15, 16, 63, 64, 127, 128];
const spread = 7;

/**
 * The rows to compare of `count`, ascending: the first, the last, those at the edges of tiles, also of the last tile of 128, and some
 * between, at odd steps.
 */
export function rowsToCompare(count: number): number[] {
  const last = count - 1;
  const step = Math.floor(count / (spread + 1)) | 1;
  const between = Array.from({ length: spread }, (_, i) => (i + 1) * step);
  const lastTile = Math.floor(last / 128) * 128;
  const rows = [...edges, ...between, lastTile - 1, lastTile, last];
  return [...new Set(rows.filter((row) => row >= 0 && row < count))].sort((a, b) => a - b);
}

/** The rows of one node's result that are compared, and what they should be. */
export class RowCheck {
  /** Rows of the output. */
  readonly rows: readonly number[];
  readonly #expected: readonly Float64Array[] | undefined;
  /** What these rows were before, where a kernel adds to what it finds. */
  readonly #before: readonly Float32Array[] | undefined;
  readonly #allowed: number;

  /** Computes rows among the first `fraction` of what the node makes. A node without a definition has nothing to be compared with. */
  constructor(node: GraphNode, operands: Operands, fraction: number) {
    const [output] = Object.values(node.outputs);
    const { first, count } = node.check?.own?.rows ?? { first: 0, count: rowCount(output.shape) };
    const made = Math.max(1, Math.floor(count * fraction));
    const own = rowsToCompare(made);
    this.rows = own.map((row) => first + row);
    const taken = Object.values(node.takesOver ?? {}).map((input) => operands.host[input])[0];
    const length = rowLength(output.shape);
    this.#before = taken && this.rows.map((row) => taken.subarray(row * length, (row + 1) * length));
    const values = [output, ...Object.values(node.inputs)];
    this.#allowed = allowedError[values.some(({ storage }) => storage === 'f16') ? 'f16' : 'f32'];
    // rows of a part of a result are counted in that part, unless the node's own definition says otherwise
    const definition = node.check?.own?.row ?? node.check?.row;
    const offset = node.check?.own?.row ? first : 0;
    const isDefined = definition && !node.check?.given;
    this.#expected = isDefined ? own.map((row) => definition(operands.host, offset + row)) : undefined;
  }

  /** Whether there is anything to compare with. */
  get isDefined(): boolean {
    return this.#expected !== undefined;
  }

  /** What is to be said of these rows of a result, of the whole problem or of a part. */
  verdict(got: readonly Float32Array[], isWhole: boolean): Verdict {
    const expected = this.#expected;
    if (!expected) return { error: null };
    let [worst, largest, whole] = [0, Number.MIN_VALUE, 0];
    for (const [at, row] of got.entries()) {
      const before = this.#before?.[at];
      const isUntouched = before !== undefined && row.every((value, column) => value === before[column]);
      const broken = isUntouched ? 0 : row.findIndex((value) => !Number.isFinite(value));
      // a part of the workgroups need not be the first rows, but it has to make most of them
      if (broken >= 0 && isWhole) {
        const what = isUntouched ? 'is as it was before' : `has ${row[broken]} at ${broken}`;
        return { error: null, problem: `row ${this.rows[at]} of its result ${what}` };
      }
      if (broken >= 0) continue;
      whole++;
      for (const [column, value] of expected[at].entries()) {
        worst = Math.max(worst, Math.abs(row[column] - value));
        largest = Math.max(largest, Math.abs(value));
      }
    }
    if (whole * 2 < got.length) {
      return { error: null, problem: `${got.length - whole} of the ${got.length} compared rows are not whole` };
    }
    const error = worst / largest;
    if (error <= this.#allowed) return { error };
    return { error, problem: `its result is off by ${error.toPrecision(2)} of the largest element` };
  }
}
