// output[m, n] = epilogue(sum over k of input[m, k] weight[n, k])
//
// A register-blocked GEMM on subgroup matrices. One workgroup computes a tile of the output, TILE_ROWS x TILE_COLUMNS; each of its
// subgroups a piece of DOWN x ACROSS matrices, whose sums stay in registers (here: 2 x 2 subgroups of 4 x 4 matrices of 16 x 16):
//
//            | columns: subgroup 0      | subgroup 1       |       workgroup memory, a region:
//   rows of  | sums[0]  sums[1] ..  [3] |                  |         row 0   | c0 c1 c2 c3 -- |  chunks of 16 bytes: CHUNK
//   subgroup | sums[4]  ..              |                  |         row 1   | c0 c1 c2 c3 -- |  neighbours in k; the row is
//   0, 1     | ..              sums[15] |                  |          ..                         one chunk longer than DEPTH
//   ---------+--------------------------+------------------|
//   2, 3     |                          |                  |
//
// Both operands are staged: DEPTH of k of all rows and all columns lie in workgroup memory, k-contiguous, while the next PREFETCH DEPTHs
// are on their way from memory into registers (software pipelining; there is no asynchronous copy in WGSL). With one buffer a turn has two
// barriers and half the memory, with two buffers one barrier. Of a step of MATRIX_K the fragments of the left operand are held, those
// of the right one walked, so that few are alive. WEIGHTS_STAGED = 0 reads the weights' fragments straight from memory instead.
//
// Three things decide its speed beside the tile. Rows are an odd number of chunks apart, so that the eight rows that a matrix load reads
// at once lie in different banks. And each fragment is loaded at a constant offset, with a constant stride, from an array of constant
// length (a region), which WGSL's bounds checks can judge at compile time: of an offset or a stride that is computed the compiler makes
// selects, and of one 16-byte load four of four bytes. So the only index that varies is that of a subgroup's regions, before the loop.
// And what eight neighbours load lies in one or two lines of memory: with four, a quarter of the time on an H200 was the loads'.
//
// The tile is that of CUTLASS's and jeffbolznv/vk_cooperative_matrix_perf's kernels: register blocking, padding, prefetch. matmul-tile
// is for devices without matrices, matmul-row for a handful of rows, which would leave most of a matrix empty.
// An H200 reaches 253 TFLOP/s with 128x128 by 4 subgroups, 547 without staging, 598 in registers (bench/README.md).
// Mesa's compiler for RDNA3, 128x128 by 4 subgroups: 32 multiplications, 48 loads and stores, 76 other instructions a turn.
// Needs subgroup matrices and subgroups of exactly LANES invocations.
// #import storage
// #import left

struct Params {
  rows: u32,                                                            // M
  depth: u32,                                                           // K of one workgroup; no constant, or compilers write the loop out
}
@group(0) @binding(1) var<storage, read> weight: array<vec4u>;          // [N/16, K/16, 16, 16]
@group(0) @binding(6) var<uniform> params: Params;

const INVOCATIONS = SUBGROUPS_DOWN * SUBGROUPS_ACROSS * LANES;
const PIECE_ROWS = DOWN * MATRIX_M;
const PIECE_COLUMNS = ACROSS * MATRIX_N;
const TILE_ROWS = SUBGROUPS_DOWN * PIECE_ROWS;
const TILE_COLUMNS = SUBGROUPS_ACROSS * PIECE_COLUMNS;
const DEPTH = DEPTH_CHUNKS * CHUNK;
const TILE_PITCH = DEPTH_CHUNKS + 1;
const STEP_ROWS = INVOCATIONS / DEPTH_CHUNKS;                           // rows of which all invocations together carry one chunk each
const REGION = REGION_ROWS * TILE_PITCH;
const RIGHT = TILE_ROWS / REGION_ROWS;                                  // the right operand's first region
const REGIONS = (TILE_ROWS + WEIGHTS_STAGED * TILE_COLUMNS) / REGION_ROWS;
const BLOCK_COLUMN = 16 / CHUNK;                                        // chunks of a column of a block of weights
const STRIP_PAIRS = STRIP * MATRIX_N / 8;                               // of quads, of a row of sums on their way out
const STRIP_PITCH = STRIP_PAIRS * 2 + 1;
const STRIP_ROWS = LANES / STRIP_PAIRS;                                 // of which all lanes of a subgroup finish one pair each

alias Region = array<vec4u, REGION>;                                    // REGION_ROWS rows of the left operand, or columns of the right
var<workgroup> memory: array<array<Region, REGIONS>, BUFFERS>;
// #import matrix
// #import finish

/// Where column's chunk of a block begins in `weight`. Past N's padding that is the last panel: those columns are never stored.
fn weight_start(column: u32, chunk: u32) -> u32 {
  return min(column / 16, PANELS - 1) * K * BLOCK_COLUMN + column % 16 * BLOCK_COLUMN
    + chunk / BLOCK_COLUMN * 16 * BLOCK_COLUMN + chunk % BLOCK_COLUMN;
}

/// Which tile a workgroup computes: [column, row]. Tiles follow each other down groups of eight, so that those which run at the same
/// time share their weights, and a few columns' rows, in the GPU's cache.
fn tile_of(workgroup: vec3u, workgroups: vec3u) -> vec2u {
  let index = workgroup.y * workgroups.x + workgroup.x;
  let first = index / (8 * workgroups.x) * 8;
  let height = min(8, workgroups.y - first);
  let within = index % (8 * workgroups.x);
  return vec2u(within / height, first + within % height);
}

@compute @workgroup_size(INVOCATIONS)
// #import subgroup
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) invocation: u32,
) {
  let tile = tile_of(workgroup, workgroups);
  let first_row = tile.y * TILE_ROWS;
  let first_column = tile.x * TILE_COLUMNS;
  let subgroup = subgroupBroadcastFirst(invocation / LANES);
  let down = subgroup / SUBGROUPS_ACROSS;
  let across = subgroup % SUBGROUPS_ACROSS;

  // What this invocation carries: a chunk of a row, and of each STEP_ROWS-th row after it. What eight neighbours load at once should lie
  // in few lines of memory, and go to different banks of workgroup memory. So they take whole rows of the left operand, DEPTH_CHUNKS
  // rows apart, and of the weights, where two chunks of a column lie together, those of every other column.
  let left_chunk = invocation % DEPTH_CHUNKS;
  let eighth = invocation / (8 * DEPTH_CHUNKS) * 8 + invocation % (8 * DEPTH_CHUNKS) / 8 + invocation % 8 / DEPTH_CHUNKS * DEPTH_CHUNKS;
  let left_row = select(eighth, invocation / DEPTH_CHUNKS, CARRIERS == 1) % TILE_ROWS; // a low tile is carried by several
  let left_slot = left_row % REGION_ROWS * TILE_PITCH + left_chunk;
  let right_chunk = invocation % 2 + invocation / (2 * CARRIERS) % (DEPTH_CHUNKS / 2) * 2;
  let line = invocation / (CARRIERS * DEPTH_CHUNKS);
  let right_row = line / 2 * 2 * CARRIERS + invocation / 2 % CARRIERS * 2 + line % 2;
  let right_slot = right_row % REGION_ROWS * TILE_PITCH + right_chunk;
  let first_k = workgroup.z * params.depth;

  var left_starts: array<u32, LEFT_STEPS>;
  var next_left: array<vec4u, PREFETCH * LEFT_STEPS>;
  // #unroll
  for (var i = 0u; i < LEFT_STEPS; i++) {
    left_starts[i] = left_start(first_row + i * STEP_ROWS + left_row);
    let value = left_at(left_starts[i], first_k / CHUNK + left_chunk);
    memory[0][i * STEP_ROWS / REGION_ROWS + left_row / REGION_ROWS][i * STEP_ROWS % REGION_ROWS * TILE_PITCH + left_slot] = value;
  }
  var right_starts: array<u32, RIGHT_STEPS + 1>;
  var next_right: array<vec4u, PREFETCH * RIGHT_STEPS + 1>;
  // #unroll
  for (var i = 0u; i < RIGHT_STEPS; i++) {
    right_starts[i] = weight_start(first_column + i * STEP_ROWS + right_row, right_chunk);
    let value = weight[right_starts[i] + first_k * BLOCK_COLUMN];
    memory[0][RIGHT + i * STEP_ROWS / REGION_ROWS + right_row / REGION_ROWS][i * STEP_ROWS % REGION_ROWS * TILE_PITCH + right_slot] = value;
  }
  // #unroll
  for (var i = 0u; i < LEFT_AHEAD; i++) { next_left[i] = left_at(left_starts[i], (first_k + min(DEPTH, params.depth - DEPTH)) / CHUNK + left_chunk); }
  // #unroll
  for (var i = 0u; i < RIGHT_AHEAD; i++) { next_right[i] = weight[right_starts[i] + (first_k + min(DEPTH, params.depth - DEPTH)) * BLOCK_COLUMN]; }
  workgroupBarrier();

  var sums: array<SumMatrix, DOWN * ACROSS>;
  for (var k = 0u; k < params.depth; k += DEPTH) {
    let buffer = k / DEPTH % BUFFERS;
    let next_buffer = (k / DEPTH + 1) % BUFFERS;
    let next = first_k + min(k + PREFETCH * DEPTH, params.depth - DEPTH); // the last turns carry the last tile again, in vain
    // #unroll
    for (var i = 0u; i < LEFT_STEPS; i++) { next_left[LEFT_AHEAD + i] = left_at(left_starts[i], next / CHUNK + left_chunk); }
    // #unroll
    for (var i = 0u; i < RIGHT_STEPS; i++) { next_right[RIGHT_AHEAD + i] = weight[right_starts[i] + next * BLOCK_COLUMN]; }
    // #unroll
    for (var step = 0u; step < STEPS; step++) {
      var left: array<LeftMatrix, DOWN>;
      // #unroll
      for (var i = 0u; i < DOWN; i++) {
        left[i] = subgroupMatrixLoad<LeftMatrix, row_major>(
          &memory[buffer][down * (PIECE_ROWS / REGION_ROWS) + i * MATRIX_M / REGION_ROWS],
          i * MATRIX_M % REGION_ROWS * TILE_PITCH + step * MATRIX_K / CHUNK, TILE_PITCH);
      }
      // #unroll
      for (var j = 0u; j < ACROSS; j++) {
// #import right
        // #unroll
        for (var i = 0u; i < DOWN; i++) {
          sums[i * ACROSS + j] = subgroupMatrixMultiplyAccumulate(left[i], right, sums[i * ACROSS + j]);
        }
      }
    }
    if (BUFFERS == 1) { workgroupBarrier(); }                           // nobody reads the buffer any more
    // #unroll
    for (var i = 0u; i < LEFT_STEPS; i++) {
      memory[next_buffer][i * STEP_ROWS / REGION_ROWS + left_row / REGION_ROWS][i * STEP_ROWS % REGION_ROWS * TILE_PITCH + left_slot] = next_left[i];
    }
    // #unroll
    for (var i = 0u; i < RIGHT_STEPS; i++) {
      memory[next_buffer][RIGHT + i * STEP_ROWS / REGION_ROWS + right_row / REGION_ROWS][i * STEP_ROWS % REGION_ROWS * TILE_PITCH + right_slot] = next_right[i];
    }
    workgroupBarrier();
    // #unroll
    for (var i = 0u; i < LEFT_AHEAD; i++) { next_left[i] = next_left[i + LEFT_STEPS]; }
    // #unroll
    for (var i = 0u; i < RIGHT_AHEAD; i++) { next_right[i] = next_right[i + RIGHT_STEPS]; }
  }
// #import sums
}
