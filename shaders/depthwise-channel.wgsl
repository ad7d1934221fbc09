// output[v, t, y, x, c] = activation(bias[c] + sum over (i, j, k) of
//   weight[(i, j, k), c] input[v, t + i - T_PAD, y STRIDE + j - PAD, x STRIDE + k - PAD, c]), zeros outside of the input
//
// One invocation = one channel of COLUMNS neighbours in FRAMES frames, which it goes through in order: each frame of the input is loaded
// once and added to the KT frames of the output that it belongs to. It is depthwise.wgsl with one channel in the place of a quad, so
// that filter, sums and the pixels of a line fit into the registers of GPUs that have 64 of them for an invocation. Needs no feature.
// #import component
// #import bias
// #import activation

struct Params {
  count: u32,                                                           // invocations
  steps: u32,                                                           // frames of the input that each goes through
  frames: u32,                                                          // T
  first_frame: u32,                                                     // of the output, where this part of it begins
  end_frame: u32,                                                       // and ends
  input_first: u32,                                                     // the frame of T that is the input's first
  input_frames: u32,
  height: u32,                                                          // H
  width: u32,                                                           // W
  out_height: u32,                                                      // H'
  out_width: u32,                                                       // W'
  quads: u32,                                                           // of C
  last: u32,                                                            // element of the input
}
@group(0) @binding(0) var<storage, read> input: array<Component>;       // [V, input_frames, H, W, C]
@group(0) @binding(1) var<storage, read> weight: array<f32>;            // [KT KH KW, C]
@group(0) @binding(2) var<storage, read_write> output: array<Component>; // [V, T, H', W', C]
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (workgroup.y * workgroups.x + workgroup.x) * 64 + lane;
  if (index >= params.count) { return; }
  let pitch = params.quads * 4;
  let channel = index % pitch;
  let blocks = (params.out_width + COLUMNS - 1) / COLUMNS;
  let x = index / pitch % blocks * COLUMNS;
  let y = index / (pitch * blocks) % params.out_height;
  let part = index / (pitch * blocks * params.out_height);
  let parts = (params.end_frame - params.first_frame + FRAMES - 1) / FRAMES;
  let video = part / parts;
  let first = params.first_frame + part % parts * FRAMES;

  var weights: array<f32, TAPS>;
  // #unroll
  for (var i = 0u; i < TAPS; i++) { weights[i] = weight[i * pitch + channel]; }
  let start = bias_at(channel / 4)[channel % 4];
  var sums: array<f32, SUMS>;                                           // [frame of the output, the oldest first][column]
  // #unroll
  for (var i = 0u; i < SUMS; i++) { sums[i] = start; }
  // The first line and column of the input that are touched. One that lies before the input wraps, like a frame before it: it is larger
  // than any there is, and what is loaded in its place, from wherever it may be, is not used.
  let top = y * STRIDE - PAD_DOWN;
  let left = x * STRIDE - PAD_ACROSS;
  // which there are, a bit each, as they share a register so: columns of the input, its lines, columns of the output
  var exist = 0u;
  // #unroll
  for (var k = 0u; k < SPAN; k++) { exist |= select(0, 1u << k, left + k < params.width); }
  // #unroll
  for (var j = 0u; j < KH; j++) { exist |= select(0, 1u << (SPAN + j), top + j < params.height); }
  // #unroll
  for (var c = 0u; c < COLUMNS; c++) { exist |= select(0, 1u << (SPAN + KH + c), x + c < params.out_width); }
  // Where the first step loads and stores. All invocations go the same way from there to other frames, lines and columns, so that it
  // takes them few registers of their own.
  let from_frame = video * params.input_frames + first - PAD_BEFORE - params.input_first;
  let from_place = ((from_frame * params.height + top) * params.width + left) * pitch + channel;
  let to_frame = video * params.frames + first - (KT - 1);
  let to_place = ((to_frame * params.out_height + y) * params.out_width + x) * pitch + channel;

  for (var step = 0u; step < params.steps; step++) {
    // #unroll
    for (var j = 0u; j < KH; j++) {
      let is_line = (first + step - PAD_BEFORE < params.frames) & ((exist & (1u << (SPAN + j))) != 0);
      let pixels_exist = select(0, exist, is_line);
      let line = from_place + (step * params.height + j) * params.width * pitch;
      var pixels: array<f32, SPAN>;
      // #unroll
      for (var k = 0u; k < SPAN; k++) {
        pixels[k] = select(0, f32(input[min(line + k * pitch, params.last)]), (pixels_exist & (1u << k)) != 0);
      }
      // #unroll
      for (var i = 0u; i < KT; i++) {
        // #unroll
        for (var k = 0u; k < KW; k++) {
          // #unroll
          for (var c = 0u; c < COLUMNS; c++) {
            let sum = (KT - 1 - i) * COLUMNS + c;
            sums[sum] = fma(weights[(i * KH + j) * KW + k], pixels[c * STRIDE + k], sums[sum]);
          }
        }
      }
    }
    // the oldest frame has all it will get; the others move up
    let is_done = (step >= KT - 1) & (first + step - (KT - 1) < params.end_frame);
    let frame = to_place + step * params.out_height * params.out_width * pitch;
    // #unroll
    for (var c = 0u; c < COLUMNS; c++) {
      if (is_done & ((exist & (1u << (SPAN + KH + c))) != 0)) {
        output[frame + c * pitch] = Component(activation(vec4f(sums[c])).x);
      }
    }
    // #unroll
    for (var i = 0u; i < OLDER; i++) { sums[i] = sums[i + COLUMNS]; }
    // #unroll
    for (var i = OLDER; i < SUMS; i++) { sums[i] = start; }
  }
}
