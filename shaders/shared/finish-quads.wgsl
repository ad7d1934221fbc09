// The end of a matmul: what the epilogue makes of a sum goes to memory, a quad at a time.
// #import result
@group(0) @binding(2) var<storage, read_write> output: array<ResultQuad>; // [M, N]
// #import epilogue
// #import residual

/// row < M, column counts quads of N
fn finish_with(row: u32, column: u32, sum: vec4f, own_bias: vec4f, residual: vec4f) {
  output[row * N_QUADS + column] = store_result(finished(row, column, sum, own_bias, residual));
}

fn finish(row: u32, column: u32, sum: vec4f) { finish_with(row, column, sum, bias_at(column), residual_at(row * N_QUADS + column)); }
