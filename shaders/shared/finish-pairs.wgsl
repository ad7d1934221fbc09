// The end of a matmul whose sums come two quads at a time, for results that do not lie in memory as chunks of 16 bytes do.
// #import finish-quads

/// pair counts pairs of quads of N
fn finish_pair(row: u32, pair: u32, left: vec4f, right: vec4f, biases: array<vec4f, 2>) {
  if (row < params.rows && pair * 2 < N_QUADS) { finish_with(row, pair * 2, left, biases[0]); }
  if (row < params.rows && pair * 2 + 1 < N_QUADS) { finish_with(row, pair * 2 + 1, right, biases[1]); }
}
