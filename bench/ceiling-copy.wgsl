// Reads and writes of whole quads by neighbouring lanes: how fast this adapter's memory can be.

@group(0) @binding(0) var<storage, read> input: array<vec4f>;           // [quads]
@group(0) @binding(1) var<storage, read_write> output: array<vec4f>;    // [quads]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  let index = id.y * workgroups.x * 64 + id.x;
  output[index] = input[index] + vec4f(1);
}
