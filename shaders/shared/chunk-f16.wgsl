// A chunk of 16 bytes: eight f16, as bits, which is how matrices want them. They are converted as f16 and not by pack2x16float, whose
// rounding WGSL leaves open: Mesa's compiler for NVIDIA takes it to be towards zero.
const CHUNK_QUADS = 2;

fn chunk_of(quads: array<vec4f, 2>) -> vec4u {
  return vec4u(bitcast<vec2u>(vec4<f16>(quads[0])), bitcast<vec2u>(vec4<f16>(quads[1])));
}

fn quads_of(chunk: vec4u) -> array<vec4f, 2> {
  return array(vec4f(bitcast<vec4<f16>>(chunk.xy)), vec4f(bitcast<vec4<f16>>(chunk.zw)));
}

/// Column i of eight chunks that are the rows of a square.
fn column_of(rows: array<vec4u, 8>, i: u32) -> vec4u {
  let even = vec4u(rows[0][i / 2], rows[2][i / 2], rows[4][i / 2], rows[6][i / 2]);
  let odd = vec4u(rows[1][i / 2], rows[3][i / 2], rows[5][i / 2], rows[7][i / 2]);
  return select((even & vec4u(0xffff)) | (odd << vec4u(16)), (even >> vec4u(16)) | (odd & vec4u(0xffff0000)), i % 2 == 1);
}

/// The columns of eight rows of a word, two elements each.
fn columns_of(words: array<vec4u, 2>) -> array<vec4u, 2> {
  let even = vec4u(words[0].xz, words[1].xz);
  let odd = vec4u(words[0].yw, words[1].yw);
  return array((even & vec4u(0xffff)) | (odd << vec4u(16)), (even >> vec4u(16)) | (odd & vec4u(0xffff0000)));
}
