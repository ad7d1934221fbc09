// The products of matmul-outer in f16, and so the sums of SHORT neighbours in k, which then go to the sums in f32: GPUs multiply twice as
// many halves in a time.
alias Factor = vec4<f16>;
alias RowPair = vec2<f16>;

/// Adds the outer products of all k of the tiles in workgroup memory.
fn multiply(line: u32, column: u32, sums: ptr<function, array<vec4f, LANE_ROWS>>) {
// #import depth-count
  // #unroll
  for (var part = 0u; part < DEPTH_COUNT; part++) {
    // with an initial value, for without one it keeps that of the turn before (Dawn 0.6.2, against WGSL's rules)
    var short_sums = array<vec4<f16>, LANE_ROWS>();
    // #unroll
    for (var d = 0u; d < SHORT; d++) {
      let k = part * SHORT + d;
      let factor = weight_tile[k][column];
      // #unroll
      for (var p = 0u; p < LANE_PAIRS; p++) {
        let rows = input_tile[k][p][line];
        short_sums[p * 2] = fma(vec4<f16>(rows.x), factor, short_sums[p * 2]);
        short_sums[p * 2 + 1] = fma(vec4<f16>(rows.y), factor, short_sums[p * 2 + 1]);
      }
    }
    // #unroll
    for (var r = 0u; r < LANE_ROWS; r++) { sums[r] += vec4f(short_sums[r]); }
  }
}
