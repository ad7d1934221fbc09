// The left operand of a matmul, read from memory as it is.
@group(0) @binding(0) var<storage, read> input: array<Quad>;            // [M, K]

/// Where a row begins, for input_at: loops over k keep it. The last row past M.
fn input_row(row: u32) -> u32 { return min(row, params.rows - 1) * K_QUADS; }

/// Four neighbours in k of the row that begins at `start`; zeros past K, for which rows of whole k tiles need no test.
fn input_at(start: u32, quad: u32) -> vec4f {
  let value = load_quad(input[start + select(min(quad, K_QUADS - 1), quad, K_QUADS * 4 == K)]);
  return select(vec4f(0), value, (quad < K_QUADS) | (K_QUADS * 4 == K));
}

fn input_quad(row: u32, quad: u32) -> vec4f { return input_at(input_row(row), quad); }
