// Multiply-adds of f16 in registers, as ceiling-scalars.wgsl does them in f32. `Numbers` are what a lane takes at a time: two, which
// hardware packs into one register, or four.
// #import numbers

struct Params {
  turns: u32,
}
@group(0) @binding(0) var<storage, read_write> output: array<f32>;      // [lanes]
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  let lane = id.y * workgroups.x * 64 + id.x;
  let factor = Numbers(f16(lane % 64) * 1e-3h + 0.5h);
  let one = Numbers(1);
  var a = Numbers(f16(lane % 64));
  var b = a + 1;
  var c = a + 2;
  var d = a + 3;
  var e = a + 4;
  var f = a + 5;
  var g = a + 6;
  var h = a + 7;
  for (var turn = 0u; turn < params.turns; turn++) {
    // #unroll
    for (var step = 0; step < 16; step++) {
      a = fma(a, factor, one);
      b = fma(b, factor, one);
      c = fma(c, factor, one);
      d = fma(d, factor, one);
      e = fma(e, factor, one);
      f = fma(f, factor, one);
      g = fma(g, factor, one);
      h = fma(h, factor, one);
    }
  }
  output[lane] = f32(dot(a + b + c + d + e + f + g + h, one));
}
