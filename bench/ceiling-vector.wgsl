// The same as ceiling-scalars.wgsl with one vec4f: what a compiler of few registers does best, and hardware with vector lanes.

struct Params {
  turns: u32,
}
@group(0) @binding(0) var<storage, read_write> output: array<f32>;      // [lanes]
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  let lane = id.y * workgroups.x * 64 + id.x;
  let factor = vec4f(f32(lane) * 1e-9 + 0.5);
  let one = vec4f(1);
  var chains = vec4f(0, 1, 2, 3) + f32(lane);
  for (var turn = 0u; turn < params.turns; turn++) {
    // #unroll
    for (var step = 0; step < 80; step++) {
      chains = fma(chains, factor, one);
    }
  }
  output[lane] = chains.x + chains.y + chains.z + chains.w;
}
