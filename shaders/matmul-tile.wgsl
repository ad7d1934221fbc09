// output[m, n] = epilogue(sum over k of input[m, k] weight[n, k])
//
// A register-blocked, double-buffered GEMM, as CUTLASS has it for devices without tensor cores, for those without subgroup matrices.
// One workgroup computes ROWS x COLUMNS of the output from tiles of 8 k in workgroup memory; each invocation computes LANE_ROWS rows
// of two quads of columns, both strided over the tile, so that neighbours read and write neighbouring quads:
//
//            | q0  q1  q2 ..          | q0  q1  q2 ..          |   q0: four columns of the invocations of the first column
//   row 0    | lane 0: sums[0]        | lane 0: sums[1]        |
//   row L    | lane 0: sums[2]        | lane 0: sums[3]        |   L = LANE_LINES rows further down
//
// While it multiplies one tile, the next is on its way from memory into registers and from there into the second buffer: one barrier a
// tile. Mesa's compiler for RDNA2, 64x64: 120 registers, 8 waves, 512 multiply-adds a turn beside 20 other instructions.
// Needs no feature and 64 (ROWS + COLUMNS) bytes of workgroup memory. Indices that vary inside the loop are constants and those that
// are not constant do not vary, so that the bounds checks of WGSL leave the loop.
// #import storage
// #import rows
// #import weight

struct Params {
  rows: u32,                                                            // M
}
@group(0) @binding(6) var<uniform> params: Params;
// #import finish

const DEPTH = 8u;
const LANE_COLUMNS = COLUMNS / 8;                                       // invocations side by side; each has two quads
const LANE_LINES = ROWS / LANE_ROWS;                                    // invocations below one another
const LANES = LANE_COLUMNS * LANE_LINES;

var<workgroup> input_tiles: array<array<array<array<vec4f, 2>, LANE_LINES>, LANE_ROWS>, 2>; // [buffer][row][line][quad of k]
var<workgroup> weight_tiles: array<array<array<array<vec4f, LANE_COLUMNS>, 2>, DEPTH>, 2>;  // [buffer][k][quad][column]

fn carry_input(buffer: u32, slot: u32, value: vec4f) {
  let row = slot / 2;
  input_tiles[buffer][row / LANE_LINES][row % LANE_LINES][slot % 2] = value;
}

fn carry_weight(buffer: u32, slot: u32, value: vec4f) {
  let column = slot % (COLUMNS / 4);
  weight_tiles[buffer][slot / (COLUMNS / 4)][column / LANE_COLUMNS][column % LANE_COLUMNS] = value;
}

/// Adds the products of quad `q` of k, 0 or 1, of the tile in a buffer.
fn multiply(buffer: u32, q: u32, line: u32, column: u32, sums: ptr<function, array<vec4f, LANE_ROWS * 2>>) {
  var factors: array<vec4f, 8>;                                         // [k][quad]
  // #unroll
  for (var d = 0u; d < 4; d++) {
    factors[d * 2] = weight_tiles[buffer][q * 4 + d][0][column];
    factors[d * 2 + 1] = weight_tiles[buffer][q * 4 + d][1][column];
  }
  // #unroll
  for (var r = 0u; r < LANE_ROWS; r++) {
    let row = input_tiles[buffer][r][line][q];
    // #unroll
    for (var d = 0u; d < 4; d++) {
      sums[r * 2] = fma(vec4f(row[d]), factors[d * 2], sums[r * 2]);
      sums[r * 2 + 1] = fma(vec4f(row[d]), factors[d * 2 + 1], sums[r * 2 + 1]);
    }
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_row = workgroup.y * ROWS;
  let first_column = workgroup.x * (COLUMNS / 4);
  let line = lane / LANE_COLUMNS;
  let column = lane % LANE_COLUMNS;

  // what this invocation carries into each tile: INPUT_LOADS quads of k of rows, WEIGHT_LOADS quads of columns
  var starts: array<u32, INPUT_LOADS>;
  // #unroll
  for (var i = 0u; i < INPUT_LOADS; i++) {
    let slot = i * LANES + lane;
    starts[i] = input_row(first_row + slot / 2);
    carry_input(0, slot, input_at(starts[i], slot % 2));
  }
  // #unroll
  for (var i = 0u; i < WEIGHT_LOADS; i++) {
    let slot = i * LANES + lane;
    carry_weight(0, slot, weight_quad(slot / (COLUMNS / 4), first_column + slot % (COLUMNS / 4)));
  }
  workgroupBarrier();

  var sums: array<vec4f, LANE_ROWS * 2>;                                // [row][quad]
  for (var k = 0u; k < K; k += 2 * DEPTH) {
    // #unroll
    for (var buffer = 0u; buffer < 2; buffer++) {
      let next = min(k + (buffer + 1) * DEPTH, K - DEPTH);              // the last tile is carried again, in vain
      // the other buffer was read in the turn before, which a barrier has ended; half a turn each for input and weight keeps
      // few registers waiting for memory
      var carried_input: array<vec4f, INPUT_LOADS>;
      // #unroll
      for (var i = 0u; i < INPUT_LOADS; i++) {
        carried_input[i] = input_at(starts[i], next / 4 + lane % 2);
      }
      multiply(buffer, 0, line, column, &sums);
      // #unroll
      for (var i = 0u; i < INPUT_LOADS; i++) { carry_input(1 - buffer, i * LANES + lane, carried_input[i]); }

      var carried_weight: array<vec4f, WEIGHT_LOADS>;
      // #unroll
      for (var i = 0u; i < WEIGHT_LOADS; i++) {
        let slot = i * LANES + lane;
        carried_weight[i] = weight_quad(next + slot / (COLUMNS / 4), first_column + slot % (COLUMNS / 4));
      }
      multiply(buffer, 1, line, column, &sums);
      // #unroll
      for (var i = 0u; i < WEIGHT_LOADS; i++) { carry_weight(1 - buffer, i * LANES + lane, carried_weight[i]); }
      workgroupBarrier();
    }
  }

  // #unroll
  for (var r = 0u; r < LANE_ROWS; r++) {
    let row = first_row + r * LANE_LINES + line;
    let left = first_column + column;
    let right = left + LANE_COLUMNS;
    if (row < params.rows && left < N_QUADS) { finish(row, left, sums[r * 2]); }
    if (row < params.rows && right < N_QUADS) { finish(row, right, sums[r * 2 + 1]); }
  }
}
