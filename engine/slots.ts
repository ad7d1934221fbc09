// Which memory each activation lives in: lifetimes first, then buffers for them, the largest tensors before the small ones.
import { StamError } from './errors.ts';
import type { AnyValue, Graph, GraphNode } from './graph.ts';
import { formatShape } from './shape.ts';

/** Memory that one value, or several that take it over from each other, holds between two nodes, both included. */
interface Tensor {
  readonly size: number;
  readonly first: number;
  last: number;
  slot: number;
}

/** The memory of a graph's activations and of the parts of its inputs. */
export class SlotPlan {
  /** Bytes of each buffer. */
  readonly slots: number[] = [];
  readonly #bytesOf: (value: AnyValue) => number;
  readonly #tensors = new Map<number, Tensor>();
  readonly #takenAt = new Map<number, number>();
  readonly #arrivals = new Map<number, AnyValue[]>();

  /** Throws bad-input when a node reads what nothing holds, shape-mismatch when an output cannot take over the memory it wants. */
  constructor(graph: Graph, bytesOf: (value: AnyValue) => number) {
    this.#bytesOf = bytesOf;
    graph.nodes.forEach((node, index) => {
      this.#follow(node, index);
    });
    for (const { value, after } of graph.kept) this.#use(value, after);
    this.#assign();
  }

  /** The buffer in which a value lies while it lives. */
  slot(value: AnyValue): number {
    return this.#tensors.get(value.id)?.slot ?? notHeld(value);
  }

  /** The inputs of the graph that the node of this index is the first to read. */
  arrivals(index: number): readonly AnyValue[] {
    return this.#arrivals.get(index) ?? [];
  }

  #follow(node: GraphNode, index: number): void {
    const taken = new Set(Object.values(node.takesOver ?? {}));
    for (const [name, value] of Object.entries(node.inputs)) {
      if (!taken.has(name) && value.kind !== 'weight' && value.kind !== 'texture') this.#use(value, index);
    }
    for (const [binding, value] of Object.entries(node.outputs)) {
      const over = node.takesOver?.[binding];
      if (over !== undefined) this.#takeOver(node, over, value, index);
      else if (this.#tensors.has(value.id)) this.#use(value, index);
      else this.#hold(value, index);
    }
  }

  #hold(value: AnyValue, index: number): void {
    this.#tensors.set(value.id, { size: this.#bytesOf(value), first: index, last: index, slot: -1 });
  }

  #use(value: AnyValue, index: number): void {
    if (value.kind === 'input' && !this.#tensors.has(value.id)) {
      this.#hold(value, index);
      this.#arrivals.set(index, [...this.arrivals(index), value]);
    }
    const tensor = this.#tensors.get(value.id);
    const isTaken = index >= (this.#takenAt.get(value.id) ?? Number.POSITIVE_INFINITY);
    if (!tensor || isTaken || index < tensor.first) notHeld(value);
    tensor.last = Math.max(tensor.last, index);
  }

  #takeOver(node: GraphNode, input: string, value: AnyValue, index: number): void {
    const before = node.inputs[input];
    const others = Object.entries(node.inputs).filter(([name, { id }]) => name !== input && id === before.id);
    if (others.length > 0) notHeld(before);
    if (before.kind !== 'weight') this.#use(before, index);
    const tensor = this.#tensors.get(before.id);
    if (!tensor || tensor.size !== this.#bytesOf(value)) {
      throw new StamError('shape-mismatch', {
        where: node.name,
        problem: `the output cannot take over the memory of ${before.name}`,
        got: formatShape(value.shape),
        expected: formatShape(before.shape),
      });
    }
    this.#tensors.set(value.id, tensor);
    this.#takenAt.set(before.id, index);
  }

  /** The largest tensors first, each into the smallest buffer that is large enough and free for as long as it lives. */
  #assign(): void {
    const spans: Tensor[][] = [];
    const tensors = [...new Set(this.#tensors.values())].sort((a, b) => b.size - a.size || a.first - b.first);
    for (const tensor of tensors) {
      const isFree = (span: readonly Tensor[]) =>
        span.every(({ first, last }) => last < tensor.first || tensor.last < first);
      const found = spans.findLastIndex(isFree); // buffers are in the order of their sizes
      tensor.slot = found >= 0 ? found : this.slots.push(tensor.size) - 1;
      spans[tensor.slot] = [...(spans[tensor.slot] ?? []), tensor];
    }
  }
}

function notHeld(value: AnyValue): never {
  throw new StamError('bad-input', {
    where: value.name,
    problem: 'the graph reads this tensor when nothing holds it',
  });
}
