// The web-platform-tests' cases for WebNN, as converted to JSON: read as data, nothing in them is executed.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Shape } from '../../engine/shape.ts';
import { elementCount } from '../../engine/shape.ts';

const folder = fileURLToPath(new URL('../../../shared/conformance/wpt-webnn', import.meta.url));

export const filesAreThere = existsSync(folder);

export interface Operand {
  readonly shape: Shape;
  readonly dataType: string;
  /** One number stands for a tensor of nothing else. Integers of 64 bits are strings. */
  readonly data: number | readonly (number | string)[];
}

/** A graph of one operator. */
export interface WptCase {
  readonly name: string;
  readonly operator: string;
  readonly inputs: Readonly<Record<string, Operand>>;
  /** Positional arguments and options by name, in one: numbers, names of inputs, lists. */
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly output: Operand;
}

interface FileOperand {
  readonly data: Operand['data'];
  readonly descriptor: { readonly shape: Shape; readonly dataType: string };
}

interface FileCase {
  readonly name: string;
  readonly graph: {
    readonly inputs: Readonly<Record<string, FileOperand>>;
    readonly operators: readonly {
      readonly name: string;
      readonly arguments: readonly Readonly<Record<string, unknown>>[];
    }[];
    readonly expectedOutputs: Readonly<Record<string, FileOperand>>;
  };
}

/** All cases by the name of their file, in its order. Throws for a graph of several operators or outputs. */
export function readCases(): ReadonlyMap<string, readonly WptCase[]> {
  const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
  return new Map(
    files.toSorted().map((file) => {
      const { tests } = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as { tests: readonly FileCase[] };
      return [path.parse(file).name, tests.map(readCase)];
    }),
  );
}

function readCase({ name, graph }: FileCase): WptCase {
  const outputs = Object.values(graph.expectedOutputs);
  if (graph.operators.length !== 1 || outputs.length !== 1)
    throw new Error(`${name}: more than one operator or output`);
  const [operator] = graph.operators;
  const all = Object.assign({}, ...operator.arguments) as Record<string, unknown>;
  const { options, ...positional } = all;
  return {
    name,
    operator: operator.name,
    inputs: Object.fromEntries(Object.entries(graph.inputs).map(([key, operand]) => [key, readOperand(operand)])),
    arguments: { ...positional, ...(options as object | undefined) },
    output: readOperand(outputs[0]),
  };
}

function readOperand({ data, descriptor }: FileOperand): Operand {
  return { ...descriptor, data };
}

/** The input that an argument names; undefined where the case leaves it out. */
export function inputOf(test: WptCase, argument: string): Operand | undefined {
  const name = test.arguments[argument];
  return typeof name === 'string' ? test.inputs[name] : undefined;
}

/** Its elements, row-major. Throws where the file gives another number of them. */
export function floatsOf({ data, shape }: Operand): Float32Array<ArrayBuffer> {
  const count = elementCount(shape);
  if (typeof data === 'number') return new Float32Array(count).fill(data);
  if (data.length !== count) throw new Error(`${data.length} elements for [${shape.join(', ')}]`);
  return Float32Array.from(data, Number);
}
