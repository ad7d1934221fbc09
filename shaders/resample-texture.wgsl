// output[c, y, x] = levels[down(across(image))]: resample-rows and resample-columns in one kernel, from a texture
//
// One invocation = one pixel of the output. It narrows again what its neighbours above and below narrow too; a texture is read so often
// cheaply, and nothing has to be stored in between. The arithmetic is the same, so that a texture of bytes gives the same bits.
// #import image
// #import taps

struct Params {
  columns: u32,                                                         // S, padded to a multiple of four
  size: u32,                                                            // S
  reach_across: u32,                                                    // most weights of any row of taps
  reach_down: u32,
}
@group(0) @binding(1) var<storage, read> across: array<i32>;            // [S, 2 + reach_across]
@group(0) @binding(2) var<storage, read> down: array<i32>;              // [S, 2 + reach_down]
@group(0) @binding(3) var<storage, read> levels: array<f32>;            // [256]
@group(0) @binding(4) var<storage, read_write> output: array<f32>;      // [1, 3, S, S]
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) place: vec3u) {
  if (place.x >= params.columns || place.y >= params.size) { return; }
  let tap_x = place.x * (2 + params.reach_across);
  let tap_y = place.y * (2 + params.reach_down);
  let first = vec2u(u32(across[tap_x]), u32(down[tap_y]));
  let count = vec2u(u32(across[tap_x + 1]), u32(down[tap_y + 1]));
  var sum = vec3i(HALF);
  for (var j = 0u; j < count.y; j++) {
    var narrowed = vec3i(HALF);
    for (var i = 0u; i < count.x; i++) {
      let bytes = vec3i(clamp(load_texel(first + vec2u(i, j)), vec3f(0), vec3f(1)) * 255 + 0.5);
      narrowed += bytes * across[tap_x + 2 + i];
    }
    sum += vec3i(to_bytes(narrowed)) * down[tap_y + 2 + j];
  }
  let value = to_bytes(sum);
  let index = place.y * params.columns + place.x;
  let plane = params.size * params.columns;
  output[index] = levels[value.r];
  output[index + plane] = levels[value.g];
  output[index + 2 * plane] = levels[value.b];
}
