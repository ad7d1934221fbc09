// What becomes of a finished sum of a matmul: activation(sum + bias) + residual.
// #import bias
// #import activation

/// row < M, column counts quads of N
fn finished(row: u32, column: u32, sum: vec4f, bias: vec4f, residual: vec4f) -> vec4f {
  return activation(sum + bias) + residual;
}
