// An ONNX model: nodes in order, small constants inside, weights as ranges of a file beside it. Field numbers are those of onnx.proto.
import { Message } from './protobuf.ts';

/** A weight of the graph: where it lies in the weights' file, and which part of a state_dict tensor it is. */
export interface Parameter {
  /** In the graph. */
  readonly name: string;
  /** In the graph, too: that of the state_dict's rows, transposed where `transposed` says so. */
  readonly shape: readonly number[];
  /** The tensor of the state_dict and its shape there. */
  readonly key: string;
  readonly keyShape: readonly number[];
  /** The first of its rows that is taken. */
  readonly firstRow: number;
  /** Whether the rows become columns: a projection is x @ W here, with no transposition when it runs. */
  readonly transposed: boolean;
  /** In bytes, from the beginning of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** Numbers are integers unless `epsilon`, the one float that STAM's graph has. */
export type Attributes = Readonly<Record<string, number | readonly number[] | string>>;

/** A tensor that goes into the graph or comes out of it. */
export interface Port {
  readonly name: string;
  readonly shape: readonly number[];
}

const dataType = { float: 1, int64: 7 } as const;
const attributeType = { float: 1, int: 2, string: 3, ints: 7 } as const;
const external = 1; // TensorProto.DataLocation
const opset = 20; // the first with Gelu
const irVersion = 9; // what goes with it
const alignment = 64;

export class OnnxGraph {
  readonly parameters = new Map<string, Parameter>();
  readonly #layout: ReadonlyMap<string, Parameter> | undefined;
  readonly #constants = new Map<string, Message>();
  readonly #nodes: Message[] = [];
  #bytes = 0;

  /** With `layout`, the weights are those of another graph's file: every parameter must be in it. */
  constructor(layout?: ReadonlyMap<string, Parameter>) {
    this.#layout = layout;
  }

  /** Adds a node and returns the name of its output. */
  op(type: string, inputs: readonly string[], attributes: Attributes = {}, output?: string): string {
    const name = `${type}_${this.#nodes.length}`;
    const node = new Message();
    for (const input of inputs) node.string(1, input);
    node
      .string(2, output ?? name)
      .string(3, name)
      .string(4, type);
    for (const [key, value] of Object.entries(attributes)) node.message(5, attribute(key, value));
    this.#nodes.push(node);
    return output ?? name;
  }

  /** int64 constants: shapes as a list, an index as a single number. */
  integers(values: number | readonly number[]): string {
    const list = typeof values === 'number' ? [values] : values;
    const dims = typeof values === 'number' ? [] : [list.length];
    return this.#constant(
      `integers_${dims.join()}_${list.join('_')}`,
      dataType.int64,
      dims,
      BigInt64Array.from(list.map(BigInt)),
    );
  }

  /** A float32 constant without dimensions. */
  scalar(value: number): string {
    return this.#constant(`scalar_${value}`, dataType.float, [], Float32Array.of(value));
  }

  /**
   * A weight, at the next aligned place of the file. `rows` takes a part of the tensor's first dimension. With `transposed` the
   * tensor is flattened to two dimensions first: [N, ...] becomes [K, N].
   */
  parameter(
    key: string,
    keyShape: readonly number[],
    {
      rows = [0, keyShape[0]],
      transposed = false,
    }: { rows?: readonly [from: number, to: number]; transposed?: boolean } = {},
  ): string {
    const name = rows[1] - rows[0] === keyShape[0] ? key : `${key}[${rows.join(':')}]`;
    const columns = keyShape.slice(1);
    const count = rows[1] - rows[0];
    const inner = columns.reduce((product, size) => product * size, 1);
    const placed = this.#layout?.get(name);
    if (this.#layout && !placed) throw new RangeError(`${name}: not in the layout of the weights`);
    const byteLength = 4 * count * inner;
    this.parameters.set(
      name,
      placed ?? {
        name,
        shape: transposed ? [inner, count] : [count, ...columns],
        key,
        keyShape,
        firstRow: rows[0],
        transposed,
        offset: this.#bytes,
        byteLength,
      },
    );
    this.#bytes += Math.ceil(byteLength / alignment) * alignment;
    return name;
  }

  /** The file: a ModelProto whose weights lie in `location`, a file beside it. */
  encode(name: string, location: string, input: Port, output: Port): Uint8Array<ArrayBuffer> {
    const graph = new Message();
    for (const node of this.#nodes) graph.message(1, node);
    graph.string(2, name);
    for (const constant of this.#constants.values()) graph.message(5, constant);
    for (const parameter of this.parameters.values()) graph.message(5, externalTensor(parameter, location));
    graph.message(11, valueInfo(input)).message(12, valueInfo(output));
    const opsetId = new Message().string(1, '').integer(2, opset);
    return new Message().integer(1, irVersion).string(2, 'stam-webgpu').message(7, graph).message(8, opsetId).encode();
  }

  #constant(name: string, type: number, dims: readonly number[], values: Float32Array | BigInt64Array): string {
    const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    this.#constants.set(name, new Message().integers(1, dims).integer(2, type).string(8, name).bytes(9, raw));
    return name;
  }
}

function externalTensor({ name, shape, offset, byteLength }: Parameter, location: string): Message {
  const tensor = new Message().integers(1, shape).integer(2, dataType.float).string(8, name);
  for (const [key, value] of Object.entries({ location, offset, length: byteLength })) {
    tensor.message(13, new Message().string(1, key).string(2, `${value}`));
  }
  return tensor.integer(14, external);
}

function attribute(name: string, value: number | readonly number[] | string): Message {
  const message = new Message().string(1, name);
  if (typeof value === 'string') return message.string(4, value).integer(20, attributeType.string);
  if (typeof value !== 'number') return message.integers(8, value).integer(20, attributeType.ints);
  if (name === 'epsilon') return message.float(2, value).integer(20, attributeType.float);
  return message.integer(3, value).integer(20, attributeType.int);
}

function valueInfo({ name, shape }: Port): Message {
  const shapeProto = new Message();
  for (const size of shape) shapeProto.message(1, new Message().integer(1, size));
  const tensorType = new Message().integer(1, dataType.float).message(2, shapeProto);
  return new Message().string(1, name).message(2, new Message().message(1, tensorType));
}
