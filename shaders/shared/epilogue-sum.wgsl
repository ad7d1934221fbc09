// What becomes of a finished sum of a matmul at the end of a residual block: activation(sum + bias + residual).
// #import bias
// #import activation
// #import residual

/// row < M, column counts quads of N
fn finish(row: u32, column: u32, sum: vec4f) {
  let index = row * N_QUADS + column;
  output[index] = store_result(activation(sum + bias_at(column) + residual_at(index)));
}
