// A chunk of 16 bytes: eight f16, as bits, which is how matrices want them. They are converted as f16 and not by pack2x16float, whose
// rounding WGSL leaves open: Mesa's compiler for NVIDIA takes it to be towards zero.
const CHUNK_QUADS = 2;

fn chunk_of(quads: array<vec4f, 2>) -> vec4u {
  return vec4u(bitcast<vec2u>(vec4<f16>(quads[0])), bitcast<vec2u>(vec4<f16>(quads[1])));
}

fn quads_of(chunk: vec4u) -> array<vec4f, 2> {
  return array(vec4f(bitcast<vec4<f16>>(chunk.xy)), vec4f(bitcast<vec4<f16>>(chunk.zw)));
}
