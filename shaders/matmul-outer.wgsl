// output[m, n] = epilogue(sum over k of input[m, k] weight[n, k])
//
// A register-blocked GEMM for GPUs whose lanes have few registers: Intel's, Apple's, and those of phones.
// One workgroup computes ROWS x COLUMNS of the output from tiles of DEPTH k in workgroup memory; each invocation computes LANE_ROWS rows of
// one quad of columns, the rows strided over the tile in pairs, as outer products: at every k a column of rows by a quad of columns, so
// that little beside the sums is alive. The input is transposed on its way into workgroup memory, two rows by four k at a time. There is
// one buffer and no prefetch: other workgroups compute meanwhile, for which the registers are saved. Mesa's compiler for Intel's Xe, 8x4 an
// invocation: no spill at SIMD16, 32 multiply-adds a k beside 28 other instructions; for Apple's M1: 119 half registers, 832 threads.
// Needs (ROWS + COLUMNS) DEPTH elements of workgroup memory.
// #import storage
// #import rows
// #import weight

struct Params {
  rows: u32,                                                            // M
  k: u32,                                                               // K; no constant, or compilers write loops of few turns out
  depth: u32,                                                           // turns of the loop over a tile's k
}
@group(0) @binding(6) var<uniform> params: Params;
// #import finish

const TILE_QUADS = COLUMNS / 4;                                         // invocations side by side; each has one
const LANE_LINES = ROWS / LANE_ROWS;                                    // invocations below one another
const LANES = TILE_QUADS * LANE_LINES;
const DEPTH_QUADS = DEPTH / 4;

// each index that varies has a dimension of its own, so that one bounds check serves all constant ones
var<workgroup> input_tile: array<array<array<array<vec2f, LANE_LINES>, LANE_PAIRS>, 4>, DEPTH_QUADS>; // [quad of k][k][pair of rows][line]
var<workgroup> weight_tile: array<array<vec4f, TILE_QUADS>, DEPTH>;    // [k][quad of columns]

/// Adds the outer products of all k of the tiles in workgroup memory.
fn multiply(line: u32, column: u32, sums: ptr<function, array<vec4f, LANE_ROWS>>) {
// #import depth-count
  // #unroll
  for (var k = 0u; k < DEPTH_COUNT; k++) {
    let factor = weight_tile[k][column];
    // #unroll
    for (var p = 0u; p < LANE_PAIRS; p++) {
      let rows = input_tile[k / 4][k & 3][p][line];
      sums[p * 2] = fma(vec4f(rows.x), factor, sums[p * 2]);
      sums[p * 2 + 1] = fma(vec4f(rows.y), factor, sums[p * 2 + 1]);
    }
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_row = workgroup.y * ROWS;
  let line = lane / TILE_QUADS;
  let column = lane & (TILE_QUADS - 1);
  let weights = weight_column(workgroup.x * TILE_QUADS + column);

  var sums: array<vec4f, LANE_ROWS>;
  for (var k = 0u; k < params.k; k += DEPTH) {
    workgroupBarrier();                                                 // the tiles before are no longer read
    for (var slot = lane; slot < ROWS / 2 * DEPTH_QUADS; slot += LANES) {
      let pair = slot / DEPTH_QUADS;
      let quad = slot & (DEPTH_QUADS - 1);
      let upper = input_at(input_row(first_row + pair * 2), k / 4 + quad);
      let lower = input_at(input_row(first_row + pair * 2 + 1), k / 4 + quad);
      // #unroll
      for (var i = 0u; i < 4; i++) {
        input_tile[quad][i][pair / LANE_LINES][pair & (LANE_LINES - 1)] = vec2f(upper[i], lower[i]);
      }
    }
    // #unroll
    for (var i = 0u; i < WEIGHT_LOADS; i++) {
      weight_tile[i * LANE_LINES + line][column] = weight_at(weights, k + i * LANE_LINES + line);
    }
    workgroupBarrier();
    multiply(line, column, &sums);
  }

  let at = workgroup.x * TILE_QUADS + column;
  // #unroll
  for (var r = 0u; r < LANE_ROWS; r++) {
    let row = first_row + (r / 2 * LANE_LINES + line) * 2 + r % 2;
    if (row < params.rows && at < N_QUADS) { finish(row, at, sums[r]); }
  }
}
