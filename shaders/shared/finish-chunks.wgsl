// The end of a matmul whose sums come two quads at a time, for results in f16 with rows of whole chunks: 16 bytes go to memory at once.
// #import chunk
@group(0) @binding(2) var<storage, read_write> output: array<vec4u>;    // [M, N]
// #import epilogue
// #import residual

/// pair counts pairs of quads of N
fn finish_pair(row: u32, pair: u32, left: vec4f, right: vec4f, biases: array<vec4f, 2>, own_residual: ResidualPair) {
  if (row < params.rows && pair < N_QUADS / 2) {
    let residual = residual_quads(own_residual);
    output[row * (N_QUADS / 2) + pair] =
      chunk_of(array(finished(row, pair * 2, left, biases[0], residual[0]), finished(row, pair * 2 + 1, right, biases[1], residual[1])));
  }
}
