// output[m, n] = epilogue(sum over k of input[m, k] weight[n, k]), for few rows
//
// One workgroup computes ROWS rows of a panel of 16 columns: each of its 64 invocations has one of the panel's four quads of
// columns and a sixteenth of k, so that together they read the weight, which is what such a matmul costs, as one run of memory. The
// parts are summed in workgroup memory (split-K within a workgroup). The other families compute tiles of at least 16 rows, most of
// which would be empty, and a few such tiles leave most of a GPU idle: an H200 takes 34 us for 17x2304x768 in matmul-tile of f32, and 84 for
// 17x768x2048. 1x400x768 takes 0.8 ms here and 9.9 in matmul-tile on llvmpipe. Needs no feature and 1 KiB of workgroup memory for each row.
// #import storage
// #import rows
// #import weight

struct Params {
  rows: u32,                                                            // M
}
@group(0) @binding(6) var<uniform> params: Params;
// #import finish

const PARTS = 16u;                                                      // of k
const STEP = PARTS * 4;                                                 // k in one turn of all parts

var<workgroup> partial: array<array<array<vec4f, 4>, PARTS>, ROWS>;     // [row][part][quad]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let part = lane / 4;
  let column = workgroup.x * 4 + lane % 4;
  let first_row = workgroup.y * ROWS;
  var starts: array<u32, ROWS>;
  // #unroll
  for (var r = 0u; r < ROWS; r++) { starts[r] = input_row(first_row + r); }

  var sums: array<vec4f, ROWS>;
  for (var turn = 0u; turn < K; turn += STEP) {
    // past K, which is a multiple of 32, the last quad is read again and does not count
    let k = min(turn + part * 4, K - 4);
    let counts = turn + part * 4 < K;
    var factors: array<vec4f, 4>;
    // #unroll
    for (var i = 0u; i < 4; i++) { factors[i] = select(vec4f(0), weight_quad(k + i, column), counts); }
    // #unroll
    for (var r = 0u; r < ROWS; r++) {
      let row = input_at(starts[r], k / 4);
      // #unroll
      for (var i = 0u; i < 4; i++) { sums[r] = fma(vec4f(row[i]), factors[i], sums[r]); }
    }
  }

  // #unroll
  for (var r = 0u; r < ROWS; r++) { partial[r][part][lane % 4] = sums[r]; }
  workgroupBarrier();
  for (var slot = lane; slot < ROWS * 4; slot += 64) {
    var sum = vec4f(0);
    // #unroll
    for (var p = 0u; p < 16; p++) { sum += partial[slot / 4][p][slot % 4]; }
    let quad = workgroup.x * 4 + slot % 4;
    let row = first_row + slot / 4;
    if (row < params.rows && quad < N_QUADS) { finish(row, quad, sum); }
  }
}
