// The left operand of a matmul, read from memory as it is.
@group(0) @binding(0) var<storage, read> input: array<Quad>;            // [M, K]

/// Four neighbours in k of one row; zeros past K, the last row past M.
fn input_quad(row: u32, quad: u32) -> vec4f {
  let value = load_quad(input[min(row, params.rows - 1) * K_QUADS + min(quad, K_QUADS - 1)]);
  return select(vec4f(0), value, quad < K_QUADS);
}
