// The left operand of the patch embedding, gathered from the pixels: row t of a frame is its patch t - CLASS_TOKENS, row-major over
// the frame; k runs over (channel, y, x) within the patch, as in a convolution's weight.
@group(0) @binding(0) var<storage, read> frames: array<f32>;            // [F, 3, S, S], rows of PITCH

fn input_quad(row: u32, quad: u32) -> vec4f {
  let token = min(row, params.rows - 1) % TOKENS;
  if (quad >= K_QUADS || token < CLASS_TOKENS) { return vec4f(0); }
  let frame = min(row, params.rows - 1) / TOKENS;
  let cell = token - CLASS_TOKENS;
  let origin = vec2u(cell % GRID, cell / GRID) * PATCH;
  var values: vec4f;
  // #unroll
  for (var i = 0u; i < 4; i++) {
    let k = quad * 4 + i;
    let channel = k / (PATCH * PATCH);
    let y = origin.y + k / PATCH % PATCH;
    let x = origin.x + k % PATCH;
    // a K that is no multiple of four ends inside the last quad
    values[i] = select(0, frames[((frame * 3 + min(channel, 2)) * SIZE + y) * PITCH + x], channel < 3);
  }
  return values;
}
