// output[f, c, y, x] = levels[clip((2^21 + sum over i of input[f, start[y] + i, x].c * weight[y, i]) >> 22)]
//
// The second half of Pillow's bilinear resize: along columns, in integers, rounded to bytes, which become floats by a table: WGSL's
// division is not exact to the last bit. One invocation = four pixels side by side. A row of taps as in resample-rows.
// #import taps

struct Params {
  count: u32,                                                           // quads of the output per channel
  first_frame: u32,                                                     // the frame of the output that is the input's first
  first_row: u32,                                                       // the row of the picture that is the input's first
  rows: u32,                                                            // R
  size: u32,                                                            // S
  reach: u32,                                                           // most weights of any row of taps
}
@group(0) @binding(0) var<storage, read> input: array<vec4u>;           // [F, R, S] R | G << 8 | B << 16
@group(0) @binding(1) var<storage, read> taps: array<i32>;              // [S, 2 + reach]
@group(0) @binding(2) var<storage, read> levels: array<f32>;            // [256]
@group(0) @binding(3) var<storage, read_write> output: array<vec4f>;    // [F, 3, S, S]
@group(0) @binding(4) var<uniform> params: Params;

fn to_levels(value: vec4u) -> vec4f {
  return vec4f(levels[value.x], levels[value.y], levels[value.z], levels[value.w]);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (workgroup.y * workgroups.x + workgroup.x) * 64 + lane;
  if (index >= params.count) { return; }
  let quads = (params.size + 3) / 4;
  let column = index % quads;
  let row = index / quads % params.size;
  let frame = index / quads / params.size;
  let tap = row * (2 + params.reach);
  let first = (frame * params.rows + u32(taps[tap]) - params.first_row) * quads + column;
  let count = u32(taps[tap + 1]);
  var red = vec4i(HALF);
  var green = vec4i(HALF);
  var blue = vec4i(HALF);
  for (var i = 0u; i < count; i++) {
    let pixels = input[first + i * quads];
    let weight = taps[tap + 2 + i];
    red += vec4i(pixels & vec4u(0xff)) * weight;
    green += vec4i((pixels >> vec4u(8)) & vec4u(0xff)) * weight;
    blue += vec4i(pixels >> vec4u(16)) * weight;
  }
  let plane = params.size * quads;
  let place = ((params.first_frame + frame) * 3 * params.size + row) * quads + column;
  output[place] = to_levels(quad_to_bytes(red));
  output[place + plane] = to_levels(quad_to_bytes(green));
  output[place + 2 * plane] = to_levels(quad_to_bytes(blue));
}
