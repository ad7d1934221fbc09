// output[m, n] = epilogue(sum over k of input[m, k] weight[n, k])
//
// A register-blocked GEMM in packed halves, for GPUs that have no subgroup matrices and multiply two halves in the time of one f32: AMD's,
// Intel's, NVIDIA's and those of phones. One workgroup computes ROWS x COLUMNS of the output from tiles of DEPTH k in workgroup memory;
// each invocation computes LANE_GROUPS groups of four rows by LANE_QUADS quads of columns, neighbours all, as outer products. The input is
// transposed on its way into workgroup memory, four rows by four k at a time. There is one buffer and no prefetch, as in matmul-outer.
//
// Operands, products and the short sums of SHORT neighbours in k are f16; the long sums of those and the epilogue are f32. A short sum can
// not overflow while every product is at most 65504 / SHORT: 8188 for eight, 4094 for sixteen, so that weights of at most 1 allow for
// activations that large. What is lost: each of a short sum's roundings keeps 11 bits, so that it is off by at most SHORT / 2048 of the sum
// of its absolute products, and the result likewise of all absolute products; beneath 2^-14 halves have fewer bits, or none. Rows that are
// computed on the way here, as behind a gate, are rounded to f16 too.
// Needs shader-f16 and 2 (ROWS + COLUMNS) DEPTH bytes of workgroup memory.
// #import storage
// #import rows
// #import weight

struct Params {
  rows: u32,                                                            // M
  k: u32,                                                               // K; no constant, or compilers write loops of few turns out
  depth: u32,                                                           // short sums of a tile: turns of the loop over it
}
@group(0) @binding(6) var<uniform> params: Params;
// #import finish

const LANE_COLUMNS = COLUMNS / 4 / LANE_QUADS;                          // invocations side by side
const LANE_LINES = ROWS / LANE_ROWS;                                    // invocations below one another
const LANES = LANE_COLUMNS * LANE_LINES;
const DEPTH_QUADS = DEPTH / 4;
const TILE_QUADS = COLUMNS / 4;

// each index that varies has a dimension of its own, so that one bounds check serves all constant ones
var<workgroup> input_tile: array<array<array<array<vec4<f16>, LANE_GROUPS>, LANE_LINES>, 4>, DEPTH_QUADS>; // [quad of k][k][line][group]
var<workgroup> weight_tile: array<array<array<vec4<f16>, LANE_QUADS>, LANE_COLUMNS>, DEPTH>; // [k][column][quad]

/// Adds the outer products of all k of the tiles in workgroup memory.
fn multiply(line: u32, column: u32, sums: ptr<function, array<vec4f, SUMS>>) {
// #import depth-count
  // #unroll
  for (var turn = 0u; turn < DEPTH_COUNT; turn++) {
    // with an initial value, for without one it keeps that of the turn before (Dawn 0.6.2, against WGSL's rules)
    var short_sums = array<vec4<f16>, SUMS>();                          // [row][quad]
    // #unroll
    for (var d = 0u; d < SHORT; d++) {
      let k = turn * SHORT + d;
      // #unroll
      for (var g = 0u; g < LANE_GROUPS; g++) {
        let rows = input_tile[k / 4][k & 3][line][g];
        // #unroll
        for (var q = 0u; q < LANE_QUADS; q++) {
          let factor = weight_tile[k][column][q];
          // #unroll
          for (var r = 0u; r < 4; r++) {
            let sum = (g * 4 + r) * LANE_QUADS + q;
            short_sums[sum] = fma(vec4<f16>(rows[r]), factor, short_sums[sum]);
          }
        }
      }
    }
    // #unroll
    for (var i = 0u; i < SUMS; i++) { sums[i] += vec4f(short_sums[i]); }
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_row = workgroup.y * ROWS;
  let first_column = workgroup.x * TILE_QUADS;
  let line = lane / LANE_COLUMNS;
  let column = lane & (LANE_COLUMNS - 1);
  let own_quad = lane & (TILE_QUADS - 1);                               // of what it carries into the weight's tile
  let own_k = lane / TILE_QUADS;
  let weights = weight_column(first_column + own_quad);

  var sums: array<vec4f, SUMS>;                                         // [row][quad]
  for (var k = 0u; k < params.k; k += DEPTH) {
    workgroupBarrier();                                                 // the tiles before are no longer read
    for (var slot = lane; slot < ROWS / 4 * DEPTH_QUADS; slot += LANES) {
      let group = slot / DEPTH_QUADS;
      let quad = slot & (DEPTH_QUADS - 1);
      var block: array<vec4<f16>, 4>;
      // #unroll
      for (var r = 0u; r < 4; r++) {
        block[r] = vec4<f16>(input_at(input_row(first_row + group * 4 + r), k / 4 + quad));
      }
      // #unroll
      for (var i = 0u; i < 4; i++) {
        input_tile[quad][i][group / LANE_GROUPS][group % LANE_GROUPS] = vec4<f16>(block[0][i], block[1][i], block[2][i], block[3][i]);
      }
    }
    // #unroll
    for (var i = 0u; i < WEIGHT_LOADS; i++) {
      let d = i * (LANES / TILE_QUADS) + own_k;
      weight_tile[d][own_quad / LANE_QUADS][own_quad % LANE_QUADS] = vec4<f16>(weight_at(weights, k + d));
    }
    workgroupBarrier();
    multiply(line, column, &sums);
  }

  // #unroll
  for (var r = 0u; r < LANE_ROWS; r++) {
    let row = first_row + line * LANE_ROWS + r;
    // #unroll
    for (var q = 0u; q < LANE_QUADS; q++) {
      let at = first_column + column * LANE_QUADS + q;
      if (row < params.rows && at < N_QUADS) { finish(row, at, sums[r * LANE_QUADS + q]); }
    }
  }
}
