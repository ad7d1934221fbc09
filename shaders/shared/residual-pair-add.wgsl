// The residual stream lies where the result goes: read, then overwritten by the same invocation.
alias ResidualPair = vec4u;

/// Of the last row and pair past those that there are.
fn residual_pair(row: u32, pair: u32) -> ResidualPair {
  return output[min(row, params.rows - 1) * (N_QUADS / 2) + min(pair, N_QUADS / 2 - 1)];
}

fn residual_quads(residual: ResidualPair) -> array<vec4f, 2> { return quads_of(residual); }
