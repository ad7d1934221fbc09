// output = left + right
//
// One invocation = one quad.
// #import storage

struct Params {
  count: u32,                                                           // quads
}
@group(0) @binding(0) var<storage, read> left: array<Quad>;             // [...]
@group(0) @binding(1) var<storage, read> right: array<Quad>;            // [...]
@group(0) @binding(2) var<storage, read_write> output: array<Quad>;     // [...]
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (workgroup.y * workgroups.x + workgroup.x) * 64 + lane;
  if (index < params.count) { output[index] = store_quad(load_quad(left[index]) + load_quad(right[index])); }
}
