// The end of a matmul whose sums come two quads at a time, for results that do not lie in memory as chunks of 16 bytes do.
// #import finish-quads

alias ResidualPair = array<vec4f, 2>;

/// Of the last row and column past those that there are.
fn residual_pair(row: u32, pair: u32) -> ResidualPair {
  let first = min(row, params.rows - 1) * N_QUADS;
  return array(residual_at(first + min(pair * 2, N_QUADS - 1)), residual_at(first + min(pair * 2 + 1, N_QUADS - 1)));
}

/// pair counts pairs of quads of N
fn finish_pair(row: u32, pair: u32, left: vec4f, right: vec4f, biases: array<vec4f, 2>, residuals: ResidualPair) {
  if (row < params.rows && pair * 2 < N_QUADS) { finish_with(row, pair * 2, left, biases[0], residuals[0]); }
  if (row < params.rows && pair * 2 + 1 < N_QUADS) { finish_with(row, pair * 2 + 1, right, biases[1], residuals[1]); }
}
