// output[v, t, y, x, c] = mean over (i, j, k) of input[v, t + i, y + j, x + k, c], over a window of KT x KH x KW
//
// One workgroup = 16 quads of channels of one window, which its LINES lines of 16 invocations share; their sums meet in workgroup
// memory. Needs no feature and 4 KiB of workgroup memory.
// #import storage
// #import result

struct Params {
  window: u32,                                                          // KT KH KW
  places: u32,                                                          // V OUT_T OUT_HEIGHT OUT_WIDTH
}
@group(0) @binding(0) var<storage, read> input: array<Quad>;            // [V, T, H, W, C]
@group(0) @binding(1) var<storage, read_write> output: array<ResultQuad>; // [V, OUT_T, OUT_HEIGHT, OUT_WIDTH, C]
@group(0) @binding(2) var<uniform> params: Params;

const LINES = 16u;

var<workgroup> partial: array<array<vec4f, 16>, LINES>;                 // [line][quad]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let place = min(workgroup.z * workgroups.y + workgroup.y, params.places - 1);
  let quad = workgroup.x * 16 + lane % 16;
  let known = min(quad, QUADS - 1);
  let x = place % OUT_WIDTH;
  let y = place / OUT_WIDTH % OUT_HEIGHT;
  let t = place / (OUT_WIDTH * OUT_HEIGHT) % OUT_T;
  let video = place / (OUT_WIDTH * OUT_HEIGHT * OUT_T);
  var sum = vec4f(0);
  for (var i = lane / 16; i < params.window; i += LINES) {
    let frame = video * T + t + i / (KH * KW);
    let row = (frame * HEIGHT + y + i / KW % KH) * WIDTH + x + i % KW;
    sum += load_quad(input[row * QUADS + known]);
  }
  partial[lane / 16][lane % 16] = sum;
  workgroupBarrier();
  if (lane >= 16 || quad >= QUADS) { return; }
  var total = vec4f(0);
  // #unroll
  for (var i = 0u; i < 16; i++) { total += partial[i][lane]; }
  output[place * QUADS + quad] = store_result(total / f32(params.window));
}
