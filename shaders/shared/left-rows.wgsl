// The left operand of a matmul by matrices, wherever its rows come from.
// #import rows
// #import chunk

/// A chunk of neighbours in k of one row.
fn left_chunk(row: u32, chunk: u32) -> vec4u {
  var quads: array<vec4f, CHUNK_QUADS>;
  for (var i = 0u; i < CHUNK_QUADS; i++) { quads[i] = input_quad(row, chunk * CHUNK_QUADS + i); }
  return chunk_of(quads);
}
