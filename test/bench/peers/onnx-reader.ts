// Reads ONNX models and runs them in plain loops, so that the graph written for peers is checked without a peer.

/** Fields of a protobuf message by number: varints as bigint, fixed32 and strings as bytes. */
type Fields = Map<number, (bigint | Uint8Array)[]>;

export interface OnnxTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: number;
  readonly raw: Uint8Array | undefined;
  /** Of external data: location, offset, length. */
  readonly external: ReadonlyMap<string, string>;
}

export interface OnnxNode {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes: ReadonlyMap<string, number | readonly number[] | string>;
}

export interface OnnxFile {
  readonly irVersion: number;
  readonly opset: number;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly input: { readonly name: string; readonly shape: readonly number[] };
  readonly output: { readonly name: string; readonly shape: readonly number[] };
}

export function readOnnx(bytes: Uint8Array): OnnxFile {
  const model = fieldsOf(bytes);
  const graph = fieldsOf(only(model, 7));
  return {
    irVersion: integer(model, 1),
    opset: integer(fieldsOf(only(model, 8)), 2),
    nodes: messages(graph, 1).map(readNode),
    initializers: messages(graph, 5).map(readTensor),
    input: readPort(fieldsOf(only(graph, 11))),
    output: readPort(fieldsOf(only(graph, 12))),
  };
}

function readNode(node: Fields): OnnxNode {
  const attributes = messages(node, 5).map((attribute): [string, number | readonly number[] | string] => {
    const name = text(only(attribute, 1));
    switch (integer(attribute, 20)) {
      case 1:
        return [name, floats(only(attribute, 2))[0]];
      case 2:
        return [name, integer(attribute, 3)];
      case 3:
        return [name, text(only(attribute, 4))];
      case 7:
        return [name, packed(only(attribute, 8))];
    }
    throw new Error(`${name}: an attribute of no known type`);
  });
  const inputs = (node.get(1) ?? []).map((value) => text(value as Uint8Array));
  return { type: text(only(node, 4)), inputs, output: text(only(node, 2)), attributes: new Map(attributes) };
}

function readTensor(tensor: Fields): OnnxTensor {
  const external = messages(tensor, 13).map((entry) => [text(only(entry, 1)), text(only(entry, 2))] as const);
  if (external.length > 0 && integer(tensor, 14) !== 1) throw new Error('external data that is not marked as such');
  return {
    name: text(only(tensor, 8)),
    dims: packed(only(tensor, 1)),
    type: integer(tensor, 2),
    raw: tensor.has(9) ? only(tensor, 9) : undefined,
    external: new Map(external),
  };
}

function readPort(port: Fields): { name: string; shape: number[] } {
  const tensorType = fieldsOf(only(fieldsOf(only(port, 2)), 1));
  const shape = messages(fieldsOf(only(tensorType, 2)), 1).map((dimension) => integer(dimension, 1));
  return { name: text(only(port, 1)), shape };
}

function fieldsOf(bytes: Uint8Array): Fields {
  const fields: Fields = new Map();
  for (let at = 0; at < bytes.length; ) {
    const key = readVarint(bytes, at);
    const field = Number(key.value >> 3n);
    const type = Number(key.value & 7n);
    let value: bigint | Uint8Array;
    if (type === 0) ({ value, next: at } = readVarint(bytes, key.next));
    else {
      const length = type === 2 ? readVarint(bytes, key.next) : { value: 4n, next: key.next };
      if (type !== 2 && type !== 5) throw new Error(`wire type ${type} at ${at}`);
      value = bytes.subarray(length.next, length.next + Number(length.value));
      at = length.next + Number(length.value);
      if (at > bytes.length) throw new Error('a field ends behind its message');
    }
    fields.set(field, [...(fields.get(field) ?? []), value]);
  }
  return fields;
}

function readVarint(bytes: Uint8Array, at: number): { value: bigint; next: number } {
  let value = 0n;
  for (let i = at, shift = 0n; i < bytes.length; i++, shift += 7n) {
    value |= BigInt(bytes[i] & 127) << shift;
    if (bytes[i] < 128) return { value: BigInt.asIntN(64, value), next: i + 1 };
  }
  throw new Error(`a varint without an end at ${at}`);
}

function packed(bytes: Uint8Array): number[] {
  const values: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { value, next } = readVarint(bytes, at);
    values.push(Number(value));
    at = next;
  }
  return values;
}

function only(fields: Fields, field: number): Uint8Array {
  const values = fields.get(field) ?? [];
  if (values.length === 1 && values[0] instanceof Uint8Array) return values[0];
  throw new Error(`field ${field}: ${values.length} values, expected one of bytes`);
}

const messages = (fields: Fields, field: number) =>
  (fields.get(field) ?? []).map((value) => fieldsOf(value as Uint8Array));
const integer = (fields: Fields, field: number) => Number(fields.get(field)?.[0]);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
export const floats = (bytes: Uint8Array) => new Float32Array(bytes.slice().buffer);
