// output[v, t, y, x, c] = sum over (i, j, k) of weight[(i, j, k), c] (frames[v, i, t, y STRIDE + j - PAD, x STRIDE + k - PAD] - MEAN) / DEVIATION
//
// A convolution within each frame, from planes of pixels to rows of channels; zeros around the normalised frame. One invocation =
// LANE_QUADS quads of channels of COLUMNS pixels side by side. Needs no feature.
// #import storage

struct Params {
  count: u32,                                                           // invocations
  lines: u32,                                                           // I KH; no constant, or compilers write the loop out
  last: u32,                                                            // element of the frames
}
@group(0) @binding(0) var<storage, read> frames: array<f32>;            // [V, I, T, S, S], rows of PITCH
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;          // [I KH KW, C]
@group(0) @binding(2) var<storage, read_write> output: array<Quad>;     // [V, T, OUT_SIZE, OUT_SIZE, C]
@group(0) @binding(3) var<uniform> params: Params;

const BLOCKS = (OUT_SIZE + COLUMNS - 1) / COLUMNS;
const PARTS = (QUADS + LANE_QUADS - 1) / LANE_QUADS;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (workgroup.y * workgroups.x + workgroup.x) * 64 + lane;
  if (index >= params.count) { return; }
  let first_quad = index % PARTS * LANE_QUADS;
  let x = index / PARTS % BLOCKS * COLUMNS;
  let y = index / (PARTS * BLOCKS) % OUT_SIZE;
  let frame = index / (PARTS * BLOCKS * OUT_SIZE);
  let first_plane = frame / FRAMES * PLANES * FRAMES + frame % FRAMES;

  // The first line and column that are touched, and which columns there are from there, a bit each, as that takes one register. Those
  // before the frame wrap and are larger than any there is; what is loaded in their place, from wherever it may be, is not used.
  let top = y * STRIDE - PAD;
  let left = x * STRIDE - PAD;
  var columns = 0u;
  // #unroll
  for (var k = 0u; k < SPAN; k++) { columns |= select(0, 1u << k, left + k < SIZE); }
  var sums: array<vec4f, SUMS>;                                         // [column][quad]
  for (var i = 0u; i < params.lines; i++) {
    let line = top + i % KH;
    let exist = select(0, columns, line < SIZE);
    let place = ((first_plane + i / KH * FRAMES) * SIZE + line) * PITCH + left;
    var pixels: array<f32, SPAN>;
    // #unroll
    for (var k = 0u; k < SPAN; k++) {
      pixels[k] = select(0, (frames[min(place + k, params.last)] - MEAN) * (1.0 / DEVIATION), (exist & (1u << k)) != 0);
    }
    // #unroll
    for (var k = 0u; k < KW; k++) {
      // #unroll
      for (var q = 0u; q < LANE_QUADS; q++) {
        let factor = weight[(i * KW + k) * QUADS + min(first_quad + q, QUADS - 1)];
        // #unroll
        for (var c = 0u; c < COLUMNS; c++) {
          sums[c * LANE_QUADS + q] = fma(vec4f(pixels[c * STRIDE + k]), factor, sums[c * LANE_QUADS + q]);
        }
      }
    }
  }

  let pixel = (frame * OUT_SIZE + y) * OUT_SIZE + x;
  // #unroll
  for (var c = 0u; c < COLUMNS; c++) {
    // #unroll
    for (var q = 0u; q < LANE_QUADS; q++) {
      if ((x + c < OUT_SIZE) & (first_quad + q < QUADS)) {
        output[(pixel + c) * QUADS + first_quad + q] = store_quad(sums[c * LANE_QUADS + q]);
      }
    }
  }
}
