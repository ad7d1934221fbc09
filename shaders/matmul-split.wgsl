// output[m, n] = epilogue(sum over s of partial[s, m, n])
//
// The second half of split-K: where a matmul has too few tiles to fill a GPU, matmul-matrix computes each tile in SPLITS parts of K at
// the same time, and this kernel adds them up and does what the epilogue would have done. An invocation has one vec4 of the result.
// It moves SPLITS + 1 times the result through memory, so that split-K pays for long K and few tiles alone.

struct Params {
  rows: u32,                                                            // M
  padded_rows: u32,                                                     // of each part of partial
}
@group(0) @binding(6) var<uniform> params: Params;
@group(0) @binding(7) var<storage, read> partial: array<vec4f>;         // [SPLITS, M padded, N padded]
// #import storage
// #import finish

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) invocation: u32,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * 64 + invocation;
  let row = index / N_QUADS;
  let column = index % N_QUADS;
  if (row < params.rows) {
    var sum = vec4f(0);
    for (var s = 0u; s < SPLITS; s++) { sum += partial[(s * params.padded_rows + row) * PARTIAL_QUADS + column]; }
    finish(row, column, sum);
  }
}
