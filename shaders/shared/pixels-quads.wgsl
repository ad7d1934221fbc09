/** R, G and B of a pixel of [H, W, 4]: R G B A, or B G R A where RED is 2. */
fn load_rgb(frame: u32, column: u32, row: u32) -> vec3i {
  let word = input[frame * params.frame_words + row * params.width + column];
  return vec3i(vec3u(extractBits(word, 8 * RED, 8), extractBits(word, 8, 8), extractBits(word, 16 - 8 * RED, 8)));
}
