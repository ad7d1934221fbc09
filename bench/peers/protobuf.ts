// The wire format of protocol buffers, writing only: a message is its fields one after another, each a key and a value.

const wireType = { varint: 0, lengthDelimited: 2, fixed32: 5 } as const;

/** A message that grows field by field; each method appends one and returns the message. */
export class Message {
  readonly #parts: Uint8Array[] = [];

  /** int32, int64 or enum. Negative numbers take ten bytes, as the format has it. */
  integer(field: number, value: number): this {
    return this.#push(key(field, wireType.varint), varint(value));
  }

  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return this.#push(key(field, wireType.fixed32), bytes);
  }

  string(field: number, text: string): this {
    return this.bytes(field, new TextEncoder().encode(text));
  }

  bytes(field: number, bytes: Uint8Array): this {
    return this.#push(key(field, wireType.lengthDelimited), varint(bytes.length), bytes);
  }

  /** A field that is itself a message. */
  message(field: number, message: Message): this {
    return this.bytes(field, message.encode());
  }

  /** repeated int64, packed: one field that holds them all. */
  integers(field: number, values: readonly number[]): this {
    return this.bytes(field, join(values.map(varint)));
  }

  encode(): Uint8Array<ArrayBuffer> {
    return join(this.#parts);
  }

  #push(...parts: Uint8Array[]): this {
    this.#parts.push(...parts);
    return this;
  }
}

const key = (field: number, type: number) => varint(field * 8 + type);

/** Seven bits a byte, the lowest first; all but the last byte have the top bit set. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
