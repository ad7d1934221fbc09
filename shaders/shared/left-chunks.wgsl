// The left operand of a matmul by matrices, read from memory as it is: f16, and K a multiple of eight.
@group(0) @binding(0) var<storage, read> input: array<vec4u>;           // [M, K]

/// Eight neighbours in k of one row. Past K the last ones again, which the weight's zeros there make nothing of; past M the last row.
fn left_chunk(row: u32, chunk: u32) -> vec4u {
  return input[min(row, params.rows - 1) * ROW_CHUNKS + min(chunk, ROW_CHUNKS - 1)];
}
