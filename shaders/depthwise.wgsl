// output[v, t, y, x, c] = activation(bias[c] + sum over (i, j, k) of
//   weight[(i, j, k), c] input[v, t + i - T_PAD, y STRIDE + j - PAD, x STRIDE + k - PAD, c]), zeros outside of the input
//
// One invocation = one quad of channels of LINES x COLUMNS neighbours in FRAMES frames, which it goes through in order: each frame of
// the input is loaded once and added to the KT frames of the output that it belongs to, so that a load serves many multiply-adds.
// Needs no feature.
// #import storage
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
}
@group(0) @binding(0) var<storage, read> input: array<Quad>;            // [V, input_frames, H, W, C]
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;          // [KT KH KW, C]
@group(0) @binding(2) var<storage, read_write> output: array<Quad>;     // [V, T, H', W', C]
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (workgroup.y * workgroups.x + workgroup.x) * 64 + lane;
  if (index >= params.count) { return; }
  let blocks = (params.out_width + COLUMNS - 1) / COLUMNS;
  let quad = index % params.quads;
  let x = index / params.quads % blocks * COLUMNS;
  let bands = (params.out_height + LINES - 1) / LINES;
  let y = index / (params.quads * blocks) % bands * LINES;
  let part = index / (params.quads * blocks * bands);
  let parts = (params.end_frame - params.first_frame + FRAMES - 1) / FRAMES;
  let video = part / parts;
  let first = params.first_frame + part % parts * FRAMES;
  let end = min(first + FRAMES, params.end_frame);

  var weights: array<vec4f, TAPS>;
  // #unroll
  for (var i = 0u; i < TAPS; i++) { weights[i] = weight[i * params.quads + quad]; }
  let start = bias_at(quad);
  var sums: array<vec4f, SUMS>;                                         // [frame of the output, the oldest first][line][column]
  // #unroll
  for (var i = 0u; i < SUMS; i++) { sums[i] = start; }
  // where the pixels of a line lie, and which of them there are
  var places: array<u32, SPAN>;
  var exist: array<bool, SPAN>;
  // #unroll
  for (var k = 0u; k < SPAN; k++) {
    let column = i32(x * STRIDE + k) - PAD_ACROSS;
    places[k] = u32(clamp(column, 0, i32(params.width) - 1)) * params.quads + quad;
    exist[k] = (column >= 0) & (column < i32(params.width));
  }

  for (var step = 0u; step < params.steps; step++) {
    let frame = i32(first + step) - PAD_BEFORE;
    let is_frame = (frame >= 0) & (frame < i32(params.frames));
    let known_frame = video * params.input_frames + u32(clamp(frame - i32(params.input_first), 0, i32(params.input_frames) - 1));
    var pixels: array<vec4f, PIXELS>;                                   // [line][column]
    // #unroll
    for (var j = 0u; j < LINE_SPAN; j++) {
      let line = i32(y * STRIDE + j) - PAD_DOWN;
      let is_line = is_frame & (line >= 0) & (line < i32(params.height));
      let row = (known_frame * params.height + u32(clamp(line, 0, i32(params.height) - 1))) * params.width * params.quads;
      // #unroll
      for (var k = 0u; k < SPAN; k++) {
        pixels[j * SPAN + k] = select(vec4f(0), load_quad(input[row + places[k]]), is_line & exist[k]);
      }
    }
    // #unroll
    for (var i = 0u; i < KT; i++) {
      // #unroll
      for (var j = 0u; j < KH; j++) {
        // #unroll
        for (var k = 0u; k < KW; k++) {
          let factor = weights[(i * KH + j) * KW + k];
          // #unroll
          for (var l = 0u; l < LINES; l++) {
            // #unroll
            for (var c = 0u; c < COLUMNS; c++) {
              let sum = ((KT - 1 - i) * LINES + l) * COLUMNS + c;
              sums[sum] = fma(factor, pixels[(l * STRIDE + j) * SPAN + c * STRIDE + k], sums[sum]);
            }
          }
        }
      }
    }
    // the oldest frame has all it will get; the others move up
    let done = first + step - (KT - 1);
    // #unroll
    for (var l = 0u; l < LINES; l++) {
      let row = ((video * params.frames + done) * params.out_height + y + l) * params.out_width + x;
      let is_line = (step >= KT - 1) & (done < end) & (y + l < params.out_height);
      // #unroll
      for (var c = 0u; c < COLUMNS; c++) {
        if (is_line & (x + c < params.out_width)) {
          output[(row + c) * params.quads + quad] = store_quad(activation(sums[l * COLUMNS + c]));
        }
      }
    }
    // #unroll
    for (var i = 0u; i < OLDER; i++) { sums[i] = sums[i + LINES * COLUMNS]; }
    // #unroll
    for (var i = OLDER; i < SUMS; i++) { sums[i] = start; }
  }
}
