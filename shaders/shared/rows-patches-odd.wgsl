// rows-patches for a P that is no multiple of four: pixels are gathered one at a time.
@group(0) @binding(0) var<storage, read> frames: array<f32>;            // [F, 3, S, S], rows of PITCH

fn pixel(frame: u32, cell: u32, k: u32) -> f32 {
  let known = min(k, 3 * PATCH * PATCH - 1);
  let line = (frame * 3 + known / (PATCH * PATCH)) * SIZE + cell / GRID * PATCH + known / PATCH % PATCH;
  return select(0, frames[line * PITCH + cell % GRID * PATCH + known % PATCH], k == known);
}

fn input_quad(row: u32, quad: u32) -> vec4f {
  let known = min(row, params.rows - 1);
  let token = known % TOKENS;
  let frame = known / TOKENS;
  let cell = max(token, CLASS_TOKENS) - CLASS_TOKENS;
  let k = quad * 4;
  let pixels = vec4f(pixel(frame, cell, k), pixel(frame, cell, k + 1), pixel(frame, cell, k + 2), pixel(frame, cell, k + 3));
  return select(vec4f(0), pixels, token >= CLASS_TOKENS);
}
