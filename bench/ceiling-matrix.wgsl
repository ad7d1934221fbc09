// Subgroup matrices multiplied in registers and nothing else: how fast this adapter's matrix units can be. DOWN x ACROSS sums are
// independent of each other, which hides how long one multiplication takes; each is of another pair of matrices, or a compiler would make
// one of them. In the end every sum leaves a number, so that none is left out. A workgroup is one subgroup of exactly LANES lanes.
// #import component

struct Params {
  turns: u32,
}
@group(0) @binding(0) var<storage, read_write> output: array<f32>;      // [workgroups * LANES]
@group(0) @binding(1) var<uniform> params: Params;

alias LeftMatrix = subgroup_matrix_left<Component, MATRIX_K, MATRIX_M>;
alias RightMatrix = subgroup_matrix_right<Component, MATRIX_N, MATRIX_K>;
alias SumMatrix = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;

const PITCH = MATRIX_K / CHUNK;
const LEFT = MATRIX_M * PITCH;
const RIGHT = MATRIX_N * PITCH;
const SUM_PITCH = MATRIX_N / 4;
const SUM = MATRIX_M * SUM_PITCH;

var<workgroup> memory: array<vec4u, MEMORY>;                            // left matrices, right matrices; later a sum

@compute @workgroup_size(LANES)
// #import subgroup
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  // numbers without an order in 0.5..1
  for (var i = lane; i < MEMORY; i += LANES) {
    let noise = (vec4u(0, 1, 2, 3) + 4 * i) * 2654435761u;
    memory[i] = (noise & vec4u(FRACTION)) | vec4u(HALF);
  }
  workgroupBarrier();
  var left: array<LeftMatrix, DOWN>;
  // #unroll
  for (var i = 0u; i < DOWN; i++) { left[i] = subgroupMatrixLoad<LeftMatrix, row_major>(&memory, i * LEFT, PITCH); }
  var right: array<RightMatrix, ACROSS>;
  // #unroll
  for (var j = 0u; j < ACROSS; j++) {
    right[j] = subgroupMatrixLoad<RightMatrix, col_major>(&memory, DOWN * LEFT + j * RIGHT, PITCH);
  }
  var sums: array<SumMatrix, DOWN * ACROSS>;
  for (var turn = 0u; turn < params.turns; turn++) {
    // #unroll
    for (var j = 0u; j < ACROSS; j++) {
      // #unroll
      for (var i = 0u; i < DOWN; i++) {
        sums[i * ACROSS + j] = subgroupMatrixMultiplyAccumulate(left[i], right[j], sums[i * ACROSS + j]);
      }
    }
  }
  var total = vec4f(0);
  // #unroll
  for (var i = 0u; i < DOWN; i++) {
    // #unroll
    for (var j = 0u; j < ACROSS; j++) {
      workgroupBarrier();
      subgroupMatrixStore<row_major>(&memory, 0, sums[i * ACROSS + j], SUM_PITCH);
      workgroupBarrier();
      total += bitcast<vec4f>(memory[lane % SUM]);
    }
  }
  output[(workgroup.x + workgroup.y * workgroups.x) * LANES + lane] = total.x + total.y + total.z + total.w;
}
