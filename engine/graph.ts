// A network as plain data: values, and nodes that turn values into values. Built once by model code, read by the planner.

import type { Capabilities } from './device.ts';
import type { ElementType, StorageType } from './dtype.ts';
import { StamError } from './errors.ts';
import type { Kernel } from './kernel.ts';
import type { Layout } from './layout.ts';
import { rowLayout } from './layout.ts';
import { ranked } from './ranking.ts';
import type { Shape } from './shape.ts';
import { elementCount, formatShape } from './shape.ts';

/** A tensor of the graph. It has a shape and a storage type, but no memory yet. Unless it says otherwise, its elements are floats. */
export interface Value<E extends ElementType = StorageType> {
  readonly id: number;
  readonly name: string;
  readonly kind: 'input' | 'weight' | 'activation' | 'texture';
  readonly shape: Shape;
  readonly storage: E;
  readonly layout: Layout;
  /** Inputs only: the part of a larger input that this value is, in elements of that input. */
  readonly part?: { readonly of: string; readonly start: number };
}

/** A tensor of whatever elements: the engine moves them all alike. */
export type AnyValue = Value<ElementType>;

/** One operation. Inputs and outputs are keyed by the names of the kernel's bindings. */
export interface GraphNode {
  /** The module path, as PyTorch names it: `blocks.0.mlp.fc1`. */
  readonly name: string;
  readonly operator: string;
  readonly inputs: Readonly<Record<string, AnyValue>>;
  readonly outputs: Readonly<Record<string, AnyValue>>;
  /** Outputs that take over the memory of an input, which nobody may read afterwards: output binding to input name. */
  readonly takesOver?: Readonly<Record<string, string>>;
  /** Multiply-adds of the mathematical operation, counted as two, without padding. */
  readonly flops: number;
  /** The kernels that can run this node on such a device, best first. */
  readonly candidates: (capabilities: Capabilities) => readonly Kernel[];
  /** What a self-check runs. Nodes without one are not checked. */
  readonly check?: NodeCheck | undefined;
}

/** Operands in the host's memory, in rowLayout, and pictures [H, W] of R G B A bytes, by name. */
export interface GivenOperands {
  readonly inputs: Readonly<Record<string, Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>>;
  readonly textures?: Readonly<
    Record<string, { readonly width: number; readonly height: number; readonly data: Uint8Array<ArrayBuffer> }>
  >;
}

/** The same kernels on a problem so small that it can be computed in plain loops too. */
export interface NodeCheck {
  /** Shapes of the operands that are smaller than the node's own, by the names of its inputs. */
  readonly shapes?: Readonly<Record<string, Shape>>;
  /** What to run on where made-up floats would make no sense: `build` declares these operands itself, and is given none. */
  readonly given?: GivenOperands;
  /**
   * Adds the node for operands of the same names, and what it takes to have its result in floats, which is returned. Its kernels are the
   * same texts as the node's own.
   */
  readonly build: (graph: Graph, operands: Readonly<Record<string, Value>>) => Value;
  /** A row of the result, in double precision, of operands that are dense and row-major. */
  readonly row: (operands: Readonly<Record<string, Float32Array>>, row: number) => Float64Array;
  /** What holds of the node's own operands, where that differs: `row` of them, and which rows of its output the node makes. */
  readonly own?: {
    readonly row?: NodeCheck['row'];
    readonly rows?: { readonly first: number; readonly count: number };
  };
}

/** A value whose elements are wanted after the run, under a name of their own. */
export interface Kept {
  readonly name: string;
  readonly value: Value;
  /** The node after which it is copied: later nodes may reuse its memory. */
  readonly after: number;
  /** Shape of the whole, of which the value may be one part along the first dimension. */
  readonly shape: Shape;
  /** Index along the first dimension at which the value begins. */
  readonly start: number;
}

/** A part of a larger tensor, along the first dimension. */
export interface Part {
  readonly start: number;
  readonly of: number;
}

/** What a tensor is in memory. */
type Form = Pick<AnyValue, 'shape' | 'storage' | 'layout'>;

/** `[8, 4] f32 in rows`, for a message. */
export function formatTensor({ shape, storage, layout }: Form): string {
  return `${formatShape(shape)} ${storage} in ${layout.name}`;
}

/** How many values all graphs have made: no two have one id, so that a graph knows its own. */
let values = 0;

/** A network while model code builds it; operators add its nodes. */
export class Graph {
  readonly nodes: GraphNode[] = [];
  readonly weights = new Map<string, Value>();
  readonly inputs: AnyValue[] = [];
  readonly kept: Kept[] = [];
  readonly #wanted: (name: string) => boolean;
  readonly #own = new Set<number>();
  /** What stands behind a name, pieces put together, by kind and name. */
  readonly #named: Record<string, Form> = {};

  /** `wanted` says which intermediate activations model code shall keep, by module path; by default none. */
  constructor(wanted: (name: string) => boolean = () => false) {
    this.#wanted = wanted;
  }

  /**
   * A tensor that the caller brings to every run; with `part`, a piece of a larger one that stands behind the same name. Throws
   * shape-mismatch where pieces of two different tensors are given one name.
   */
  input<E extends ElementType>(name: string, shape: Shape, storage: E, part?: Part): Value<E> {
    const start = part ? part.start * rowLayout.elements([1, ...shape.slice(1)]) : 0;
    const value = this.#value({ name, kind: 'input', shape, storage, layout: rowLayout, part: { of: name, start } });
    this.#expectOne('input', name, { ...value, shape: wholeShape(shape, part) });
    this.inputs.push(value);
    return value;
  }

  /** A texture of `width` by `height` texels that the caller brings to every run. It takes no memory of the plan's. */
  texture(name: string, width: number, height: number): Value<'u32'> {
    return this.#value({ name, kind: 'texture', shape: [height, width], storage: 'u32', layout: rowLayout });
  }

  /** A tensor of the checkpoint. Asked for twice, it is the same value, and must be the same in every respect. */
  weight(name: string, shape: Shape, storage: StorageType, layout: Layout = rowLayout): Value {
    const value = this.weights.get(name) ?? this.#value({ name, kind: 'weight', shape, storage, layout });
    this.#expectOne('weight', name, { shape, storage, layout });
    this.weights.set(name, value);
    return value;
  }

  /** A tensor that exists during a run only. Several nodes may write parts of it; it lives from the first to the last use. */
  activation<E extends ElementType>(name: string, shape: Shape, storage: E): Value<E> {
    return this.#value({ name, kind: 'activation', shape, storage, layout: rowLayout });
  }

  /**
   * The same elements under another shape with rows of the same length. It is the same value: whoever holds one holds both. Throws
   * shape-mismatch for a shape that is no such, and bad-input for a tensor of another graph.
   */
  reshape(value: Value, shape: Shape): Value {
    this.#expectOwn(value);
    if (elementCount(shape) === elementCount(value.shape) && shape.at(-1) === value.shape.at(-1))
      return this.#value({ ...value, shape }, value.id);
    throw new StamError('shape-mismatch', {
      where: value.name,
      problem: 'it cannot be seen under this shape',
      got: formatShape(shape),
      expected: `as many rows as ${formatShape(value.shape)} has, of the same length`,
    });
  }

  /** Adds a node. Throws bad-input for a tensor of another graph, and for an output that is no activation. */
  add(node: GraphNode): void {
    for (const value of Object.values(node.inputs)) this.#expectOwn(value);
    for (const value of Object.values(node.outputs)) this.#expectOwn(value, 'activation');
    this.nodes.push({
      ...node,
      candidates: (capabilities) => ranked(node.candidates(capabilities), capabilities),
    });
  }

  /** Whether the activation of this module path is to be kept. */
  wants(name: string): boolean {
    return this.#wanted(name);
  }

  /**
   * Marks a value as wanted after the run, as the last node has left it; with `part`, as a piece of a larger tensor that is to have this
   * name. Throws bad-input before the first node, for a tensor of another graph, and for a second value under this name, or a second
   * piece that begins at the same place; shape-mismatch where pieces of two different tensors are given one name.
   */
  keep(name: string, value: Value, part?: Part): void {
    this.#expectOwn(value);
    if (this.nodes.length === 0) refuse(name, 'a node must be added first');
    const shape = wholeShape(value.shape, part);
    this.#expectOne('output', name, { ...value, shape });
    const start = part?.start ?? 0;
    if (this.kept.some((other) => other.name === name && other.start === start)) refuse(name, 'it is kept already');
    this.kept.push({ name, value, after: this.nodes.length - 1, shape, start });
  }

  /** keep(), if it was asked for; returns the value in any case. */
  keepIfWanted(name: string, value: Value, part?: Part): Value {
    if (this.wants(name)) this.keep(name, value, part);
    return value;
  }

  #value<E extends ElementType>(value: Omit<Value<E>, 'id'>, id = values++): Value<E> {
    if (value.shape.some((size) => !Number.isSafeInteger(size) || size < 1)) {
      throw new StamError('shape-mismatch', {
        where: value.name,
        problem: 'a dimension is not a positive integer',
        got: formatShape(value.shape),
      });
    }
    this.#own.add(id);
    return { ...value, id };
  }

  #expectOwn({ id, name, kind }: AnyValue, expected: AnyValue['kind'] = kind): void {
    if (!this.#own.has(id) || kind !== expected) refuse(name, `it is no ${expected} of this graph`);
  }

  /** Throws shape-mismatch unless all that has this name is of one tensor. */
  #expectOne(kind: string, name: string, tensor: Form): void {
    const key = `${kind} ${name}`;
    const known = this.#named[key] ?? tensor;
    this.#named[key] = known;
    if (formatTensor(known) === formatTensor(tensor) && known.layout === tensor.layout) return;
    throw new StamError('shape-mismatch', {
      where: name,
      problem: `one ${kind} is used in two ways`,
      got: formatTensor(tensor),
      expected: formatTensor(known),
    });
  }
}

/** Shape of what a tensor is a part of. */
function wholeShape(shape: Shape, part: Part | undefined): Shape {
  return part ? [part.of, ...shape.slice(1)] : shape;
}

function refuse(where: string, problem: string): never {
  throw new StamError('bad-input', { where, problem });
}
