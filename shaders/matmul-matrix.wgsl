// output[m, n] = epilogue(sum over k of input[m, k] weight[n, k])
//
// One workgroup computes SUBGROUPS_DOWN x SUBGROUPS_ACROSS pieces of the output, a subgroup each; a piece is DOWN x ACROSS matrices
// in registers. The input passes through workgroup memory, DEPTH of k at a time: while one tile is multiplied the next is on its way
// from memory, and the two tiles take turns, so that one barrier a turn is enough. Weights lie in memory as matrices and come from
// there, a step of k ahead. Sums leave through workgroup memory, since no lane may touch an element of a matrix.
// Needs subgroup matrices and subgroups of exactly LANES lanes.
// #import storage
// #import result
// #import left
// #import epilogue

struct Params {
  rows: u32,                                                            // M
  depth: u32,                                                           // K; no constant, or compilers write the loop out
}
@group(0) @binding(1) var<storage, read> weight: array<vec4u>;          // [N/16, K/16, 16, 16]
@group(0) @binding(2) var<storage, read_write> output: array<ResultQuad>; // [M, N]
@group(0) @binding(6) var<uniform> params: Params;

const INVOCATIONS = SUBGROUPS_DOWN * SUBGROUPS_ACROSS * LANES;
const TILE_ROWS = SUBGROUPS_DOWN * DOWN * MATRIX_M;
const DEPTH_CHUNKS = DEPTH / CHUNK;
const TILE_PITCH = DEPTH_CHUNKS + 1;                                    // odd, so that eight rows lie in different banks
const TILE = TILE_ROWS * TILE_PITCH;
const STRIP_QUADS = ACROSS * MATRIX_N / 4;
const STRIP_PITCH = STRIP_QUADS + 2;
const STRIP = MATRIX_M * STRIP_PITCH;                                   // one row of a subgroup's matrices, in f32
const BLOCK_COLUMN = 16 / CHUNK;                                        // chunks of a column of a block

var<workgroup> memory: array<vec4u, MEMORY>;                            // two tiles [TILE_ROWS, DEPTH], later a strip for each subgroup
alias LeftMemory = ptr<workgroup, array<vec4u, MEMORY>>;
alias RightMemory = ptr<storage, array<vec4u>, read>;
alias SumMemory = LeftMemory;
// #import matrix

/// Where the matrix of these columns begins in `weight`. Past N's padding that is the last panel: those columns are never stored.
fn weight_panel(column: u32) -> u32 {
  return min(column / 16, PANELS - 1) * K * BLOCK_COLUMN + column % 16 * BLOCK_COLUMN;
}

/// And how far from there a step of MATRIX_K lies: blocks hold 16 of k.
fn weight_step(step: u32) -> u32 {
  let k = step * MATRIX_K;
  return k / 16 * 16 * BLOCK_COLUMN + k % 16 / CHUNK;
}

@compute @workgroup_size(INVOCATIONS)
// #import subgroup
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) invocation: u32) {
  let subgroup = subgroupBroadcastFirst(invocation / LANES);
  let first_row = workgroup.y * TILE_ROWS;
  let tile_row = subgroup / SUBGROUPS_ACROSS * DOWN * MATRIX_M;
  let first_column = (workgroup.x * SUBGROUPS_ACROSS + subgroup % SUBGROUPS_ACROSS) * ACROSS * MATRIX_N;

  var staged: array<vec4u, STAGED>;
  // #unroll
  for (var i = 0u; i < STAGED; i++) {
    let slot = min(i * INVOCATIONS + invocation, TILE_ROWS * DEPTH_CHUNKS - 1);
    staged[i] = left_chunk(first_row + slot / DEPTH_CHUNKS, slot % DEPTH_CHUNKS);
  }
  var panels: array<u32, ACROSS>;
  // #unroll
  for (var j = 0u; j < ACROSS; j++) { panels[j] = weight_panel(first_column + j * MATRIX_N); }
  var sums: array<SumMatrix, DOWN * ACROSS>;

  for (var k = 0u; k < params.depth; k += DEPTH) {
    let tile = k / DEPTH % 2 * TILE;
    // #unroll
    for (var i = 0u; i < STAGED; i++) {
      let slot = min(i * INVOCATIONS + invocation, TILE_ROWS * DEPTH_CHUNKS - 1);
      memory[tile + slot / DEPTH_CHUNKS * TILE_PITCH + slot % DEPTH_CHUNKS] = staged[i];
    }
    var right: array<RightMatrix, ACROSS>;
    // #unroll
    for (var j = 0u; j < ACROSS; j++) { right[j] = load_right(&weight, panels[j] + k * BLOCK_COLUMN, BLOCK_COLUMN); }
    workgroupBarrier();
    // #unroll
    for (var i = 0u; i < STAGED; i++) {
      let slot = min(i * INVOCATIONS + invocation, TILE_ROWS * DEPTH_CHUNKS - 1);
      staged[i] = left_chunk(first_row + slot / DEPTH_CHUNKS, (k + DEPTH) / CHUNK + slot % DEPTH_CHUNKS);
    }
    // #unroll
    for (var step = 0u; step < STEPS; step++) {
      var left: array<LeftMatrix, DOWN>;
      // #unroll
      for (var i = 0u; i < DOWN; i++) {
        left[i] = load_left(&memory, tile + (tile_row + i * MATRIX_M) * TILE_PITCH + step * MATRIX_K / CHUNK, TILE_PITCH);
      }
      // #unroll
      for (var j = 0u; j < ACROSS; j++) {
        if (step > 0) { right[j] = load_right(&weight, panels[j] + k * BLOCK_COLUMN + weight_step(step), BLOCK_COLUMN); }
        // #unroll
        for (var i = 0u; i < DOWN; i++) {
          sums[i * ACROSS + j] = multiply(left[i], right[j], sums[i * ACROSS + j]);
        }
      }
    }
  }

  let own_strip = subgroup * STRIP;
  // #unroll
  for (var i = 0u; i < DOWN; i++) {
    workgroupBarrier();                                                 // the tiles, or the strip before, are no longer read
    // #unroll
    for (var j = 0u; j < ACROSS; j++) {
      store_sum(&memory, own_strip + j * MATRIX_N / 4, sums[i * ACROSS + j], STRIP_PITCH);
    }
    workgroupBarrier();
    for (var slot = invocation % LANES; slot < MATRIX_M * STRIP_QUADS; slot += LANES) {
      let row = first_row + tile_row + i * MATRIX_M + slot / STRIP_QUADS;
      let column = first_column / 4 + slot % STRIP_QUADS;
      if (row < params.rows && column < N_QUADS) {
        let chunk = own_strip + slot / STRIP_QUADS * STRIP_PITCH + slot % STRIP_QUADS;
        finish(row, column, bitcast<vec4f>(memory[chunk]));
      }
    }
  }
}
