// output[m, n] = epilogue(sum over k of input[m, k] weight[n, k])
//
// One workgroup computes 64 x 64 of the output from tiles of 16 k in workgroup memory; each of its 64 invocations computes 8 x 8, as
// two blocks of four rows by two quads of columns, 32 apart, so that neighbours read neighbouring quads of a tile.
// Needs no feature and 8 KiB of workgroup memory.
// #import storage
// #import result
// #import rows
// #import weight
// #import epilogue

struct Params {
  rows: u32,                                                            // M
}
@group(0) @binding(2) var<storage, read_write> output: array<ResultQuad>; // [M, N]
@group(0) @binding(6) var<uniform> params: Params;

const TILE = 64u;
const TILE_QUADS = TILE / 4;
const DEPTH = 16u;

var<workgroup> input_tile: array<vec4f, DEPTH * TILE_QUADS>;            // [k][quad of rows]
var<workgroup> weight_tile: array<vec4f, DEPTH * TILE_QUADS>;           // [k][quad of columns]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_row = workgroup.y * TILE;
  let first_column = workgroup.x * TILE_QUADS;
  let tile_row = lane / 8;                                              // this invocation's quad of rows, and the one 32 rows below
  let tile_column = lane % 8;
  var sums: array<vec4f, 16>;                                           // [row 0..7][column quad 0..1]

  for (var k = 0u; k < K; k += DEPTH) {
    // four rows by four k, transposed on the way into the tile
    let quad_of_rows = lane % TILE_QUADS;
    let quad_of_k = lane / TILE_QUADS;
    let row = first_row + quad_of_rows * 4;
    let block = transpose(mat4x4f(
      input_quad(row, k / 4 + quad_of_k), input_quad(row + 1, k / 4 + quad_of_k),
      input_quad(row + 2, k / 4 + quad_of_k), input_quad(row + 3, k / 4 + quad_of_k)));
    // #unroll
    for (var i = 0u; i < 4; i++) {
      input_tile[(quad_of_k * 4 + i) * TILE_QUADS + quad_of_rows] = block[i];
      let slot = i * 64 + lane;
      weight_tile[slot] = weight_quad(k + slot / TILE_QUADS, first_column + slot % TILE_QUADS);
    }
    workgroupBarrier();
    for (var d = 0u; d < DEPTH; d++) {
      let upper = input_tile[d * TILE_QUADS + tile_row];
      let lower = input_tile[d * TILE_QUADS + tile_row + 8];
      let left = weight_tile[d * TILE_QUADS + tile_column];
      let right = weight_tile[d * TILE_QUADS + tile_column + 8];
      // #unroll
      for (var i = 0u; i < 4; i++) {
        sums[i * 2] = fma(vec4f(upper[i]), left, sums[i * 2]);
        sums[i * 2 + 1] = fma(vec4f(upper[i]), right, sums[i * 2 + 1]);
        sums[8 + i * 2] = fma(vec4f(lower[i]), left, sums[8 + i * 2]);
        sums[9 + i * 2] = fma(vec4f(lower[i]), right, sums[9 + i * 2]);
      }
    }
    workgroupBarrier();
  }

  // #unroll
  for (var i = 0u; i < 16; i++) {
    let row = first_row + i / 8 * 32 + tile_row * 4 + i / 2 % 4;
    let column = first_column + i % 2 * 8 + tile_column;
    if (row < params.rows && column < N_QUADS) { finish(row, column, sums[i]); }
  }
}
