// The products of matmul-outer in f32.
alias Factor = vec4f;
alias RowPair = vec2f;

/// Adds the outer products of all k of the tiles in workgroup memory.
fn multiply(line: u32, column: u32, sums: ptr<function, array<vec4f, LANE_ROWS>>) {
// #import depth-count
  // #unroll
  for (var k = 0u; k < DEPTH_COUNT; k++) {
    let factor = weight_tile[k][column];
    // #unroll
    for (var p = 0u; p < LANE_PAIRS; p++) {
      let rows = input_tile[k][p][line];
      sums[p * 2] = fma(vec4f(rows.x), factor, sums[p * 2]);
      sums[p * 2 + 1] = fma(vec4f(rows.y), factor, sums[p * 2 + 1]);
    }
  }
}
