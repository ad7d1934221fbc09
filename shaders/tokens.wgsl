// output[b, t] = positions[t] + (t == 0 ? class_token : input[b, t - 1])
//
// One invocation = one quad.
// #import storage

struct Params {
  count: u32,                                                           // quads of the output
}
@group(0) @binding(0) var<storage, read> input: array<Quad>;            // [B, T - 1, C]
@group(0) @binding(1) var<storage, read> class_token: array<vec4f>;     // [C]
@group(0) @binding(2) var<storage, read> positions: array<vec4f>;       // [T, C]
@group(0) @binding(3) var<storage, read_write> output: array<Quad>;     // [B, T, C]
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (workgroup.y * workgroups.x + workgroup.x) * 64 + lane;
  if (index >= params.count) { return; }
  let column = index % QUADS;
  let token = index / QUADS % TOKENS;
  let sequence = index / QUADS / TOKENS;
  var value = class_token[column];
  if (token > 0) { value = load_quad(input[(sequence * (TOKENS - 1) + token - 1) * QUADS + column]); }
  output[index] = store_quad(value + positions[token * QUADS + column]);
}
