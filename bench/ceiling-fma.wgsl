// Multiply-adds in registers and nothing else: how fast this adapter's arithmetic can be. Eight independent chains a lane hide latency.

struct Params {
  turns: u32,
}
@group(0) @binding(0) var<storage, read_write> output: array<vec4f>;    // [lanes]
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let factor = vec4f(f32(id.x) * 1e-9 + 0.5);
  var sums: array<vec4f, 8>;
  // #unroll
  for (var i = 0u; i < 8; i++) { sums[i] = vec4f(f32(id.x + i)); }
  for (var turn = 0u; turn < params.turns; turn++) {
    // #unroll
    for (var i = 0u; i < 8; i++) { sums[i] = fma(sums[i], factor, vec4f(1)); }
  }
  var sum = vec4f(0);
  // #unroll
  for (var i = 0u; i < 8; i++) { sum += sums[i]; }
  output[id.x] = sum;
}
