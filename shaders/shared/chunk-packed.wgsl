// A chunk of 16 bytes: eight f16, as bits, for devices without shader-f16.
const CHUNK_QUADS = 2;

fn chunk_of(quads: array<vec4f, 2>) -> vec4u {
  return vec4u(pack2x16float(quads[0].xy), pack2x16float(quads[0].zw), pack2x16float(quads[1].xy), pack2x16float(quads[1].zw));
}

fn quads_of(chunk: vec4u) -> array<vec4f, 2> {
  return array(
    vec4f(unpack2x16float(chunk.x), unpack2x16float(chunk.y)),
    vec4f(unpack2x16float(chunk.z), unpack2x16float(chunk.w)));
}
