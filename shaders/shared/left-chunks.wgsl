// The left operand of a matmul by matrices, read from memory as it is: f16, and K a multiple of eight.
@group(0) @binding(0) var<storage, read> input: array<vec4u>;           // [M, K]

/// Where a row begins, for left_at: loops over k keep it. The last row past M.
fn left_start(row: u32) -> u32 { return min(row, params.rows - 1) * ROW_CHUNKS; }

/// Eight neighbours in k of the row that begins at `start`. Past K the last ones again, which the weight's zeros there make nothing of.
fn left_at(start: u32, chunk: u32) -> vec4u {
  return input[start + select(min(chunk, ROW_CHUNKS - 1), chunk, ROW_CHUNKS * CHUNK == K)];
}
