// Reads and writes of whole quads by neighbouring lanes: how fast this adapter's memory can be. Four reads a lane are under way
// before the first write.

const size = 256u;

@group(0) @binding(0) var<storage, read> input: array<vec4f>;           // [quads]
@group(0) @binding(1) var<storage, read_write> output: array<vec4f>;    // [quads]

@compute @workgroup_size(size)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (workgroup.x + workgroup.y * workgroups.x) * 4 * size + lane;
  let a = input[first];
  let b = input[first + size];
  let c = input[first + 2 * size];
  let d = input[first + 3 * size];
  output[first] = a + 1;
  output[first + size] = b + 1;
  output[first + 2 * size] = c + 1;
  output[first + 3 * size] = d + 1;
}
