// The left operand of a matmul by matrices, wherever its rows come from.
// #import rows
// #import chunk

/// Where a row begins, for left_at: loops over k keep it.
fn left_start(row: u32) -> u32 { return input_row(row); }

/// A chunk of neighbours in k of the row that begins at `start`.
fn left_at(start: u32, chunk: u32) -> vec4u {
  var quads: array<vec4f, CHUNK_QUADS>;
  for (var i = 0u; i < CHUNK_QUADS; i++) { quads[i] = input_at(start, chunk * CHUNK_QUADS + i); }
  return chunk_of(quads);
}
