/** R, G and B of a pixel of [H, W, 3]. */
fn load_rgb(frame: u32, column: u32, row: u32) -> vec3i {
  let first = 3 * (row * params.width + column);
  return vec3i(vec3u(load_byte(frame, first), load_byte(frame, first + 1), load_byte(frame, first + 2)));
}
