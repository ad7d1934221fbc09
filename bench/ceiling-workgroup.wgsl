// Reads of chunks of 16 bytes out of workgroup memory, as the loads of subgroup matrices take them: neighbouring lanes read one chunk
// of neighbouring rows. Rows are PITCH chunks apart, of which four hold data: with a pitch of four, rows two apart lie in the same banks; with
// one of five, eight rows lie in different ones.

const size = 256u;
const rows = 64u;

struct Params {
  turns: u32,
  step: u32,                                                            // rows from turn to turn; no constant, or loads are taken out of the loop
}
@group(0) @binding(0) var<storage, read_write> output: array<f32>;      // [lanes]
@group(0) @binding(1) var<uniform> params: Params;

var<workgroup> memory: array<vec4f, ROWS_PITCH>;                        // [64, PITCH]

@compute @workgroup_size(size)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var i = lane; i < rows * PITCH; i += size) { memory[i] = vec4f(f32(i)); }
  workgroupBarrier();
  var row = lane;
  var a = vec4f(0);
  var b = vec4f(0);
  for (var turn = 0u; turn < params.turns; turn++) {
    // #unroll
    for (var block = 0u; block < 4; block++) {
      let start = (row + 8 * block) % rows * PITCH;
      a += memory[start];
      b += memory[start + 1];
      a += memory[start + 2];
      b += memory[start + 3];
    }
    row += params.step;
  }
  let sum = a + b;
  output[(workgroup.x + workgroup.y * workgroups.x) * size + lane] = sum.x + sum.y + sum.z + sum.w;
}
