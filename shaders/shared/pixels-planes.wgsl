/**
 * R, G and B of a pixel of a plane of luma [H, W] and chroma of half the size, rounded up: two planes where CHROMA is 1, one of U V pairs
 * where it is 2. The integers are those of swscale's x86 converter (BT.601 whatever the video says, chroma repeated), its coefficients in
 * units of 2^-13: yuv2rgb.c of FFmpeg. Full range has coefficients of its own.
 */
fn load_rgb(frame: u32, column: u32, row: u32) -> vec3i {
  let half = (vec2u(params.width, params.height) + 1) / 2;
  let luma = params.width * params.height;
  let u_at = luma + CHROMA * (row / 2 * half.x + column / 2);
  let v_at = select(u_at + half.x * half.y, u_at + 1, CHROMA == 2);
  let y = 8 * i32(load_byte(frame, row * params.width + column));
  let u = 8 * i32(load_byte(frame, u_at)) - 1024;
  let v = 8 * i32(load_byte(frame, v_at)) - 1024;
  var rgb: vec3i;
  if (params.full_range == 1) {
    rgb = vec3i((y * 8192) >> 16) + vec3i((v * 11485) >> 16, ((u * -2819) >> 16) + ((v * -5850) >> 16), (u * 14516) >> 16);
  } else {
    rgb = vec3i(((y - 128) * 9539) >> 16) + vec3i((v * 13075) >> 16, ((u * -3209) >> 16) + ((v * -6660) >> 16), (u * 16525) >> 16);
  }
  return clamp(rgb, vec3i(0), vec3i(255));
}
