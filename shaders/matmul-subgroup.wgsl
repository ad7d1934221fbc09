// output[m, n] = epilogue(sum over k of input[m, k] weight[n, k])
//
// One subgroup computes ROWS x (LANES * QUADS * 4) of the output in registers, without workgroup memory. Each lane holds its own
// columns; of the input each lane loads a different quad of k, and the lanes hand theirs round (register blocking over a subgroup).
// It exists beside matmul-tile for its loads, which are as few as can be: 16-18 GFLOP/s on llvmpipe, where that has 5. On adapters where a load costs as
// much as dozens of multiply-adds (all software ones) this is the family that wins.
// Needs subgroups of exactly LANES lanes.
// #import storage
// #import rows
// #import weight

struct Params {
  rows: u32,                                                            // M
}
@group(0) @binding(6) var<uniform> params: Params;
// #import finish

@compute @workgroup_size(LANES)
// #import subgroup
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
  @builtin(subgroup_size) lanes: u32,
) {
  let first_row = workgroup.y * ROWS;
  let first_column = workgroup.x * LANES * QUADS + lane;                // and every LANES-th quad after it
// #import row-count
  var sums: array<vec4f, ROWS * QUADS>;
// #import depth-loop

  for (var r = 0u; r < ROW_COUNT; r++) {
    for (var q = 0u; q < QUADS; q++) {
      let column = first_column + q * LANES;
      if (first_row + r < params.rows && column < N_QUADS) { finish(first_row + r, column, sums[r * QUADS + q]); }
    }
  }
}
