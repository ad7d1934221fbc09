// The left operand of a matmul by matrices, read from memory as it is: f16, and K a multiple of eight.
@group(0) @binding(0) var<storage, read> input: array<vec4u>;           // [M, K]

/// Eight neighbours in k of one row; zeros past K, the last row past M.
fn left_chunk(row: u32, chunk: u32) -> vec4u {
  let value = input[min(row, params.rows - 1) * ROW_CHUNKS + min(chunk, ROW_CHUNKS - 1)];
  return select(vec4u(0), value, chunk < ROW_CHUNKS);
}
