// Multiply-adds in registers and nothing else: how fast this adapter's arithmetic can be. Eight independent chains a lane hide
// latency; they are variables and no array, because not every compiler keeps an array in registers.

struct Params {
  turns: u32,
}
@group(0) @binding(0) var<storage, read_write> output: array<vec4f>;    // [lanes]
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  let lane = id.y * workgroups.x * 64 + id.x;
  let factor = vec4f(f32(lane) * 1e-9 + 0.5);
  let one = vec4f(1);
  var a = vec4f(f32(lane));
  var b = a + 1;
  var c = a + 2;
  var d = a + 3;
  var e = a + 4;
  var f = a + 5;
  var g = a + 6;
  var h = a + 7;
  for (var turn = 0u; turn < params.turns; turn++) {
    a = fma(a, factor, one);
    b = fma(b, factor, one);
    c = fma(c, factor, one);
    d = fma(d, factor, one);
    e = fma(e, factor, one);
    f = fma(f, factor, one);
    g = fma(g, factor, one);
    h = fma(h, factor, one);
  }
  output[lane] = a + b + c + d + e + f + g + h;
}
