// rows-patches for a P that is no multiple of four: pixels are gathered one at a time.
@group(0) @binding(0) var<storage, read> frames: array<f32>;            // [F, 3, S, S], rows of PITCH

/// The first pixel of a row's patch, for input_at: loops over k keep it. The last row past M.
fn input_row(row: u32) -> u32 {
  let known = min(row, params.rows - 1);
  let cell = max(known % TOKENS, CLASS_TOKENS) - CLASS_TOKENS;
  return (known / TOKENS * 3 * SIZE + cell / GRID * PATCH) * PITCH + cell % GRID * PATCH;
}

fn pixel(start: u32, k: u32) -> f32 {
  let known = min(k, 3 * PATCH * PATCH - 1);
  let line = known / (PATCH * PATCH) * SIZE + known / PATCH % PATCH;
  return select(0, frames[start + line * PITCH + known % PATCH], k == known);
}

/// Four neighbours in k of the row whose patch begins at `start`; zeros past K.
fn input_at(start: u32, quad: u32) -> vec4f {
  let k = quad * 4;
  return vec4f(pixel(start, k), pixel(start, k + 1), pixel(start, k + 2), pixel(start, k + 3));
}

fn input_quad(row: u32, quad: u32) -> vec4f { return input_at(input_row(row), quad); }
