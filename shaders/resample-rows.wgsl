// output[f, y, x] = clip((2^21 + sum over i of input[f, first_row + y, start[x] + i] * weight[x, i]) >> 22), R, G and B each
//
// The first half of Pillow's bilinear resize: along rows, in integers, rounded to bytes. One invocation = one pixel.
// A row of taps = start, count, then as many weights in units of 2^-22; 255 of those still fit an i32.
// #import taps

struct Params {
  count: u32,                                                           // pixels of the output, padding included
  width: u32,                                                           // W
  height: u32,                                                          // H
  full_range: u32,                                                      // 1 where luma is 0..255, 0 where it is 16..235
  first_row: u32,                                                       // the first row of the input that the output has
  rows: u32,                                                            // R
  columns: u32,                                                         // S, padded to a multiple of four
  frame_words: u32,                                                     // from one frame of the input to the next
  reach: u32,                                                           // most weights of any row of taps
}
@group(0) @binding(0) var<storage, read> input: array<u32>;             // [F, words of a frame] dense bytes
@group(0) @binding(1) var<storage, read> taps: array<i32>;              // [S, 2 + reach]
@group(0) @binding(2) var<storage, read_write> output: array<u32>;      // [F, R, S] R | G << 8 | B << 16
@group(0) @binding(3) var<uniform> params: Params;

fn load_byte(frame: u32, at: u32) -> u32 {
  return extractBits(input[frame * params.frame_words + at / 4], 8 * (at % 4), 8);
}
// #import pixels

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (workgroup.y * workgroups.x + workgroup.x) * 64 + lane;
  if (index >= params.count) { return; }
  let column = index % params.columns;
  let row = index / params.columns % params.rows;
  let frame = index / params.columns / params.rows;
  let tap = column * (2 + params.reach);
  let first = u32(taps[tap]);
  let count = u32(taps[tap + 1]);
  var sum = vec3i(HALF);
  for (var i = 0u; i < count; i++) { sum += load_rgb(frame, first + i, params.first_row + row) * taps[tap + 2 + i]; }
  let value = to_bytes(sum);
  output[index] = value.r | (value.g << 8) | (value.b << 16);
}
