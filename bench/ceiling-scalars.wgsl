// Multiply-adds in registers and nothing else: how fast this adapter's arithmetic can be. Ten independent chains a lane hide the
// latency of an fma and still fit into sixteen registers; they are scalars, because a compiler that spreads lanes over a vector
// register takes four registers for a vec4f. The loop is written out, because some compilers store every variable at its end.

struct Params {
  turns: u32,
}
@group(0) @binding(0) var<storage, read_write> output: array<f32>;      // [lanes]
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  let lane = id.y * workgroups.x * 64 + id.x;
  let factor = f32(lane) * 1e-9 + 0.5;
  var a = f32(lane);
  var b = a + 1;
  var c = a + 2;
  var d = a + 3;
  var e = a + 4;
  var f = a + 5;
  var g = a + 6;
  var h = a + 7;
  var i = a + 8;
  var j = a + 9;
  for (var turn = 0u; turn < params.turns; turn++) {
    // #unroll
    for (var step = 0; step < 32; step++) {
      a = fma(a, factor, 1);
      b = fma(b, factor, 1);
      c = fma(c, factor, 1);
      d = fma(d, factor, 1);
      e = fma(e, factor, 1);
      f = fma(f, factor, 1);
      g = fma(g, factor, 1);
      h = fma(h, factor, 1);
      i = fma(i, factor, 1);
      j = fma(j, factor, 1);
    }
  }
  output[lane] = a + b + c + d + e + f + g + h + i + j;
}
